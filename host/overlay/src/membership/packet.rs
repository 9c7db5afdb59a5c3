//! Membership packets on the wire, and the checks that everything that comes in must pass.
//!
//! Most packets are the SWIM protocol's own. Two more let a node that joined later catch up on statuses that were
//! published before: it asks each member once, directly.

use bytes::{Buf, BufMut, Bytes};
use dataverse_core::id::NodeId;
use foca::{Codec, Header, Message, PostcardCodec, State};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::identity::Identity;
use super::status::{StatusError, StatusNote};
use super::table::Shared;
use crate::limits::GOSSIP_PACKET_BYTES_MAX;

/// Bytes that a packet needs in addition to the protocol's own.
const ENVELOPE_BYTES: usize = 8;
/// Bytes that the protocol may use.
pub(super) const SWIM_BYTES_MAX: usize = GOSSIP_PACKET_BYTES_MAX - ENVELOPE_BYTES;

/// One packet.
#[derive(Serialize, Deserialize, Debug)]
pub(super) enum Packet<'a> {
    /// Of the SWIM protocol.
    Swim(&'a [u8]),
    /// Asks a member for its status, and states the sender's own.
    Ask {
        from: [u8; 16],
        status: Option<StatusNote>,
    },
    /// The answer.
    Tell(StatusNote),
}

/// Why a packet was not accepted.
#[derive(Debug, thiserror::Error)]
pub(super) enum PacketError {
    #[error("the packet is too large")]
    TooLarge,
    #[error("the bytes are not a packet")]
    Malformed,
    #[error("the packet names another source than the node that sent it")]
    ForeignSource,
    #[error(transparent)]
    PublishedStatus(#[from] StatusError),
    #[error(transparent)]
    Swim(#[from] foca::Error),
}

impl<'a> Packet<'a> {
    pub(super) fn to_bytes(&self) -> Bytes {
        let bytes = postcard::to_stdvec(self).expect("plain fields can always be serialized");
        Bytes::from(bytes)
    }

    pub(super) fn from_bytes(bytes: &'a [u8]) -> Result<Self, PacketError> {
        if bytes.len() > GOSSIP_PACKET_BYTES_MAX {
            return Err(PacketError::TooLarge);
        }
        postcard::from_bytes(bytes).map_err(|_| PacketError::Malformed)
    }
}

/// The node from which a packet of the SWIM protocol comes, as it says itself.
pub(super) fn source_of(packet: &[u8]) -> Result<NodeId, PacketError> {
    let header: Result<Header<Identity>, _> = PostcardCodec.decode_header(packet);
    header.map_or(Err(PacketError::Malformed), |header| Ok(header.src.node))
}

/// Refuses a packet that its sender did not make. Packets are never passed on as they are.
pub(super) fn check_source(source: NodeId, sender: NodeId) -> Result<(), PacketError> {
    (source == sender)
        .then_some(())
        .ok_or(PacketError::ForeignSource)
}

/// The protocol's own codec with checks: bounds the number of members, and the number of identities that this node can
/// be made to take.
pub(super) struct GuardedCodec(pub(super) Shared);

/// Why decoding was refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum GuardError {
    #[error(transparent)]
    Postcard(#[from] postcard::Error),
    #[error("there is no space for another member")]
    Full,
    #[error("this node renewed its identity too often just now")]
    RenewedTooOften,
}

impl GuardedCodec {
    fn admit(&self, identity: &Identity) -> Result<(), GuardError> {
        let space = self.0.lock().admit(identity.node);
        space.then_some(()).ok_or(GuardError::Full)
    }

    fn admit_death_of(&self, identity: &Identity) -> Result<(), GuardError> {
        let too_soon = self.0.lock().renewed_too_often(identity, Instant::now());
        (!too_soon).then_some(()).ok_or(GuardError::RenewedTooOften)
    }
}

impl Codec<Identity> for GuardedCodec {
    type Error = GuardError;

    fn encode_header(
        &mut self,
        header: &Header<Identity>,
        buf: impl BufMut,
    ) -> Result<(), Self::Error> {
        Ok(PostcardCodec.encode_header(header, buf)?)
    }

    fn decode_header(&mut self, buf: impl Buf) -> Result<Header<Identity>, Self::Error> {
        let header: Header<Identity> = PostcardCodec.decode_header(buf)?;
        self.admit(&header.src)?;
        if header.message == Message::TurnUndead {
            self.admit_death_of(&header.dst)?;
        }
        Ok(header)
    }

    fn encode_member(
        &mut self,
        member: &foca::Member<Identity>,
        buf: impl BufMut,
    ) -> Result<(), Self::Error> {
        Ok(PostcardCodec.encode_member(member, buf)?)
    }

    fn decode_member(&mut self, buf: impl Buf) -> Result<foca::Member<Identity>, Self::Error> {
        let member: foca::Member<Identity> = PostcardCodec.decode_member(buf)?;
        self.admit(member.id())?;
        if member.state() == State::Down {
            self.admit_death_of(member.id())?;
        }
        Ok(member)
    }
}
