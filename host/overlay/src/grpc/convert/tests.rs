//! Every message survives conversion both ways; no malformed message is accepted; no bytes cause a panic.

use std::fmt::Debug;
use std::sync::Arc;

use dataverse_core::content::Digest;
use dataverse_core::filter::Filter;
use dataverse_core::floors::Heard;
use dataverse_core::holdings::Role;
use dataverse_core::id::{FileId, NodeId};
use dataverse_core::key::Key;
use dataverse_core::limits::{
    ADDRESS_BYTES_MAX, FACTOR_MAX, FILE_BYTES_MAX, GROUP_BYTES, KEY_BYTES_MAX, LINKS_MAX,
    NAME_BYTES_MAX, RECONCILE_BUCKETS, SEARCH_HITS_MAX,
};
use dataverse_core::pattern::Pattern;
use dataverse_core::reconcile::{BucketRange, Compared, DigestEntry};
use dataverse_core::record::{Layout, Record};
use dataverse_core::search::{Answer, Deletion, Hit, Peer, Question};
use dataverse_core::secret::{Nonce, Proof};
use dataverse_core::version::{Stamp, Version};
use prop::collection::{btree_set, vec};
use prop::option;
use proptest::prelude::*;
use prost::Message as _;

use super::{FetchStart, Malformed, fetched_bytes, group_tree_bytes};
use crate::grpc::proto;
use crate::limits;
use crate::transport::{
    Announcement, CommitAnswer, CommitAsk, FetchAsk, GossipPacket, IntroduceAsk, LinkAnswer,
    LinkAsk, Message, MoveAsk, PrepareAnswer, PrepareAsk, PullAsk, ReconcileAnswer, ReconcileAsk,
    Sender, TrustAnswer, TrustAsk, UnlinkAsk,
};

fn node_id() -> impl Strategy<Value = NodeId> {
    any::<u128>().prop_map(NodeId::from)
}

fn key() -> impl Strategy<Value = Key> {
    "[a-zü]{1,9}/[a-z0-9 ]{1,20}(/[a-z.]{3,9})?"
        .prop_filter_map("it is a key", |text| Key::parse(&text).ok())
}

fn address() -> impl Strategy<Value = String> {
    let host = prop_oneof!["[a-z][a-z0-9.-]{0,20}", Just("[::1]".to_owned())];
    (host, 1..=u16::MAX).prop_map(|(host, port)| format!("{host}:{port}"))
}

fn peer() -> impl Strategy<Value = Peer> {
    (node_id(), "[A-Za-zß]{1,20}", address()).prop_map(|(id, name, address)| Peer {
        id,
        name: name.into(),
        address: address.into(),
    })
}

fn sender() -> impl Strategy<Value = Sender> {
    let parts = (
        peer(),
        any::<u64>(),
        "[a-z]{0,9}",
        any::<u32>(),
        any::<u64>(),
    );
    parts.prop_map(|(node, clock, network, protocol, instance)| Sender {
        node,
        clock: Stamp(clock),
        network: network.into(),
        protocol,
        instance,
    })
}

fn version() -> impl Strategy<Value = Version> {
    (any::<u64>(), node_id()).prop_map(|(stamp, writer)| Version {
        stamp: Stamp(stamp),
        writer,
    })
}

fn layout() -> impl Strategy<Value = Layout> {
    let holders = btree_set(node_id(), 0..=FACTOR_MAX as usize).prop_shuffle_set();
    (any::<u64>(), node_id(), holders).prop_map(|(counter, author, holders)| Layout {
        counter,
        author,
        holders,
    })
}

trait ShuffledSet: Strategy<Value = std::collections::BTreeSet<NodeId>> + Sized {
    fn prop_shuffle_set(self) -> impl Strategy<Value = Vec<NodeId>> {
        self.prop_map(Vec::from_iter).prop_shuffle()
    }
}

impl<S: Strategy<Value = std::collections::BTreeSet<NodeId>>> ShuffledSet for S {}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

fn record() -> impl Strategy<Value = Arc<Record>> {
    let size = 0..=FILE_BYTES_MAX;
    let kind = ("[a-z]{0,9}/[a-z]{0,9}", 0..=FACTOR_MAX, any::<bool>());
    (key(), version(), layout(), size, digest(), kind).prop_map(
        |(key, version, layout, size, digest, (content_type, factor, deleted))| {
            let is_empty = deleted || size == 0;
            Arc::new(Record {
                key,
                version,
                layout,
                deleted,
                size: if is_empty { 0 } else { size },
                digest: if is_empty { Digest::of(&[]) } else { digest },
                content_type: content_type.into(),
                factor,
            })
        },
    )
}

fn hit() -> impl Strategy<Value = Hit> {
    let role = prop_oneof![Just(Role::Cached), Just(Role::Replica)];
    (record(), role, any::<u64>()).prop_map(|(record, role, validated_age_ms)| Hit {
        record: Arc::new(Record {
            deleted: false,
            ..Arc::unwrap_or_clone(record)
        }),
        role,
        validated_age_ms,
    })
}

fn question() -> impl Strategy<Value = Question> {
    let exact = (key(), option::of(version()), option::of(version()));
    let pattern = ("[a-z]{1,9}/[a-z]{1,9}", 0..=SEARCH_HITS_MAX);
    prop_oneof![
        exact.prop_map(|(key, floor, pending_before)| Question::Exact {
            key,
            floor,
            pending_before,
        }),
        pattern.prop_map(|(text, limit)| Question::Pattern {
            pattern: Pattern::parse(&text).expect("it is a pattern"),
            limit,
        }),
    ]
}

/// What may have been heard in addition to a version.
fn heard(version: Version, choice: u32) -> Heard {
    let older = Version {
        stamp: Stamp(version.stamp.0 / 2),
        ..version
    };
    match choice % 3 {
        0 => Heard::alive(version),
        1 => Heard::deletion(version),
        _ => Heard::alive(version).and(Heard::deletion(older)),
    }
}

fn answer() -> impl Strategy<Value = Answer> {
    let parts = (
        vec(hit(), 0..4),
        option::of(version()),
        any::<u32>(),
        vec(peer(), 0..4),
    );
    parts.prop_map(|(hits, known, load, neighbours)| Answer {
        overtaken: hits.first().filter(|_| load % 3 == 0).cloned(),
        deletion: match (load % 3, hits.first()) {
            (0, _) => Deletion::Unsaid,
            (1, Some(hit)) => Deletion::Held(Arc::new(Record {
                deleted: true,
                size: 0,
                digest: Digest::of(&[]),
                ..Record::clone(&hit.record)
            })),
            _ => Deletion::None,
        },
        hits,
        hits_are_all: load % 2 == 0,
        known: known.map(|version| heard(version, load)),
        pending: load % 5 == 0,
        load,
        neighbours,
    })
}

/// Converts a message to bytes and back.
fn check<T, W>(sender: &Sender, body: &T) -> Result<(), TestCaseError>
where
    T: Clone + PartialEq + Debug,
    W: From<Message<T>> + TryInto<Message<T>, Error = Malformed> + prost::Message + Default,
{
    let sent = Message {
        sender: sender.clone(),
        body: body.clone(),
    };
    let bytes = W::from(sent).encode_to_vec();
    let wire = W::decode(bytes.as_slice()).expect("it was just encoded");
    let Message {
        sender: from,
        body: arrived,
    } = wire.try_into().expect("it is valid");
    prop_assert_eq!(&from, sender);
    prop_assert_eq!(&arrived, body);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn small_messages_come_back_as_they_were(
        from in sender(), flag in any::<bool>(), other in address(), packet in vec(any::<u8>(), 0..99)
    ) {
        check::<_, proto::Ack>(&from, &())?;
        check::<_, proto::UnlinkRequest>(&from, &UnlinkAsk)?;
        for leaving in [false, true] {
            for nonce in [None, Nonce::from_bytes(&[1; 16]), Nonce::from_bytes(&[2; 32])] {
                let ask = LinkAsk { explicit: flag, leaving, nonce };
                check::<_, proto::LinkRequest>(&from, &ask)?;
            }
        }
        let proof = flag.then(|| Proof::from_bytes([3; 32]));
        for answer in [
            LinkAnswer::Linked,
            LinkAnswer::Cut,
            LinkAnswer::Leaving,
            LinkAnswer::Isolated { proof },
            LinkAnswer::Taken { by: other.as_str().into(), proof },
        ] {
            check::<_, proto::LinkReply>(&from, &answer)?;
        }
        check::<_, proto::IntroduceRequest>(&from, &IntroduceAsk { other })?;
        let digest = [packet.len() as u8; 32];
        let statements = vec![packet.clone().into(), bytes::Bytes::new()];
        let ask = TrustAsk { digest, statements: statements.clone() };
        check::<_, proto::TrustRequest>(&from, &ask)?;
        check::<_, proto::TrustReply>(&from, &TrustAnswer { digest, statements })?;
        check::<_, proto::GossipRequest>(&from, &GossipPacket(packet.into()))?;
    }

    #[test]
    fn searches_come_back_as_they_were(
        from in sender(), question in question(), answer in answer()
    ) {
        check::<_, proto::ProbeRequest>(&from, &question)?;
        check::<_, proto::ProbeReply>(&from, &answer)?;
    }

    #[test]
    fn transfers_come_back_as_they_were(
        from in sender(), key in key(), version in version(), size in 0..=FILE_BYTES_MAX,
        known in option::of(version()), digest in digest(), number in any::<u128>(), record in record(),
    ) {
        let offset = size / GROUP_BYTES * GROUP_BYTES;
        let ask = FetchAsk { key: key.clone(), version, offset, length: size };
        check::<_, proto::FetchRequest>(&from, &ask)?;
        for size in [None, Some(size)] {
            let ask = PrepareAsk { preparation: number, key: key.clone(), size };
            check::<_, proto::PrepareHeader>(&from, &ask)?;
        }
        check::<_, proto::PrepareReply>(&from, &PrepareAnswer { digest, size, known: known.map(|version| heard(version, number as u32)) })?;
        let content_bytes = record.size;
        let tree_bytes = group_tree_bytes(record.size);
        let start = FetchStart { sender: from, record, tree_bytes, content_bytes };
        let bytes = proto::FetchHeader::from(start.clone()).encode_to_vec();
        let wire = proto::FetchHeader::decode(bytes.as_slice()).expect("it was just encoded");
        prop_assert_eq!(FetchStart::try_from(wire), Ok(start));
    }

    #[test]
    fn records_come_back_as_they_were(
        from in sender(), record in record(), holder in peer(), count in any::<u32>(), number in any::<u128>(),
    ) {
        for preparation in [None, Some(number)] {
            let ask = CommitAsk::Commit { preparation, record: record.clone() };
            check::<_, proto::CommitRequest>(&from, &ask)?;
        }
        check::<_, proto::CommitRequest>(&from, &CommitAsk::Abandon { preparation: number })?;
        check::<_, proto::CommitReply>(&from, &CommitAnswer::Done)?;
        check::<_, proto::CommitReply>(&from, &CommitAnswer::Superseded(record.clone()))?;
        let news = Announcement { record: record.clone(), hops_left: count };
        check::<_, proto::AnnounceRequest>(&from, &news)?;
        let moved = MoveAsk { key: record.key.clone(), relieves: number % 2 == 0, to: holder.clone() };
        check::<_, proto::MoveRequest>(&from, &moved)?;
        check::<_, proto::PullRequest>(&from, &PullAsk { record, from: holder, hops: count })?;
    }

    #[test]
    fn comparisons_come_back_as_they_were(
        from in sender(), root in 1..=u128::MAX, buckets in btree_set(0u16..1024, 0..20),
        files in vec(any::<u64>(), 0..20), record in record(), bytes in vec(any::<u8>(), 1..99),
    ) {
        check::<_, proto::ReconcileRequest>(&from, &ReconcileAsk::Root(root))?;
        check::<_, proto::ReconcileRequest>(&from, &ReconcileAsk::Filter { known: root })?;
        let ids: Vec<FileId> = files.iter().copied().map(FileId).collect();
        let range = BucketRange { buckets, after: ids.first().copied(), until: FileId(root as u64) };
        let entries: Vec<DigestEntry> = ids.iter().map(|file| DigestEntry { file: *file, fingerprint: !file.0 }).collect();
        for range in [None, Some(range)] {
            let ask = ReconcileAsk::Compare { range, entries: entries.clone() };
            check::<_, proto::ReconcileRequest>(&from, &ask)?;
        }
        let sums = ReconcileAnswer::Sums(vec![root; RECONCILE_BUCKETS]);
        let filter = Filter::from_bytes(bytes).expect("it is neither empty nor long");
        let compared = Compared { records: vec![record], unknown: ids, until: FileId(root as u64) };
        for answer in [
            ReconcileAnswer::Agreed,
            sums,
            ReconcileAnswer::Filter(filter),
            ReconcileAnswer::Compared(compared),
        ] {
            check::<_, proto::ReconcileReply>(&from, &answer)?;
        }
    }

    #[test]
    fn any_bytes_are_a_message_or_refused(bytes in vec(any::<u8>(), 0..300)) {
        decode_all(&bytes);
    }

    #[test]
    fn a_message_with_wrong_bytes_in_it_is_still_one_or_refused(
        from in sender(), answer in answer(), record in record(),
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut in any::<prop::sample::Index>(),
    ) {
        let reply = Message { sender: from.clone(), body: answer };
        let news = Message { sender: from, body: Announcement { record, hops_left: 1 } };
        for mut bytes in [
            proto::ProbeReply::from(reply).encode_to_vec(),
            proto::AnnounceRequest::from(news).encode_to_vec(),
        ] {
            for (at, byte) in &flips {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            decode_all(&bytes);
            bytes.truncate(cut.index(bytes.len()));
            decode_all(&bytes);
        }
    }

    #[test]
    fn what_is_fetched_ends_with_a_group_or_the_file(
        size in 0..=8 * GROUP_BYTES, group in 0u64..9, length in 0..=9 * GROUP_BYTES
    ) {
        let offset = group * GROUP_BYTES;
        let end = offset + fetched_bytes(size, offset, length);
        prop_assert!(end <= size.max(offset));
        prop_assert!(end >= (offset + length).min(size));
        prop_assert!(end == offset || end == size || end.is_multiple_of(GROUP_BYTES));
        prop_assert!(end < offset + length + GROUP_BYTES);
    }
}

/// Tries to read these bytes as every message that can arrive.
fn decode_all(bytes: &[u8]) {
    fn try_as<T, W: prost::Message + Default + TryInto<T>>(bytes: &[u8]) {
        if let Ok(wire) = W::decode(bytes) {
            // Whether it parses does not matter here.
            drop(wire.try_into());
        }
    }
    try_as::<Message<LinkAsk>, proto::LinkRequest>(bytes);
    try_as::<Message<LinkAnswer>, proto::LinkReply>(bytes);
    try_as::<Message<IntroduceAsk>, proto::IntroduceRequest>(bytes);
    try_as::<Message<UnlinkAsk>, proto::UnlinkRequest>(bytes);
    try_as::<Message<()>, proto::Ack>(bytes);
    try_as::<Message<Question>, proto::ProbeRequest>(bytes);
    try_as::<Message<Answer>, proto::ProbeReply>(bytes);
    try_as::<Message<FetchAsk>, proto::FetchRequest>(bytes);
    try_as::<FetchStart, proto::FetchHeader>(bytes);
    try_as::<Message<PrepareAsk>, proto::PrepareHeader>(bytes);
    try_as::<Message<PrepareAnswer>, proto::PrepareReply>(bytes);
    try_as::<Message<CommitAsk>, proto::CommitRequest>(bytes);
    try_as::<Message<CommitAnswer>, proto::CommitReply>(bytes);
    try_as::<Message<PullAsk>, proto::PullRequest>(bytes);
    try_as::<Message<MoveAsk>, proto::MoveRequest>(bytes);
    try_as::<Message<Announcement>, proto::AnnounceRequest>(bytes);
    try_as::<Message<ReconcileAsk>, proto::ReconcileRequest>(bytes);
    try_as::<Message<ReconcileAnswer>, proto::ReconcileReply>(bytes);
    try_as::<Message<TrustAsk>, proto::TrustRequest>(bytes);
    try_as::<Message<TrustAnswer>, proto::TrustReply>(bytes);
    try_as::<Message<GossipPacket>, proto::GossipRequest>(bytes);
}

/// A valid record on the wire, for tests to break.
fn wire_record() -> proto::Record {
    proto::Record {
        key: "ada/x".to_owned(),
        version: Some(proto::Version {
            stamp: 1,
            writer: vec![1; 16].into(),
        }),
        layout: Some(proto::Layout {
            counter: 1,
            author: vec![1; 16].into(),
            holders: vec![vec![1; 16].into()],
        }),
        deleted: false,
        size: 5,
        digest: vec![2; 32].into(),
        content_type: "text/plain".to_owned(),
        factor: 2,
    }
}

/// The same, of a file without bytes.
fn wire_empty_record() -> proto::Record {
    proto::Record {
        size: 0,
        digest: Digest::of(&[]).0.to_vec().into(),
        ..wire_record()
    }
}

fn wire_peer() -> proto::Peer {
    proto::Peer {
        id: vec![1; 16].into(),
        name: "A".to_owned(),
        address: "a.example:7400".to_owned(),
    }
}

fn refused<T: Debug, W: TryInto<T, Error = Malformed>>(wire: W, field: &str) {
    let error = wire.try_into().expect_err(field).to_string();
    assert!(error.contains(field), "{error} does not name {field}");
}

#[test]
fn a_spoilt_record_is_refused_by_the_name_of_its_field() {
    let check = |field: &str, spoil: fn(&mut proto::Record)| {
        let mut wire = wire_record();
        spoil(&mut wire);
        refused::<Record, _>(wire, field);
    };
    assert!(Record::try_from(wire_record()).is_ok());
    check("key", |record| record.key = "../x".to_owned());
    check("record.version", |record| record.version = None);
    check("version.writer", |record| {
        record.version = Some(proto::Version::default());
    });
    check("record.layout", |record| record.layout = None);
    check("layout.author", |record| {
        record.layout = Some(proto::Layout::default());
    });
    check("layout.holders", |record| {
        let layout = record.layout.get_or_insert_default();
        layout.holders = vec![vec![1; 16].into(); 2];
    });
    check("layout.holders", |record| {
        let layout = record.layout.get_or_insert_default();
        let ids = (0..=FACTOR_MAX).map(|id| vec![id as u8; 16].into());
        layout.holders = ids.collect();
    });
    check("record.size", |record| record.size = FILE_BYTES_MAX + 1);
    check("record.digest", |record| record.digest = vec![2; 31].into());
    check("record.digest", |record| record.size = 0);
    check("record.digest", |record| record.deleted = true);
    check("record.digest", |record| {
        record.digest = wire_empty_record().digest;
    });
    assert!(Record::try_from(wire_empty_record()).is_ok());
    check("record.content_type", |record| {
        record.content_type = "x".repeat(256)
    });
    check("record.content_type", |record| {
        record.content_type = "a\nb".to_owned()
    });
    check("record.factor", |record| record.factor = FACTOR_MAX + 1);
}

#[test]
fn a_spoilt_peer_is_refused_by_the_name_of_its_field() {
    let check = |field: &str, spoil: fn(&mut proto::Peer)| {
        let mut wire = wire_peer();
        spoil(&mut wire);
        refused::<Peer, _>(wire, field);
    };
    assert!(Peer::try_from(wire_peer()).is_ok());
    check("id", |peer| peer.id = vec![1; 17].into());
    check("name", |peer| peer.name = String::new());
    check("name", |peer| peer.name = "x".repeat(65));
    check("name", |peer| peer.name = "\u{1b}[31m".to_owned());
    check("address", |peer| peer.address = "a.example".to_owned());
    check("address", |peer| peer.address = "a/../b:1".to_owned());
    check("address", |peer| peer.address = "a:+1".to_owned());
    check("address", |peer| peer.address = "a:0".to_owned());
    check("address", |peer| {
        peer.address = format!("{}:1", "x".repeat(300))
    });
}

#[test]
fn a_nonce_or_a_proof_of_another_length_is_refused() {
    let sender = Some(proto::Sender {
        node: Some(wire_peer()),
        ..Default::default()
    });
    for len in [1, 15, 33] {
        let ask = proto::LinkRequest {
            sender: sender.clone(),
            nonce: vec![1; len].into(),
            ..Default::default()
        };
        refused::<Message<LinkAsk>, _>(ask, "nonce");
    }
    for len in [1, 31, 33] {
        let answer = proto::LinkReply {
            sender: sender.clone(),
            isolated: true,
            proof: vec![1; len].into(),
            ..Default::default()
        };
        refused::<Message<LinkAnswer>, _>(answer, "proof");
    }
}

#[test]
fn a_spoilt_answer_is_refused_by_the_name_of_its_field() {
    let hit = || proto::Hit {
        record: Some(wire_record()),
        role: proto::Role::Replica.into(),
        validated_age_ms: 0,
    };
    let check = |field: &str, spoil: &dyn Fn(&mut proto::ProbeReply)| {
        let node = Some(wire_peer());
        let mut wire = proto::ProbeReply {
            sender: Some(proto::Sender {
                node,
                ..Default::default()
            }),
            hits: vec![hit()],
            ..Default::default()
        };
        assert!(Message::<Answer>::try_from(wire.clone()).is_ok());
        spoil(&mut wire);
        refused::<Message<Answer>, _>(wire, field);
    };
    check("sender", &|reply| reply.sender = None);
    check("role", &|reply| reply.hits[0].role = 0);
    check("role", &|reply| reply.hits[0].role = 77);
    check("record", &|reply| reply.hits[0].record = None);
    check("hits", &|reply| {
        reply.hits[0].record = Some(proto::Record {
            deleted: true,
            ..wire_empty_record()
        });
    });
    check("hits", &|reply| {
        reply.hits = vec![hit(); SEARCH_HITS_MAX as usize + 1]
    });
    check("neighbours", &|reply| {
        reply.neighbours = vec![wire_peer(); LINKS_MAX + 1]
    });
}

#[test]
fn the_largest_answer_fits_into_a_message() {
    let record = proto::Record {
        key: "x".repeat(KEY_BYTES_MAX),
        size: u64::MAX,
        content_type: "x".repeat(limits::CONTENT_TYPE_BYTES_MAX),
        layout: Some(proto::Layout {
            counter: u64::MAX,
            author: vec![1; 16].into(),
            holders: vec![vec![1; 16].into(); FACTOR_MAX as usize],
        }),
        ..wire_record()
    };
    let hit = proto::Hit {
        record: Some(record),
        role: proto::Role::Replica.into(),
        validated_age_ms: u64::MAX,
    };
    let peer = proto::Peer {
        name: "x".repeat(NAME_BYTES_MAX),
        address: "x".repeat(ADDRESS_BYTES_MAX),
        ..wire_peer()
    };
    let reply = proto::ProbeReply {
        sender: None,
        hits: vec![hit; SEARCH_HITS_MAX as usize],
        neighbours: vec![peer; LINKS_MAX],
        ..Default::default()
    };
    assert!(reply.encoded_len() + 1024 < limits::MESSAGE_BYTES_MAX);
}
