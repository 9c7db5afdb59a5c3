//! Conversion of the messages of reconciliation.

use bytes::Bytes;
use dataverse_core::filter::Filter;
use dataverse_core::id::FileId;
use dataverse_core::limits;
use dataverse_core::reconcile::{BucketRange, Compared, DigestEntry};

use super::fields::{Malformed, at_most, bytes, list, packed, required, wire_bytes};
use super::record::{record, sender};
use crate::grpc::proto;
use crate::grpc::proto::reconcile_reply::Answer as WireAnswer;
use crate::grpc::proto::reconcile_request::Ask as WireAsk;
use crate::transport::{Message, ReconcileAnswer, ReconcileAsk};

impl From<Message<ReconcileAsk>> for proto::ReconcileRequest {
    fn from(message: Message<ReconcileAsk>) -> Self {
        let ask = match message.body {
            ReconcileAsk::Root(root) => WireAsk::Root(wire_bytes(&root.to_be_bytes())),
            ReconcileAsk::Filter { known: 0 } => WireAsk::Filter(Bytes::new()),
            ReconcileAsk::Filter { known } => WireAsk::Filter(wire_bytes(&known.to_be_bytes())),
            ReconcileAsk::Compare { range, entries } => WireAsk::Compare(proto::Comparison {
                span: range.map(Into::into),
                marks: entries.iter().flat_map(wire_mark).collect(),
            }),
        };
        Self {
            sender: Some((&message.sender).into()),
            ask: Some(ask),
        }
    }
}

impl TryFrom<proto::ReconcileRequest> for Message<ReconcileAsk> {
    type Error = Malformed;

    fn try_from(wire: proto::ReconcileRequest) -> Result<Self, Malformed> {
        let body = match required("ask", wire.ask)? {
            WireAsk::Root(root) => ReconcileAsk::Root(hash("root", &root)?),
            WireAsk::Filter(tag) if tag.is_empty() => ReconcileAsk::Filter { known: 0 },
            WireAsk::Filter(tag) => ReconcileAsk::Filter {
                known: hash("filter", &tag)?,
            },
            WireAsk::Compare(wire) => ReconcileAsk::Compare {
                range: wire.span.map(TryInto::try_into).transpose()?,
                entries: packed("marks", &wire.marks, limits::RECONCILE_ENTRIES_MAX, entry)?,
            },
        };
        Ok(Self {
            sender: sender(wire.sender)?,
            body,
        })
    }
}

impl From<Message<ReconcileAnswer>> for proto::ReconcileReply {
    fn from(message: Message<ReconcileAnswer>) -> Self {
        let answer = match message.body {
            ReconcileAnswer::Agreed => WireAnswer::Agreed(true),
            ReconcileAnswer::Sums(sums) => {
                WireAnswer::Sums(sums.iter().flat_map(|sum| sum.to_be_bytes()).collect())
            }
            ReconcileAnswer::Filter(filter) => {
                WireAnswer::Filter(Bytes::copy_from_slice(filter.as_bytes()))
            }
            ReconcileAnswer::Compared(compared) => WireAnswer::Compared(proto::Differences {
                records: compared.records.iter().map(|it| (&**it).into()).collect(),
                unknown: compared.unknown.iter().flat_map(wire_file).collect(),
                until: compared.until.0,
            }),
        };
        Self {
            sender: Some((&message.sender).into()),
            answer: Some(answer),
        }
    }
}

impl TryFrom<proto::ReconcileReply> for Message<ReconcileAnswer> {
    type Error = Malformed;

    fn try_from(wire: proto::ReconcileReply) -> Result<Self, Malformed> {
        let body = match required("answer", wire.answer)? {
            WireAnswer::Agreed(_) => ReconcileAnswer::Agreed,
            WireAnswer::Sums(sums) => ReconcileAnswer::Sums(bucket_sums(&sums)?),
            WireAnswer::Filter(filter) => {
                at_most("filter", filter.len(), limits::FILTER_BYTES_MAX)?;
                let filter = Filter::from_bytes(filter.into());
                ReconcileAnswer::Filter(
                    filter.ok_or_else(|| Malformed::new("filter", "it is empty"))?,
                )
            }
            WireAnswer::Compared(wire) => ReconcileAnswer::Compared(Compared {
                records: list(
                    "records",
                    wire.records,
                    limits::RECONCILE_RECORDS_MAX,
                    |it| record(Some(it)),
                )?,
                unknown: packed(
                    "unknown",
                    &wire.unknown,
                    limits::RECONCILE_ENTRIES_MAX,
                    file,
                )?,
                until: FileId(wire.until),
            }),
        };
        Ok(Self {
            sender: sender(wire.sender)?,
            body,
        })
    }
}

impl From<BucketRange> for proto::Span {
    fn from(range: BucketRange) -> Self {
        let buckets = range.buckets.iter();
        Self {
            buckets: buckets.flat_map(|bucket| bucket.to_be_bytes()).collect(),
            after: range.after.map(|file| file.0),
            until: range.until.0,
        }
    }
}

impl TryFrom<proto::Span> for BucketRange {
    type Error = Malformed;

    fn try_from(wire: proto::Span) -> Result<Self, Malformed> {
        const BUCKETS: &str = "span.buckets";
        let max = limits::RECONCILE_BUCKETS;
        let buckets = packed(BUCKETS, &wire.buckets, max, |it| u16::from_be_bytes(*it))?;
        for bucket in &buckets {
            at_most(BUCKETS, usize::from(*bucket), max - 1)?;
        }
        Ok(Self {
            buckets: buckets.into_iter().collect(),
            after: wire.after.map(FileId),
            until: FileId(wire.until),
        })
    }
}

fn bucket_sums(wire: &Bytes) -> Result<Vec<u128>, Malformed> {
    let max = limits::RECONCILE_BUCKETS;
    let sums = packed("sums", wire, max, |it| u128::from_be_bytes(*it))?;
    if sums.len() != max {
        let reason = format!("there are {}, expected {max}", sums.len());
        return Err(Malformed::new("sums", reason));
    }
    Ok(sums)
}

fn hash(field: &'static str, wire: &Bytes) -> Result<u128, Malformed> {
    bytes(field, wire).map(u128::from_be_bytes)
}

fn wire_file(file: &FileId) -> [u8; 8] {
    file.0.to_be_bytes()
}

fn file(wire: &[u8; 8]) -> FileId {
    FileId(u64::from_be_bytes(*wire))
}

fn wire_mark(entry: &DigestEntry) -> [u8; 16] {
    let mut wire = [0; 16];
    wire[..8].copy_from_slice(&entry.file.0.to_be_bytes());
    wire[8..].copy_from_slice(&entry.fingerprint.to_be_bytes());
    wire
}

fn entry(wire: &[u8; 16]) -> DigestEntry {
    let both = u128::from_be_bytes(*wire);
    DigestEntry {
        file: FileId((both >> 64) as u64),
        fingerprint: both as u64,
    }
}

#[cfg(test)]
mod tests {
    use dataverse_core::id::NodeId;
    use dataverse_core::search::Peer;
    use dataverse_core::version::Stamp;
    use prost::Message as _;

    use super::*;
    use crate::transport::Sender;

    fn from_node<T>(body: T) -> Message<T> {
        let node = Peer {
            id: NodeId::from(u128::MAX),
            name: "node-17".into(),
            address: "192.168.178.17:7400".into(),
        };
        Message {
            sender: Sender {
                instance: 0,
                node,
                clock: Stamp(u64::MAX),
                network: "default".into(),
                protocol: 1,
            },
            body,
        }
    }

    #[test]
    fn nodes_that_agree_say_so_in_less_than_200_bytes_however_much_they_hold() {
        let ask = proto::ReconcileRequest::from(from_node(ReconcileAsk::Root(u128::MAX)));
        let answer = proto::ReconcileReply::from(from_node(ReconcileAnswer::Agreed));
        let bytes = ask.encoded_len() + answer.encoded_len();
        assert_eq!(bytes, 164, "docs/decisions/0014 states this number");
        let sums = vec![u128::MAX; limits::RECONCILE_BUCKETS];
        let sums = proto::ReconcileReply::from(from_node(ReconcileAnswer::Sums(sums)));
        assert!(sums.encoded_len() < (16 << 10) + 128);
    }

    #[track_caller]
    fn refused<T>(message: Result<T, Malformed>, field: &str) {
        let Err(wrong) = message else {
            panic!("it was accepted");
        };
        assert!(wrong.to_string().contains(field), "{wrong}");
    }

    #[test]
    fn a_spoilt_comparison_is_refused_by_the_name_of_its_field() {
        let check = |field: &str, ask: WireAsk| {
            let mut wire = proto::ReconcileRequest::from(from_node(ReconcileAsk::Root(1)));
            wire.ask = Some(ask);
            refused(Message::<ReconcileAsk>::try_from(wire), field);
        };
        let compare = |spoil: &dyn Fn(&mut proto::Comparison)| {
            let mut wire = proto::Comparison {
                span: Some(proto::Span::default()),
                marks: Bytes::from_static(&[0; 32]),
            };
            spoil(&mut wire);
            WireAsk::Compare(wire)
        };
        check("root", WireAsk::Root(Bytes::from_static(&[0; 15])));
        check("filter", WireAsk::Filter(Bytes::from_static(&[0; 17])));
        check(
            "marks",
            compare(&|wire| wire.marks = Bytes::from_static(&[0; 17])),
        );
        let many = vec![0; 16 * (limits::RECONCILE_ENTRIES_MAX + 1)];
        check("marks", compare(&|wire| wire.marks = many.clone().into()));
        let buckets = |bytes: Vec<u8>| {
            compare(&move |wire| {
                wire.span = Some(proto::Span {
                    buckets: bytes.clone().into(),
                    ..Default::default()
                });
            })
        };
        check("span.buckets", buckets(vec![0]));
        check("span.buckets", buckets(vec![4, 0]));
        check("span.buckets", buckets(vec![0; 2 * 1025]));
    }

    #[test]
    fn a_spoilt_answer_is_refused_by_the_name_of_its_field() {
        let check = |field: &str, answer: WireAnswer| {
            let mut wire = proto::ReconcileReply::from(from_node(ReconcileAnswer::Agreed));
            wire.answer = Some(answer);
            refused(Message::<ReconcileAnswer>::try_from(wire), field);
        };
        check("sums", WireAnswer::Sums(vec![0; 16 * 1023].into()));
        check("sums", WireAnswer::Sums(vec![0; 16 * 1025].into()));
        check("filter", WireAnswer::Filter(Bytes::new()));
        let long = vec![0; limits::FILTER_BYTES_MAX + 1];
        check("filter", WireAnswer::Filter(long.into()));
        let compared = |records: usize, unknown: usize| {
            WireAnswer::Compared(proto::Differences {
                records: vec![proto::Record::default(); records],
                unknown: vec![0; unknown].into(),
                until: 0,
            })
        };
        check("records", compared(limits::RECONCILE_RECORDS_MAX + 1, 0));
        check("key", compared(1, 0));
        check("unknown", compared(0, 7));
        check(
            "unknown",
            compared(0, 8 * (limits::RECONCILE_ENTRIES_MAX + 1)),
        );
    }
}
