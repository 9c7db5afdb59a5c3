//! Asks for a certificate: with a ticket, or with the certificate that is to be renewed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use dataverse_identity::credentials::{Credentials, client_with_ticket};
use dataverse_identity::joining::JoinRequest;
use dataverse_identity::ticket::Ticket;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tonic::codegen::Service;
use tonic::codegen::http::Uri;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::Enrolled;
use crate::grpc::proto;
use crate::grpc::proto::enrolment_client::EnrolmentClient;
use crate::grpc::status::{call_error, late, protocol, tls_failure};
use crate::grpc::tls::connect::dial;
use crate::limits;
use crate::timings::Timings;
use crate::transport::CallError;

/// Why no certificate was issued.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The two sides do not accept each other.
    #[error("cannot join through {address}: {reason}")]
    NotAccepted {
        /// The address that was called.
        address: String,
        /// Why.
        reason: String,
    },
    /// The node there does not have the authority's key.
    #[error("the node at {0} does not issue certificates: it must run with --authority")]
    NotAnIssuer(String),
    /// The library failed.
    #[error("TLS can't be used: {0}")]
    Tls(#[from] rustls::Error),
}

/// Joins a network with a ticket.
///
/// # Errors
/// [`EnrolError`].
pub async fn enrol(
    ticket: &Ticket,
    request: &JoinRequest,
    timings: &Timings,
) -> Result<Enrolled, EnrolError> {
    let ask = proto::EnrolRequest {
        secret: bytes::Bytes::copy_from_slice(ticket.secret().as_bytes()),
        request: bytes::Bytes::copy_from_slice(request.der()),
    };
    let (address, config) = (ticket.address(), client_with_ticket(ticket)?);
    let call = async |mut client: Client| client.enrol(ask).await;
    let enrolled = asked(address, config, timings, call).await?;
    match ticket.is_for(&enrolled.issued.authority) {
        true => Ok(enrolled),
        false => Err(protocol(address, "its authority is not that of the ticket").into()),
    }
}

/// Renews the certificate of a node at this address.
///
/// # Errors
/// [`EnrolError`].
pub async fn renew(
    address: &str,
    credentials: &Credentials,
    request: &JoinRequest,
    timings: &Timings,
) -> Result<Enrolled, EnrolError> {
    let ask = proto::RenewRequest {
        request: bytes::Bytes::copy_from_slice(request.der()),
    };
    let config = credentials.tls().outgoing;
    let call = async |mut client: Client| client.renew(ask).await;
    asked(address, config, timings, call).await
}

type Client = EnrolmentClient<Channel>;

async fn asked(
    address: &str,
    config: Arc<ClientConfig>,
    timings: &Timings,
    call: impl AsyncFnOnce(Client) -> Result<tonic::Response<proto::EnrolReply>, Status>,
) -> Result<Enrolled, EnrolError> {
    let unreachable = |reason: &str| CallError::Unreachable {
        address: address.to_owned(),
        reason: reason.to_owned(),
    };
    let endpoint = Endpoint::from_shared(format!("http://{address}"));
    let endpoint = endpoint.map_err(|_| unreachable("the address cannot be called"))?;
    let endpoint = endpoint.connect_timeout(timings.call_connect);
    let channel = endpoint.connect_with_connector_lazy(Dialer(config));
    let client = EnrolmentClient::new(channel)
        .max_decoding_message_size(limits::MESSAGE_BYTES_MAX)
        .max_encoding_message_size(limits::ENROLMENT_BYTES_MAX);
    let within = timings.call_connect + timings.call_deadline;
    let reply = tokio::time::timeout(within, call(client)).await;
    let reply = reply.map_err(|_| late(address))?;
    let reply = reply.map_err(|status| match status.code() {
        Code::Unimplemented => EnrolError::NotAnIssuer(address.to_owned()),
        _ => match tls_failure(&status) {
            Some(failure) => EnrolError::NotAccepted {
                address: address.to_owned(),
                reason: failure.to_string(),
            },
            None => call_error(address, &status).into(),
        },
    })?;
    let reply = Enrolled::try_from(reply.into_inner());
    Ok(reply.map_err(|wrong| protocol(address, wrong))?)
}

/// Makes connections with this configuration.
#[derive(Clone)]
struct Dialer(Arc<ClientConfig>);

impl Service<Uri> for Dialer {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, io::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let config = Arc::clone(&self.0);
        Box::pin(async move { Ok(TokioIo::new(dial(HttpConnector::new(), to, config).await?)) })
    }
}
