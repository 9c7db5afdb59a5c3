//! Enrolment: how a machine with a ticket gets its certificate, and how a node renews its own.
//!
//! A node that runs with the folder of the network's authority answers (`service`), on the port for nodes. A new machine
//! calls the address in its ticket (`client`): it presents no certificate and recognises the node by the authority that
//! the ticket names, before it sends the ticket's secret. A node that renews presents its certificate, as in every other
//! call between nodes. Who gets a certificate is decided by the authority's folder, never here.

mod client;
mod service;

use dataverse_identity::authority::AuthorityCertificate;
use dataverse_identity::authority_folder::Issued;
use dataverse_identity::limits::{
    CERTIFICATE_BYTES_MAX, NAME_BYTES_MAX, REVOCATIONS_MAX, ROTATIONS_MAX,
};
use dataverse_identity::statement::Statement;

use crate::grpc::{Malformed, proto};

pub use client::{EnrolError, enrol, renew};
pub use service::add_to;

/// What a machine gets when it joins or renews.
#[derive(Debug, Clone)]
pub struct Enrolled {
    /// The certificate, and what comes with it.
    pub issued: Issued,
    /// The name under which the nodes of the network link with each other.
    pub network: String,
}

impl From<Enrolled> for proto::EnrolReply {
    fn from(enrolled: Enrolled) -> Self {
        let Enrolled { issued, network } = enrolled;
        let bytes = |der: &[u8]| bytes::Bytes::copy_from_slice(der);
        let statements = issued.statements.iter();
        Self {
            certificate: bytes(&issued.certificate),
            authority: bytes(issued.authority.der()),
            zone: issued.zone.unwrap_or_default(),
            statements: statements.map(|it| it.to_bytes().into()).collect(),
            network,
        }
    }
}

impl TryFrom<proto::EnrolReply> for Enrolled {
    type Error = Malformed;

    fn try_from(wire: proto::EnrolReply) -> Result<Self, Malformed> {
        if wire.certificate.len() > CERTIFICATE_BYTES_MAX {
            return Err(Malformed::new("certificate", "it is too large"));
        }
        if wire.statements.len() > REVOCATIONS_MAX + ROTATIONS_MAX {
            return Err(Malformed::new("statements", "there are too many"));
        }
        if [&wire.zone, &wire.network]
            .iter()
            .any(|name| name.len() > NAME_BYTES_MAX)
        {
            return Err(Malformed::new("zone or network", "it is too long"));
        }
        let authority = AuthorityCertificate::parse(&wire.authority);
        let statements = wire
            .statements
            .iter()
            .map(|bytes| Statement::from_bytes(bytes));
        let statements = statements.collect::<Result<_, _>>();
        Ok(Self {
            issued: Issued {
                certificate: wire.certificate.to_vec().into(),
                authority: authority.map_err(|_| Malformed::new("authority", "it is none"))?,
                zone: Some(wire.zone).filter(|zone| !zone.is_empty()),
                statements: statements.map_err(|_| Malformed::new("statements", "one is none"))?,
            },
            network: wire.network,
        })
    }
}
