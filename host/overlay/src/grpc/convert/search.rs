//! Conversion of the questions and answers of a search.

use std::sync::Arc;

use dataverse_core::holdings::Role;
use dataverse_core::limits;
use dataverse_core::pattern::Pattern;
use dataverse_core::search::{Answer, Deletion, Hit, Peer, Question};

use super::fields::{Malformed, at_most, key, list, required};
use super::record::{heard, record, sender};
use crate::grpc::proto;
use crate::grpc::proto::probe_request::Question as WireQuestion;
use crate::transport::Message;

const HITS_MAX: u32 = limits::SEARCH_HITS_MAX;

impl From<Message<Question>> for proto::ProbeRequest {
    fn from(ask: Message<Question>) -> Self {
        let question = match ask.body {
            Question::Exact {
                key,
                floor,
                pending_before,
            } => WireQuestion::Exact(proto::ExactQuestion {
                key: key.as_str().to_owned(),
                floor: floor.map(Into::into),
                pending_before: pending_before.map(Into::into),
            }),
            Question::Pattern { pattern, limit } => WireQuestion::Pattern(proto::PatternQuestion {
                pattern: pattern.as_str().to_owned(),
                limit: limit.min(HITS_MAX),
            }),
        };
        Self {
            sender: Some((&ask.sender).into()),
            question: Some(question),
        }
    }
}

impl TryFrom<proto::ProbeRequest> for Message<Question> {
    type Error = Malformed;

    fn try_from(ask: proto::ProbeRequest) -> Result<Self, Malformed> {
        let body = match required("question", ask.question)? {
            WireQuestion::Exact(exact) => Question::Exact {
                key: key(&exact.key)?,
                floor: exact.floor.map(TryInto::try_into).transpose()?,
                pending_before: exact.pending_before.map(TryInto::try_into).transpose()?,
            },
            WireQuestion::Pattern(wire) => Question::Pattern {
                pattern: Pattern::parse(&wire.pattern)
                    .map_err(|error| Malformed::new("pattern", error.to_string()))?,
                limit: at_most("limit", wire.limit, HITS_MAX)?,
            },
        };
        Ok(Self {
            sender: sender(ask.sender)?,
            body,
        })
    }
}

impl From<Message<Answer>> for proto::ProbeReply {
    fn from(reply: Message<Answer>) -> Self {
        let answer = reply.body;
        Self {
            sender: Some((&reply.sender).into()),
            hits: answer.hits.iter().map(Into::into).collect(),
            hits_are_all: answer.hits_are_all,
            known: answer.known.map(|heard| heard.version.into()),
            buried: answer.known.and_then(|heard| heard.buried).map(Into::into),
            overtaken: answer.overtaken.as_ref().map(Into::into),
            pending: answer.pending,
            deletion: held_deletion(&answer.deletion),
            load: answer.load,
            neighbours: answer.neighbours.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<proto::ProbeReply> for Message<Answer> {
    type Error = Malformed;

    fn try_from(reply: proto::ProbeReply) -> Result<Self, Malformed> {
        let body = Answer {
            hits: list(
                "hits",
                reply.hits,
                limits::SEARCH_HITS_MAX as usize,
                Hit::try_from,
            )?,
            hits_are_all: reply.hits_are_all,
            known: heard(reply.known, reply.buried)?,
            overtaken: reply.overtaken.map(Hit::try_from).transpose()?,
            pending: reply.pending,
            deletion: deletion(reply.deletion)?,
            load: reply.load,
            neighbours: list(
                "neighbours",
                reply.neighbours,
                limits::LINKS_MAX,
                Peer::try_from,
            )?,
        };
        Ok(Self {
            sender: sender(reply.sender)?,
            body,
        })
    }
}

fn held_deletion(deletion: &Deletion) -> Option<proto::HeldDeletion> {
    let record = match deletion {
        Deletion::Unsaid => return None,
        Deletion::None => None,
        Deletion::Held(record) => Some((&**record).into()),
    };
    Some(proto::HeldDeletion { record })
}

fn deletion(deletion: Option<proto::HeldDeletion>) -> Result<Deletion, Malformed> {
    let Some(proto::HeldDeletion { record: held }) = deletion else {
        return Ok(Deletion::Unsaid);
    };
    if held.is_none() {
        return Ok(Deletion::None);
    }
    let record: Arc<_> = record(held)?;
    match record.deleted {
        true => Ok(Deletion::Held(record)),
        false => Err(Malformed::new("deletion", "it is no deletion")),
    }
}

impl From<&Hit> for proto::Hit {
    fn from(hit: &Hit) -> Self {
        let role = match hit.role {
            Role::Cached => proto::Role::Cached,
            Role::Replica => proto::Role::Replica,
        };
        Self {
            record: Some((&*hit.record).into()),
            role: role.into(),
            validated_age_ms: hit.validated_age_ms,
        }
    }
}

impl TryFrom<proto::Hit> for Hit {
    type Error = Malformed;

    fn try_from(hit: proto::Hit) -> Result<Self, Malformed> {
        let role = match proto::Role::try_from(hit.role) {
            Ok(proto::Role::Cached) => Role::Cached,
            Ok(proto::Role::Replica) => Role::Replica,
            Ok(proto::Role::Unspecified) | Err(_) => {
                return Err(Malformed::new("role", "it is neither cached nor replica"));
            }
        };
        let record: Arc<_> = record(hit.record)?;
        if record.deleted {
            return Err(Malformed::new("hits", "a deleted file is not a hit"));
        }
        Ok(Self {
            record,
            role,
            validated_age_ms: hit.validated_age_ms,
        })
    }
}
