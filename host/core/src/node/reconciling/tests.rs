use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::content::Digest;
use crate::id::FileId;
use crate::limits::RECONCILE_ENTRIES_MAX;
use crate::node::LocalRead;
use crate::pattern::Pattern;
use crate::record::Layout;
use crate::version::Stamp;

const A: u128 = 1;
const B: u128 = 2;
const OTHER: u128 = 7;

fn id(number: u128) -> NodeId {
    NodeId::from(number)
}

fn key(number: u32) -> Key {
    Key::parse(&format!("ada/{number}")).expect("it is a key")
}

fn version(stamp: u64) -> Version {
    Version {
        stamp: Stamp(stamp),
        writer: id(9),
    }
}

fn record(number: u32, stamp: u64, counter: u64, holders: &[u128]) -> Record {
    Record {
        version: version(stamp),
        layout: Layout {
            counter,
            author: id(9),
            holders: holders.iter().copied().map(id).collect(),
        },
        deleted: false,
        size: 3,
        digest: Digest::of(b"abc"),
        content_type: "text/plain".into(),
        factor: 2,
        key: key(number),
    }
}

fn deleted(record: Record) -> Record {
    Record {
        deleted: true,
        ..record
    }
}

fn holding(record: Record, role: Role) -> Holding {
    Holding {
        record: Arc::new(record),
        role,
        validated: 0,
        verified: 0,
    }
}

fn node(me: u128, held: impl IntoIterator<Item = Record>) -> Node {
    let held = held
        .into_iter()
        .map(|record| holding(record, Role::Replica));
    Node::new(id(me), Stamp::default(), held.collect())
}

/// Goes through all pages.
fn through(mut page: impl FnMut(Option<FileId>) -> Option<FileId>) {
    let mut after = None;
    loop {
        after = page(after);
        if after.is_none() {
            return;
        }
    }
}

/// One message of a comparison, answered.
fn compare(
    peer: &Node,
    asker: u128,
    range: Option<BucketRange>,
    entries: Vec<DigestEntry>,
) -> crate::reconcile::Compared {
    let mut comparison = Comparison::new(id(asker), range, entries);
    let mut confirmed = Vec::new();
    through(|after| peer.compare(&mut comparison, &mut confirmed, after));
    comparison.finish()
}

/// What a driver does with a greater record: holds it, or releases what it holds.
fn take_in(node: &mut Node, record: &Arc<Record>) {
    let me = node.id;
    let held = holding(record.as_ref().clone(), Role::Replica);
    let keeps = record.layout.names(me) || record.deleted;
    if keeps {
        node.changed(&record.key, Some(&held));
    } else {
        node.changed(&record.key, None);
    }
}

/// One whole round of `asker` with `peer`, performed as the driver performs it. Returns the number of messages.
fn round(asker: &mut Node, peer: &mut Node) -> usize {
    let (me, other) = (asker.id, peer.id);
    let mut messages = 1;
    if asker.shared_root(other) == peer.shared_root(me) {
        return messages;
    }
    let sums = peer.shared_with(me).sums();
    let buckets: BTreeSet<u16> = asker
        .shared_with(other)
        .differing(&sums)
        .into_iter()
        .collect();
    let whole = BucketRange {
        buckets,
        after: None,
        until: FileId(u64::MAX),
    };
    let mut listed = Vec::new();
    through(|after| asker.list_shared(other, &whole, &mut listed, after));
    assert!(
        listed.len() <= RECONCILE_ENTRIES_MAX,
        "one message is enough here"
    );
    let mine: BTreeMap<FileId, Arc<Record>> = listed
        .iter()
        .map(|(entry, record)| (entry.file, Arc::clone(record)))
        .collect();
    let entries = listed.iter().map(|(entry, _)| *entry).collect();
    messages += 1;
    let compared = compare(peer, 1, Some(whole), entries);
    for record in &compared.records {
        match asker.weigh(record) {
            Weighed::Greater | Weighed::Lacking => take_in(asker, record),
            Weighed::Less(own) => take_in(peer, &own),
            Weighed::Same | Weighed::Nothing => {}
        }
    }
    for file in compared.unknown {
        take_in(peer, &mine[&file]);
    }
    messages
}

#[test]
fn nodes_that_agree_say_so_in_one_message() {
    let files = || (0..3_000).map(|number| record(number, 5, 0, &[A, B]));
    let (mut a, mut b) = (node(A, files()), node(B, files()));
    assert_eq!(round(&mut a, &mut b), 1);
}

#[test]
fn the_sums_follow_every_change_of_the_index() {
    let mut changed = node(A, [record(0, 5, 0, &[A, B]), record(1, 5, 0, &[A, B])]);
    let newer = holding(record(0, 6, 0, &[A, OTHER]), Role::Replica);
    changed.changed(&key(0), Some(&newer));
    changed.changed(&key(1), None);
    let cached = holding(record(2, 6, 0, &[A, B]), Role::Cached);
    changed.changed(&key(2), Some(&cached));
    let tombstone = holding(deleted(record(3, 6, 0, &[A, B])), Role::Replica);
    changed.changed(&key(3), Some(&tombstone));
    assert_eq!(changed.shared_with(id(B)), Summary::default());
    let fresh = node(A, [record(0, 6, 0, &[A, OTHER])]);
    assert_eq!(changed.shared_root(id(OTHER)), fresh.shared_root(id(OTHER)));
}

#[test]
fn a_deletion_is_told_to_those_that_still_have_the_file_and_to_nobody_else() {
    let kept = deleted(record(0, 6, 0, &[A, B]));
    let tombstone_only = node(B, [kept.clone()]);
    let empty = node(A, []);
    assert_eq!(
        empty.shared_root(id(B)),
        tombstone_only.shared_root(id(A)),
        "one forgets a deletion before the other, and they agree"
    );
    for asks_first in [true, false] {
        let mut stale = node(A, [record(0, 5, 0, &[A, B])]);
        let mut knows = node(B, [kept.clone()]);
        if asks_first {
            round(&mut stale, &mut knows);
        } else {
            let sums = stale.shared_with(id(B)).sums();
            assert_eq!(knows.shared_with(id(A)).differing(&sums).len(), 1);
            let told = record(0, 5, 0, &[A, B]);
            let Weighed::Less(own) = knows.weigh(&told) else {
                panic!("the deletion is greater");
            };
            take_in(&mut stale, &own);
        }
        let held = stale.holding(&key(0)).expect("the deletion is held");
        assert!(held.record.deleted);
    }
}

#[test]
fn a_copy_that_shares_no_layout_is_met_through_the_filter() {
    // Two halves of a partitioned network wrote the same file on different nodes.
    let mine = node(A, [record(0, 5, 0, &[A, OTHER]), record(1, 5, 0, &[A, B])]);
    let theirs = node(B, [record(0, 6, 0, &[B, OTHER]), record(1, 5, 0, &[A, B])]);
    let mut filter = Filter::with_room_for(theirs.held());
    through(|after| theirs.filter(&mut filter, after));
    let mut met = Vec::new();
    through(|after| mine.mark_met(id(B), &filter, &mut met, after));
    let entries: Vec<_> = met.iter().map(|(entry, _)| *entry).collect();
    assert_eq!(
        entries.len(),
        1,
        "replicas that both hold are compared by digests"
    );
    let compared = compare(&theirs, A, None, entries);
    assert_eq!(compared.records[0].version, version(6));
    assert_eq!(mine.weigh(&compared.records[0]), Weighed::Greater);
}

#[test]
fn an_unverified_copy_is_shown_as_never_confirmed_and_is_not_counted() {
    let mut node = node(A, [record(0, 5, 0, &[A, B])]);
    let trusted = node.shared_root(id(B));
    let _ = node.learn(&Arc::new(record(0, 5, 0, &[A, B])));
    node.distrust_everything();
    assert_eq!(node.shared_with(id(B)), Summary::default());
    let answer = node.answer(&key(0), None, 0, 0, Vec::new());
    assert!(answer.hits[0].is_unverified() && answer.hits[0].role == Role::Cached);
    assert_eq!(answer.known, None, "an unverified copy raises no floor");
    let pattern = Pattern::parse("ada/*").expect("it is a pattern");
    assert!(node.scan(&pattern, None, 10, 0).items[0].is_unverified());
    assert!(matches!(
        node.read(&key(0), 0, u64::MAX),
        LocalRead::Confirm(_)
    ));
    assert_eq!(node.weigh(&record(0, 4, 0, &[A, B])), Weighed::Nothing);

    node.trust(&key(0), version(4));
    assert!(node.is_unverified(&key(0)), "another version was trusted");
    node.trust(&key(0), version(5));
    assert_eq!((node.unverified(), node.shared_root(id(B))), (0, trusted));
    assert!(matches!(node.read(&key(0), 0, 0), LocalRead::Serve(_)));
}

#[test]
fn an_unverified_copy_neither_tells_nor_lacks_anything_but_may_be_confirmed() {
    let mut unverified = node(B, [record(0, 5, 0, &[A, B]), record(1, 5, 0, &[A, B])]);
    unverified.distrust_everything();
    let entries = vec![
        DigestEntry::of(&record(0, 5, 0, &[A, B])),
        DigestEntry::of(&record(1, 6, 0, &[A, B])),
    ];
    let mut comparison = Comparison::new(id(A), None, entries);
    let mut confirmed = Vec::new();
    through(|after| unverified.compare(&mut comparison, &mut confirmed, after));
    assert_eq!(confirmed, [(key(0), version(5))]);
    let compared = comparison.finish();
    assert!(compared.records.is_empty() && compared.unknown.is_empty());
}

#[test]
fn what_is_written_or_moved_is_verified() {
    let mut node = node(A, [record(0, 5, 0, &[A, B]), record(1, 5, 0, &[A, B])]);
    node.distrust_everything();
    let unchanged = holding(record(0, 5, 0, &[A, B]), Role::Replica);
    node.changed(&key(0), Some(&unchanged));
    assert!(node.is_unverified(&key(0)), "only its content was checked");
    let laid_anew = holding(record(0, 5, 1, &[A, B]), Role::Replica);
    node.changed(&key(0), Some(&laid_anew));
    node.changed(&key(1), None);
    assert_eq!(node.unverified(), 0);
    let expected = super::tests::node(A, [record(0, 5, 1, &[A, B])]);
    assert_eq!(node.shared_root(id(B)), expected.shared_root(id(B)));
}

#[test]
fn only_tombstones_that_are_old_enough_are_found() {
    let mut old = holding(deleted(record(0, 5, 0, &[A, B])), Role::Replica);
    let mut in_flight = holding(deleted(record(1, 5, 0, &[A, B])), Role::Replica);
    (old.verified, in_flight.verified) = (10, 11);
    let live = holding(record(2, 5, 0, &[A, B]), Role::Replica);
    let node = Node::new(id(A), Stamp::default(), vec![old, in_flight, live]);
    let page = node.tombstones_by(10, None);
    assert_eq!(page.items, [(key(0), version(5))]);
    assert_eq!(page.resume_after, None);
}

#[test]
fn a_replica_that_is_lacking_is_told_from_one_that_is_old() {
    let mut node = node(A, []);
    assert_eq!(node.weigh(&record(0, 5, 0, &[A, B])), Weighed::Lacking);
    // What another node says is no reason to lack a replica; what this node knows itself is.
    let gone = Heard::of(&deleted(record(0, 6, 0, &[])));
    node.hear(&key(0), gone);
    assert_eq!(node.weigh(&record(0, 5, 0, &[A, B])), Weighed::Lacking);
    node.confirm(&key(0), gone);
    assert_eq!(node.weigh(&record(0, 5, 0, &[A, B])), Weighed::Nothing);
    let cached = holding(record(1, 5, 0, &[A, B]), Role::Cached);
    node.changed(&key(1), Some(&cached));
    assert_eq!(node.weigh(&record(1, 5, 0, &[A, B])), Weighed::Lacking);
}

#[test]
fn a_floor_above_what_is_held_outlasts_all_other_announcements() {
    let mut node = node(A, [record(0, 5, 0, &[A, B])]);
    node.confirm(&key(0), Heard::of(&record(0, 6, 0, &[])));
    for number in 1..=crate::limits::HEARD_FLOORS_MAX as u32 + 1 {
        node.hear(&key(number), Heard::of(&record(number, 1, 0, &[])));
    }
    let floor = Some(version(6));
    assert_eq!(node.read(&key(0), 0, 0), LocalRead::Search { floor });
    node.changed(&key(0), None);
    assert_eq!(node.known(&key(0)).map(|heard| heard.version), floor);
}

/// What one of two nodes holds of a file: version, layout counter, whether the layout names the other node,
/// whether it is a deletion.
type Drawn = Option<(u64, u64, bool, bool)>;

fn held() -> impl Strategy<Value = Drawn> {
    prop::option::of((0u64..3, 0u64..3, prop::bool::weighted(0.8), any::<bool>()))
}

fn records_of(
    me: u128,
    files: &[(Drawn, Drawn)],
    mine: fn(&(Drawn, Drawn)) -> Drawn,
) -> Vec<Record> {
    let record_of = |(number, file)| {
        let (stamp, counter, both, gone) = mine(file)?;
        let holders: &[u128] = match (both, me) {
            (true, _) => &[A, B],
            (false, A) => &[A, OTHER],
            (false, _) => &[B, OTHER],
        };
        let mut record = record(number as u32, stamp, counter, holders);
        // A version and layout identify one record, so records that differ must have different writers or authors.
        if !both {
            record.layout.author = id(me);
        }
        if gone {
            record.version.writer = id(8);
        }
        Some(Record {
            deleted: gone,
            ..record
        })
    };
    files.iter().enumerate().filter_map(record_of).collect()
}

proptest! {
    #[test]
    fn two_random_sets_converge_in_a_round_each_way_and_agree_then(
        files in prop::collection::vec((held(), held()), 0..60)
    ) {
        let mut a = node(A, records_of(A, &files, |file| file.0));
        let mut b = node(B, records_of(B, &files, |file| file.1));
        round(&mut a, &mut b);
        // The result of a round may differ again, for example in a record that names only one of them.
        round(&mut a, &mut b);
        prop_assert_eq!(round(&mut a, &mut b), 1);
        for number in 0..files.len() as u32 {
            let (one, other) = (a.holding(&key(number)), b.holding(&key(number)));
            let (Some(one), Some(other)) = (one, other) else { continue };
            let shared = |held: &Holding| [A, B].iter().all(|node| held.record.layout.names(id(*node)));
            if (shared(one) && !one.record.deleted) || (shared(other) && !other.record.deleted) {
                prop_assert_eq!(&one.record, &other.record);
            }
        }
    }
}
