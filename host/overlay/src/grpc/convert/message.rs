//! Conversion of the overlay's messages, except those of search and reconciliation.

use std::sync::Arc;

use bytes::Bytes;
use dataverse_core::content::GroupTree;
use dataverse_core::limits::{FILE_BYTES_MAX, GROUP_BYTES};
use dataverse_core::record::Record;
use dataverse_identity::limits::{REVOCATIONS_MAX, ROTATIONS_MAX, STATEMENT_BYTES_MAX};

use super::fields::{
    Malformed, address, at_most, bytes, digest, key, nonce, preparation, proof, required,
    wire_bytes,
};
use super::record::{heard, record, sender};
use crate::grpc::proto;
use crate::grpc::proto::commit_request::Ask;
use crate::limits;
use crate::transport::{
    Announcement, CommitAnswer, CommitAsk, FetchAsk, GossipPacket, IntroduceAsk, LinkAnswer,
    LinkAsk, Message, MoveAsk, PrepareAnswer, PrepareAsk, PullAsk, Sender, TrustAnswer, TrustAsk,
    UnlinkAsk,
};

/// Writes both conversions of a message: from its body to fields next to the sender, and back.
macro_rules! message {
    ($wire:ident <=> $body:ty, |$out:ident| { $($field:ident: $value:expr),* $(,)? }, |$in:ident| $parse:expr) => {
        impl From<Message<$body>> for proto::$wire {
            fn from(message: Message<$body>) -> Self {
                let $out = message.body;
                Self { sender: Some((&message.sender).into()), $($field: $value),* }
            }
        }

        impl TryFrom<proto::$wire> for Message<$body> {
            type Error = Malformed;

            fn try_from($in: proto::$wire) -> Result<Self, Malformed> {
                let sender = sender($in.sender)?;
                let body = $parse;
                Ok(Self { sender, body })
            }
        }
    };
}

message!(Ack <=> (), |_nothing| {}, |wire| ());

message!(UnlinkRequest <=> UnlinkAsk, |_nothing| {}, |wire| UnlinkAsk);

message!(
    LinkRequest <=> LinkAsk,
    |ask| {
        explicit: ask.explicit,
        leaving: ask.leaving,
        nonce: ask.nonce.map_or_else(Bytes::new, |nonce| Bytes::copy_from_slice(nonce.as_bytes())),
    },
    |wire| LinkAsk {
        explicit: wire.explicit,
        leaving: wire.leaving,
        nonce: nonce(&wire.nonce)?,
    }
);

message!(
    LinkReply <=> LinkAnswer,
    |answer| {
        cut: answer == LinkAnswer::Cut,
        leaving: answer == LinkAnswer::Leaving,
        isolated: matches!(answer, LinkAnswer::Isolated { .. }),
        proof: answer.proof().map_or_else(Bytes::new, |proof| wire_bytes(proof.as_bytes())),
        taken_by: match &answer {
            LinkAnswer::Taken { by, .. } => by.to_string(),
            _ => String::new(),
        },
    },
    |wire| match (wire.cut, wire.leaving, wire.isolated) {
        _ if !wire.taken_by.is_empty() => LinkAnswer::Taken {
            by: address("taken_by", &wire.taken_by)?,
            proof: proof(&wire.proof)?,
        },
        (true, _, _) => LinkAnswer::Cut,
        (_, true, _) => LinkAnswer::Leaving,
        (_, _, true) => LinkAnswer::Isolated { proof: proof(&wire.proof)? },
        (false, false, false) => LinkAnswer::Linked,
    }
);

message!(IntroduceRequest <=> IntroduceAsk, |ask| { other: ask.other }, |wire| IntroduceAsk {
    other: address("other", &wire.other)?.to_string(),
});

message!(
    FetchRequest <=> FetchAsk,
    |ask| {
        key: ask.key.as_str().to_owned(),
        version: Some(ask.version.into()),
        offset: ask.offset,
        length: ask.length,
    },
    |wire| {
        if !wire.offset.is_multiple_of(GROUP_BYTES) {
            return Err(Malformed::new("offset", "it is not the beginning of a group"));
        }
        FetchAsk {
            key: key(&wire.key)?,
            version: required("version", wire.version)?.try_into()?,
            offset: at_most("offset", wire.offset, FILE_BYTES_MAX)?,
            length: wire.length,
        }
    }
);

message!(
    PrepareHeader <=> PrepareAsk,
    |ask| {
        preparation: wire_bytes(&ask.preparation.to_be_bytes()),
        key: ask.key.as_str().to_owned(),
        size: ask.size,
    },
    |wire| PrepareAsk {
        preparation: preparation(&wire.preparation)?,
        key: key(&wire.key)?,
        size: wire.size.map(|size| at_most("size", size, FILE_BYTES_MAX)).transpose()?,
    }
);

message!(
    PrepareReply <=> PrepareAnswer,
    |answer| {
        digest: wire_bytes(&answer.digest.0),
        size: answer.size,
        known: answer.known.map(|heard| heard.version.into()),
        buried: answer.known.and_then(|heard| heard.buried).map(Into::into),
    },
    |wire| PrepareAnswer {
        digest: digest("digest", &wire.digest)?,
        size: at_most("size", wire.size, FILE_BYTES_MAX)?,
        known: heard(wire.known, wire.buried)?,
    }
);

message!(
    CommitRequest <=> CommitAsk,
    |ask| {
        ask: Some(match ask {
            CommitAsk::Commit { preparation, record } => Ask::Commit(proto::CommitRecord {
                preparation: preparation.map(|number| wire_bytes(&number.to_be_bytes())),
                record: Some((&*record).into()),
            }),
            CommitAsk::Abandon { preparation } => {
                Ask::Abandon(wire_bytes(&preparation.to_be_bytes()))
            }
        }),
    },
    |wire| match required("ask", wire.ask)? {
        Ask::Commit(commit) => CommitAsk::Commit {
            preparation: commit.preparation.as_ref().map(preparation).transpose()?,
            record: record(commit.record)?,
        },
        Ask::Abandon(number) => CommitAsk::Abandon { preparation: preparation(&number)? },
    }
);

message!(
    CommitReply <=> CommitAnswer,
    |answer| {
        superseded: match answer {
            CommitAnswer::Done => None,
            CommitAnswer::Superseded(record) => Some((&*record).into()),
        },
    },
    |wire| match wire.superseded {
        None => CommitAnswer::Done,
        greater => CommitAnswer::Superseded(record(greater)?),
    }
);

message!(
    PullRequest <=> PullAsk,
    |ask| {
        record: Some((&*ask.record).into()),
        from: Some((&ask.from).into()),
        hops: ask.hops,
    },
    |wire| PullAsk {
        record: record(wire.record)?,
        from: required("from", wire.from)?.try_into()?,
        hops: wire.hops,
    }
);

message!(
    MoveRequest <=> MoveAsk,
    |ask| { key: ask.key.to_string(), to: Some((&ask.to).into()), relieves: ask.relieves },
    |wire| MoveAsk {
        key: key(&wire.key)?,
        to: required("to", wire.to)?.try_into()?,
        relieves: wire.relieves,
    }
);

message!(
    AnnounceRequest <=> Announcement,
    |news| { record: Some((&*news.record).into()), hops_left: news.hops_left },
    |wire| Announcement { record: record(wire.record)?, hops_left: wire.hops_left }
);

message!(
    TrustRequest <=> TrustAsk,
    |ask| { digest: wire_bytes(&ask.digest), statements: ask.statements },
    |wire| TrustAsk {
        digest: bytes("digest", &wire.digest)?,
        statements: statements(wire.statements)?,
    }
);

message!(
    TrustReply <=> TrustAnswer,
    |answer| { digest: wire_bytes(&answer.digest), statements: answer.statements },
    |wire| TrustAnswer {
        digest: bytes("digest", &wire.digest)?,
        statements: statements(wire.statements)?,
    }
);

fn statements(wire: Vec<Bytes>) -> Result<Vec<Bytes>, Malformed> {
    at_most("statements", wire.len(), REVOCATIONS_MAX + ROTATIONS_MAX)?;
    for statement in &wire {
        at_most("statements", statement.len(), STATEMENT_BYTES_MAX)?;
    }
    Ok(wire)
}

message!(GossipRequest <=> GossipPacket, |ask| { packet: ask.0 }, |wire| {
    at_most("packet", wire.packet.len(), limits::GOSSIP_PACKET_BYTES_MAX)?;
    GossipPacket(wire.packet)
});

/// The first part of a preparation, checked.
pub(crate) type PrepareStart = Message<PrepareAsk>;

/// The first part of a fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FetchStart {
    pub(crate) sender: Sender,
    pub(crate) record: Arc<Record>,
    pub(crate) tree_bytes: u64,
    pub(crate) content_bytes: u64,
}

impl From<FetchStart> for proto::FetchHeader {
    fn from(start: FetchStart) -> Self {
        Self {
            sender: Some((&start.sender).into()),
            record: Some((&*start.record).into()),
            tree_bytes: start.tree_bytes,
            content_bytes: start.content_bytes,
        }
    }
}

impl TryFrom<proto::FetchHeader> for FetchStart {
    type Error = Malformed;

    fn try_from(wire: proto::FetchHeader) -> Result<Self, Malformed> {
        let sender = sender(wire.sender)?;
        let record = record(wire.record)?;
        let expected = group_tree_bytes(record.size);
        if wire.tree_bytes != expected {
            let reason = format!(
                "{} does not match the size, expected {expected}",
                wire.tree_bytes
            );
            return Err(Malformed::new("tree_bytes", reason));
        }
        Ok(Self {
            tree_bytes: wire.tree_bytes,
            content_bytes: at_most("content_bytes", wire.content_bytes, record.size)?,
            sender,
            record,
        })
    }
}

/// Bytes in the group tree of a content of this size.
pub(crate) const fn group_tree_bytes(size: u64) -> u64 {
    match GroupTree::groups_in(size) {
        0 | 1 => 0,
        groups => 32 * groups,
    }
}

/// Bytes that answer a fetch from a content of this size: up to the end of the group in which the wanted bytes end.
pub(crate) fn fetched_bytes(size: u64, offset: u64, length: u64) -> u64 {
    let end = offset.saturating_add(length).min(size);
    let whole = end.next_multiple_of(GROUP_BYTES).min(size);
    whole.saturating_sub(offset)
}
