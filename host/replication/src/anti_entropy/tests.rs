//! Two nodes in memory that compare their holdings, message by message, one of them lying if a test wants that.

use std::sync::Arc;

use dataverse_core::filter::Filter;
use dataverse_core::holdings::Role;
use dataverse_core::id::FileId;
use dataverse_core::limits::{RECONCILE_ENTRIES_MAX, RECONCILE_RECORDS_MAX};
use dataverse_core::node::{Node, Weighed};
use dataverse_core::reconcile::{Compared, Comparison, ReconcileAnswer, ReconcileAsk, Summary};
use dataverse_core::record::Record;
use dataverse_core::version::Stamp;
use proptest::prelude::*;

use super::*;
use crate::fixtures::{holding, id, key, peer};
use crate::upkeep::Task;

const A: u128 = 1;
const B: u128 = 2;
const OTHER: u128 = 7;

const SURVEY: Turn = Turn::Survey { last: None };

fn name(number: usize) -> String {
    format!("ada/{number}")
}

fn record(number: usize, stamp: u64, holders: &[u128]) -> Record {
    crate::fixtures::record(&name(number), stamp, 0, holders)
}

struct Side {
    id: u128,
    node: Node,
}

impl Side {
    fn new(id: u128, held: impl IntoIterator<Item = Record>) -> Self {
        Self::with(id, held.into_iter().map(|record| (Role::Replica, record)))
    }

    fn with(number: u128, held: impl IntoIterator<Item = (Role, Record)>) -> Self {
        let held = held.into_iter();
        let held = held.map(|(role, record)| holding(&Arc::new(record), role));
        Self {
            id: number,
            node: Node::new(id(number), Stamp::default(), held.collect()),
        }
    }

    fn held(&self, number: usize) -> Option<Record> {
        let held = self.node.holding(&key(&name(number)));
        held.map(|held| Record::clone(&held.record))
    }

    /// Answers a message of a comparison, as the driver does.
    fn answer(&mut self, asker: u128, ask: ReconcileAsk) -> ReconcileAnswer {
        let node = &mut self.node;
        match ask {
            ReconcileAsk::Root(root) if node.shared_root(id(asker)) == root => {
                ReconcileAnswer::Agreed
            }
            ReconcileAsk::Root(_) => ReconcileAnswer::Sums(node.shared_with(id(asker)).sums()),
            ReconcileAsk::Compare { range, entries } => {
                let mut comparison = Comparison::new(id(asker), range, entries);
                let mut confirmed = Vec::new();
                through(|after| node.compare(&mut comparison, &mut confirmed, after));
                ReconcileAnswer::Compared(comparison.finish())
            }
            ReconcileAsk::Filter { known } => {
                let mut filter = Filter::with_room_for(node.held());
                through(|after| node.filter(&mut filter, after));
                match filter.tag() == known {
                    true => ReconcileAnswer::Agreed,
                    false => ReconcileAnswer::Filter(filter),
                }
            }
        }
    }

    /// Holds the record as a replica.
    fn hold(&mut self, record: &Arc<Record>) {
        let held = holding(record, Role::Replica);
        self.node.changed(&record.key, Some(&held));
    }

    /// What becomes of a greater record once its holders have confirmed it: it is held, or what is held is released.
    fn take_in(&mut self, record: &Arc<Record>) {
        match record.deleted || record.layout.names(id(self.id)) {
            true => self.hold(record),
            false => self.node.changed(&record.key, None),
        }
    }
}

/// Goes through all pages.
fn through(mut page: impl FnMut(Option<FileId>) -> Option<FileId>) {
    let mut after = page(None);
    while after.is_some() {
        after = page(after);
    }
}

/// What became of a comparison.
struct Ran {
    asks: Vec<ReconcileAsk>,
    acts: Vec<Act>,
    outcome: TurnOutcome,
    /// Why it ended before its time.
    out_of_protocol: Option<&'static str>,
}

/// `asker` takes its turn with `other`, whose answers pass through `lie`.
fn run(
    asker: &mut Side,
    other: &mut Side,
    turn: Turn,
    mut lie: impl FnMut(&ReconcileAsk, ReconcileAnswer) -> ReconcileAnswer,
) -> Ran {
    let mut reconciliation = Reconciliation::new(id(other.id), turn);
    let (mut asks, mut acts) = (Vec::new(), Vec::new());
    let mut event = Event::Resumed;
    let out_of_protocol = loop {
        event = match reconciliation.step(&asker.node, event, || 7) {
            Step::Ask(ask) => {
                let answer = other.answer(asker.id, ask.clone());
                let answer = lie(&ask, answer);
                asks.push(ask);
                Event::Answered(answer)
            }
            Step::Yield => Event::Resumed,
            Step::Act(difference) => {
                let view = View::of(&asker.node, id(asker.id), &peer(other.id), &difference);
                let act = view.decide(&difference, |_| false).act;
                let acted = perform(asker, other, &act);
                acts.push(act);
                Event::Acted(acted)
            }
            Step::End => break None,
            Step::OutOfProtocol(reason) => break Some(reason),
        }
    };
    Ran {
        asks,
        acts,
        outcome: reconciliation.outcome(),
        out_of_protocol,
    }
}

fn perform(asker: &mut Side, other: &mut Side, act: &Act) -> Acted {
    match act {
        Act::Nothing => return Acted::Nothing,
        Act::Later => return Acted::Later,
        Act::Trust(record) => {
            asker.node.trust(&record.key, record.version);
            return Acted::Nothing;
        }
        Act::Copy(Task::Fetch { record, .. }) => asker.hold(record),
        Act::Copy(Task::Send { record, .. }) => other.hold(record),
        Act::Copy(task) => unreachable!("{task:?} copies nothing"),
        Act::TakeIn { record, .. } => asker.take_in(record),
        Act::CommitDeletion { record, .. } => other.hold(record),
        Act::Tell { record, .. } if other.node.weigh(record) == Weighed::Greater => {
            other.take_in(record);
        }
        Act::Tell { .. } => {}
    }
    Acted::Done
}

/// `asker` takes its turn with `other`, which tells the truth.
fn turn(asker: &mut Side, other: &mut Side, turn: Turn) -> Ran {
    let ran = run(asker, other, turn, |_, truth| truth);
    assert_eq!(ran.out_of_protocol, None);
    ran
}

/// A round with a node whose answers to comparisons are changed like this.
fn lied_to(asker: &mut Side, other: &mut Side, turn: Turn, lie: impl Fn(&mut Compared)) -> Ran {
    run(asker, other, turn, |_, mut answer| {
        if let ReconcileAnswer::Compared(compared) = &mut answer {
            lie(compared);
        }
        answer
    })
}

#[test]
fn nodes_that_agree_exchange_one_message() {
    let files = || (0..500).map(|number| record(number, 5, &[A, B]));
    let (mut a, mut b) = (Side::new(A, files()), Side::new(B, files()));
    let ran = turn(&mut a, &mut b, Turn::Round);
    assert_eq!((ran.asks.len(), ran.outcome), (1, TurnOutcome::default()));
}

#[test]
fn a_round_sends_and_fetches_what_only_one_has_and_takes_in_what_is_greater() {
    let mut a = Side::new(A, [record(0, 1, &[A, B]), record(1, 1, &[A, B])]);
    let mut b = Side::new(B, [record(1, 2, &[A, B]), record(2, 1, &[A, B])]);
    let ran = turn(&mut a, &mut b, Turn::Round);
    assert_eq!((ran.outcome.acted, ran.outcome.left), (3, 0));
    assert!(ran.outcome.differed && ran.outcome.buckets > 0);
    for number in 0..3 {
        assert!(a.held(number).is_some());
        assert_eq!(a.held(number), b.held(number));
    }
    assert_eq!(turn(&mut b, &mut a, Turn::Round).asks.len(), 1);
}

#[test]
fn more_files_than_fit_in_a_message_are_compared_in_several() {
    let count = RECONCILE_ENTRIES_MAX + RECONCILE_ENTRIES_MAX / 2;
    let newer = 3 * RECONCILE_RECORDS_MAX;
    let files = |newer: usize| {
        (0..count).map(move |number| record(number, 1 + u64::from(number < newer), &[A, B]))
    };
    let (mut a, mut b) = (Side::new(A, files(0)), Side::new(B, files(newer)));
    let ran = turn(&mut a, &mut b, Turn::Round);
    assert!(ran.asks.len() > 3, "{} messages", ran.asks.len());
    assert_eq!((ran.acts.len(), ran.outcome.left), (newer, 0));
    assert_eq!(turn(&mut a, &mut b, Turn::Round).asks.len(), 1);
}

#[test]
fn a_node_that_lacks_much_is_sent_a_bounded_number_of_copies() {
    let files = (0..2 * PUSHES_MAX).map(|number| record(number, 1, &[A, B]));
    let (mut a, mut b) = (Side::new(A, files), Side::new(B, []));
    for _ in 0..2 {
        let outcome = turn(&mut a, &mut b, Turn::Round).outcome;
        assert_eq!(outcome.acted, PUSHES_MAX);
    }
    assert_eq!(turn(&mut a, &mut b, Turn::Round).asks.len(), 1);
}

#[test]
fn a_survey_finds_what_no_layout_names_both_for_and_asks_for_no_filter_that_it_knows() {
    let cached = (Role::Cached, record(1, 1, &[OTHER]));
    let replica = (Role::Replica, record(0, 1, &[A, OTHER]));
    let mut a = Side::with(A, [cached, replica]);
    let deletion = Record {
        deleted: true,
        ..record(1, 2, &[OTHER])
    };
    let mut b = Side::new(B, [record(0, 2, &[B, OTHER]), deletion.clone()]);
    assert_eq!(turn(&mut a, &mut b, Turn::Round).asks.len(), 1);
    let ran = turn(&mut a, &mut b, SURVEY);
    assert_eq!((ran.asks.len(), ran.outcome.acted), (2, 2));
    assert_eq!((a.held(0), a.held(1)), (None, Some(deletion)));

    let last = turn(&mut a, &mut b, SURVEY).outcome.surveyed;
    let unchanged = turn(&mut a, &mut b, Turn::Survey { last });
    let tag = last.expect("it was surveyed").tag;
    assert_eq!(unchanged.asks, [ReconcileAsk::Filter { known: tag }]);
    assert_eq!(unchanged.outcome, TurnOutcome::default());
    a.hold(&Arc::new(record(2, 1, &[A, OTHER])));
    let changed = turn(&mut a, &mut b, Turn::Survey { last });
    assert_eq!(changed.asks[0], ReconcileAsk::Filter { known: 0 });
}

#[test]
fn a_survey_of_more_than_fits_in_a_message_compares_all_of_it() {
    let count = RECONCILE_ENTRIES_MAX + 100;
    let files = |stamp, holder| (0..count).map(move |number| record(number, stamp, &[holder]));
    let mut a = Side::new(A, files(1, A));
    let mut b = Side::new(B, files(2, B));
    let ran = turn(&mut a, &mut b, SURVEY);
    assert_eq!((ran.acts.len(), a.node.held()), (count, 0));
}

/// Two nodes with different records of one file, which this turn is to find.
fn differing_in_one(turn: Turn) -> (Side, Side) {
    let holders: &[u128] = match turn {
        Turn::Round => &[A, B],
        Turn::Survey { .. } => &[A, OTHER],
    };
    let side = |id, stamp| Side::new(id, [record(0, stamp, holders)]);
    (side(A, 1), side(B, 2))
}

#[test]
fn records_outside_what_was_asked_are_ignored() {
    for turn in [Turn::Round, SURVEY] {
        let (mut a, mut b) = differing_in_one(turn);
        let made_up: Vec<_> = (1..100)
            .map(|it| Arc::new(record(it, 9, &[A, B])))
            .collect();
        let bucket = |record: &Record| dataverse_core::reconcile::bucket_of(record.key.file_id());
        let asked = bucket(&record(0, 1, &[]));
        assert!(made_up.iter().all(|record| bucket(record) != asked));
        let ran = lied_to(&mut a, &mut b, turn, |compared| {
            compared.records.extend(made_up.iter().cloned());
        });
        assert_eq!((ran.out_of_protocol, ran.acts.len()), (None, 1), "{turn:?}");
        assert_eq!(a.node.held(), 1);
    }
}

#[test]
fn records_above_the_point_that_was_reached_are_ignored() {
    let files = |stamp| (0..20).map(move |number| record(number, stamp, &[A, OTHER]));
    let (mut a, mut b) = (Side::new(A, files(1)), Side::new(B, files(2)));
    let ran = lied_to(&mut a, &mut b, SURVEY, |compared| {
        compared.until = compared.records[0].key.file_id();
    });
    assert_eq!((ran.out_of_protocol, ran.acts.len()), (None, 20));
    assert_eq!(
        ran.asks.len(),
        21,
        "each file was asked about until it was compared"
    );
}

#[test]
fn files_said_to_be_unknown_count_once_and_only_if_they_were_asked_about() {
    let files = || (0..3).map(|number| record(number, 1, &[A, B]));
    let (mut a, mut b) = (Side::new(A, files()), Side::new(B, files().skip(1)));
    let ran = lied_to(&mut a, &mut b, Turn::Round, |compared| {
        let mut unknown: Vec<_> = (0..100)
            .map(|it| record(it, 1, &[]).key.file_id())
            .collect();
        unknown.extend(unknown.clone());
        compared.unknown = unknown;
    });
    let sent = Act::Copy(Task::Send {
        record: Arc::new(record(0, 1, &[A, B])),
        to: peer(B),
    });
    assert_eq!(ran.acts, [sent]);
    let (mut a, mut b) = (Side::new(A, files()), Side::new(B, []));
    let all: Vec<_> = (0..3).map(|it| record(it, 1, &[]).key.file_id()).collect();
    let ran = lied_to(&mut a, &mut b, Turn::Round, |compared| {
        // One file after the other is compared.
        compared.until = compared.unknown.first().copied().unwrap_or(LAST_FILE);
        compared.unknown.clone_from(&all);
    });
    assert_eq!(ran.acts.len(), 3, "{:?}", ran.acts);
    let (mut a, mut b) = (Side::new(A, files()), Side::new(B, []));
    let surveyed = lied_to(&mut a, &mut b, SURVEY, |compared| {
        compared.unknown = vec![record(0, 1, &[]).key.file_id()];
    });
    assert_eq!(surveyed.acts, [], "a filter has false positives");
}

#[test]
fn an_answer_that_goes_back_or_too_far_ends_the_comparison() {
    // Three messages are needed.
    let count = 2 * RECONCILE_ENTRIES_MAX + 100;
    let mut a = Side::new(A, (0..count).map(|number| record(number, 1, &[A, B])));
    let mut b = Side::new(B, []);
    let mut check = |until: &dyn Fn(FileId) -> FileId, asks: usize| {
        let ran = lied_to(&mut a, &mut b, Turn::Round, |compared| {
            compared.unknown.clear();
            compared.until = until(compared.until);
        });
        let why = "it compared files outside the range asked for";
        assert_eq!((ran.out_of_protocol, ran.asks.len()), (Some(why), asks));
        assert_eq!(ran.acts, []);
    };
    check(&|until| FileId(until.0.saturating_add(1)), 2);
    let first = std::cell::Cell::new(None);
    check(
        &|until| {
            let again = first.get().unwrap_or(until);
            first.set(Some(again));
            again
        },
        3,
    );
    let mut a = Side::new(A, (0..10).map(|number| record(number, 1, &[A, OTHER])));
    let mut b = Side::new(B, (0..10).map(|number| record(number, 2, &[A, OTHER])));
    let ran = lied_to(&mut a, &mut b, SURVEY, |compared| {
        compared.until = FileId(0)
    });
    let why = "it compared none of the files asked for";
    assert_eq!((ran.out_of_protocol, ran.acts.len()), (Some(why), 0));
}

#[test]
fn a_node_that_never_gets_on_is_left_after_a_bounded_number_of_messages() {
    let mut a = Side::new(A, [record(0, 1, &[A, B])]);
    let mut b = Side::new(B, []);
    let asked = std::cell::Cell::new(0);
    let ran = lied_to(&mut a, &mut b, Turn::Round, |compared| {
        compared.unknown.clear();
        compared.until = FileId(asked.get());
        asked.set(asked.get() + 1);
    });
    assert_eq!(
        (ran.out_of_protocol, ran.asks.len()),
        (None, 1 + MESSAGES_MAX)
    );
    assert_eq!((ran.acts, ran.outcome.left), (Vec::new(), 1));
}

#[test]
fn more_records_than_an_answer_may_have_end_the_comparison() {
    for turn in [Turn::Round, SURVEY] {
        let (mut a, mut b) = differing_in_one(turn);
        let ran = lied_to(&mut a, &mut b, turn, |compared| {
            let many = compared.records.iter().cycle();
            compared.records = many.take(RECONCILE_RECORDS_MAX + 1).cloned().collect();
        });
        let why = "it told of more records than an answer may have";
        assert_eq!((ran.out_of_protocol, ran.acts.len()), (Some(why), 0));
    }
}

#[test]
fn an_answer_to_another_question_ends_the_comparison() {
    let compared = Compared {
        records: Vec::new(),
        unknown: Vec::new(),
        until: LAST_FILE,
    };
    let answers = [
        ReconcileAnswer::Agreed,
        ReconcileAnswer::Sums(Summary::default().sums()),
        ReconcileAnswer::Compared(compared),
        ReconcileAnswer::Filter(Filter::with_room_for(1)),
    ];
    for turn in [Turn::Round, SURVEY] {
        for lie in &answers {
            for at in 0..2 {
                let mut a = Side::new(A, [record(0, 1, &[A, B]), record(1, 1, &[A, OTHER])]);
                let mut b = Side::new(B, [record(1, 2, &[B, OTHER])]);
                let mut asked = 0;
                let mut is_fitting = false;
                let ran = run(&mut a, &mut b, turn, |ask, truth| {
                    asked += 1;
                    if asked != at + 1 {
                        return truth;
                    }
                    is_fitting = matches!(
                        (ask, lie),
                        (
                            ReconcileAsk::Root(_),
                            ReconcileAnswer::Agreed | ReconcileAnswer::Sums(_)
                        ) | (ReconcileAsk::Filter { .. }, ReconcileAnswer::Filter(_))
                            | (ReconcileAsk::Compare { .. }, ReconcileAnswer::Compared(_))
                    );
                    lie.clone()
                });
                let is_refused = ran.out_of_protocol.is_some();
                assert_ne!(is_refused, is_fitting, "{turn:?} {at} {lie:?}");
            }
        }
    }
}

/// What one of two nodes holds of a file: version, layout counter, whether the layout names the other node, whether it
/// is a deletion.
type Drawn = Option<(u64, u64, bool, bool)>;

fn drawn() -> impl Strategy<Value = Drawn> {
    prop::option::of((0u64..3, 0u64..3, prop::bool::weighted(0.7), any::<bool>()))
}

fn side(me: u128, files: &[Drawn]) -> Side {
    let record_of = |(number, file): (usize, &Drawn)| {
        let (stamp, counter, names_both, deleted) = (*file)?;
        let holders = match names_both {
            true => [A, B],
            false => [me, OTHER],
        };
        let mut record = record(number, stamp, &holders);
        record.layout.counter = counter;
        // A version and layout identify one record, so records that differ must have different writers or authors.
        if !names_both {
            record.layout.author = id(me);
        }
        if deleted {
            record.version.writer = id(8);
        }
        Some(Record { deleted, ..record })
    };
    Side::new(me, files.iter().enumerate().filter_map(record_of))
}

proptest! {
    #[test]
    fn two_nodes_end_with_equal_records_and_with_all_replicas_that_are_to_be_on_both(
        files in prop::collection::vec((drawn(), drawn()), 0..60)
    ) {
        let (one, other): (Vec<Drawn>, Vec<Drawn>) = files.iter().copied().unzip();
        let (mut a, mut b) = (side(A, &one), side(B, &other));
        for _ in 0..2 {
            for kind in [Turn::Round, SURVEY] {
                turn(&mut a, &mut b, kind);
                turn(&mut b, &mut a, kind);
            }
        }
        for kind in [Turn::Round, SURVEY] {
            prop_assert_eq!(turn(&mut a, &mut b, kind).outcome.acted, 0);
            prop_assert_eq!(turn(&mut b, &mut a, kind).outcome.acted, 0);
        }
        for number in 0..files.len() {
            let (one, other) = (a.held(number), b.held(number));
            let is_to_be_on_both = |held: &Option<Record>| {
                let live = held.as_ref().filter(|held| !held.deleted);
                live.is_some_and(|held| [A, B].iter().all(|it| held.layout.names(id(*it))))
            };
            if is_to_be_on_both(&one) || is_to_be_on_both(&other) {
                prop_assert_eq!(&one, &other);
            }
            // Of two deletions that nothing but their holders remember, either may be forgotten first.
            if let (Some(one), Some(other)) = (&one, &other) && !(one.deleted && other.deleted) {
                prop_assert_eq!(one, other);
            }
        }
    }
}
