use super::*;

fn content(name: &str) -> Digest {
    let mut bytes = [0; 32];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    Digest(bytes)
}

fn requires(condition: &str) -> Requires {
    match condition.strip_prefix("if ") {
        None => Requires::Nothing,
        Some("absent") => Requires::Absence,
        Some("present") => Requires::Presence,
        Some(digests) => Requires::Content(digests.split('|').map(content).collect()),
    }
}

fn outcome(word: &str) -> Outcome {
    match word {
        "done" => Outcome::Done,
        "unchanged" => Outcome::Unchanged,
        "refused" => Outcome::Refused,
        "missing" => Outcome::Missing,
        "unknown" => Outcome::Unknown,
        found => Outcome::Found(content(found)),
    }
}

/// An operation like `1-4 write a if absent: done`, `2-9 delete: done` or `3-5 read: a`. `overtake` is a write that
/// may be overtaken.
fn operation(number: usize, line: &str) -> Operation {
    let (times, rest) = line.split_once(' ').expect("a line begins with times");
    let (invoked, returned) = times.split_once('-').expect("times have two parts");
    let (request, word) = rest.split_once(": ").expect("a line ends with an outcome");
    let (verb, rest) = request.split_once(' ').unwrap_or((request, ""));
    Operation {
        number: number as u64,
        invoked: invoked.parse().expect("a moment is a number"),
        returned: returned.parse().ok(),
        request: match verb {
            "write" | "overtake" => {
                let (name, condition) = rest.split_once(' ').unwrap_or((rest, ""));
                Request::Write {
                    content: content(name),
                    requires: requires(condition),
                }
            }
            "delete" => Request::Delete {
                requires: requires(rest),
            },
            _ => Request::Read,
        },
        outcome: outcome(word),
        may_be_overtaken: verb == "overtake",
    }
}

fn judged(lines: &[&str]) -> Result<(), Anomaly> {
    let lines = lines.iter().enumerate();
    let history: Vec<Operation> = lines.map(|(at, line)| operation(at, line)).collect();
    match judge(&history) {
        Judgement::Linearizable => Ok(()),
        Judgement::Violated(violation) => Err(violation.anomaly),
        Judgement::Undecided { states } => panic!("undecided after {states} states"),
    }
}

#[track_caller]
fn check(lines: &[&str], expected: Result<(), Anomaly>) {
    assert_eq!(judged(lines), expected, "{lines:#?}");
}

#[test]
fn one_after_the_other_fits() {
    check(&[], Ok(()));
    check(
        &[
            "1-2 read: missing",
            "3-4 write a if absent: done",
            "5-6 write b if absent: refused",
            "7-8 write b if a: done",
            "9-10 write c if a: refused",
            "11-12 read: b",
            "13-14 write c if present: done",
            "15-16 delete if b: refused",
            "17-18 delete if b|c: done",
            "19-20 delete: missing",
            "21-22 write d if present: refused",
            "23-24 write d: done",
            "25-26 delete: done",
            "27-28 read: missing",
        ],
        Ok(()),
    );
}

#[test]
fn concurrent_operations_have_any_order() {
    check(
        &[
            "1-10 write a: done",
            "2-9 write b: done",
            "3-4 read: b",
            "5-6 read: a",
        ],
        Ok(()),
    );
    check(
        &[
            "1-8 write a if absent: done",
            "2-7 write b if absent: refused",
            "3-4 read: missing",
            "5-6 read: a",
        ],
        Ok(()),
    );
    // Of two swaps one wins.
    check(
        &[
            "1-2 write a if absent: done",
            "3-6 write b if a: done",
            "4-5 write c if a: refused",
            "7-8 read: b",
        ],
        Ok(()),
    );
}

#[test]
fn two_cannot_both_create_a_file() {
    check(
        &["1-4 write a if absent: done", "2-3 write b if absent: done"],
        Err(Anomaly::DoubleWinner),
    );
    check(
        &[
            "1-2 write a if absent: done",
            "3-4 read: a",
            "5-8 write b if absent: done",
            "6-7 write c if b: done",
            "9-10 delete: done",
        ],
        Err(Anomaly::DoubleWinner),
    );
    // Unless it was deleted between them, or may have been.
    check(
        &[
            "1-5 write a if absent: done",
            "2-6 delete: done",
            "3-7 write b if absent: done",
        ],
        Ok(()),
    );
    check(
        &[
            "1-4 write a if absent: done",
            "2-3 write b if absent: done",
            "1-… delete: unknown",
        ],
        Ok(()),
    );
}

#[test]
fn an_update_is_not_lost() {
    check(
        &[
            "1-2 write a if absent: done",
            "3-6 write b if a: done",
            "4-5 write c if a: done",
        ],
        Err(Anomaly::LostUpdate),
    );
    check(
        &[
            "1-2 write a: done",
            "3-4 write b: done",
            "5-6 write c if a: done",
        ],
        Err(Anomaly::LostUpdate),
    );
    check(
        &[
            "1-2 write a: done",
            "3-6 write b if a: done",
            "4-5 delete if a: done",
        ],
        Err(Anomaly::LostUpdate),
    );
}

#[test]
fn a_newest_read_is_not_stale() {
    check(
        &["1-2 write a: done", "3-4 write b: done", "5-6 read: a"],
        Err(Anomaly::WrongRead),
    );
    check(
        &["1-2 write a: done", "3-4 read: missing"],
        Err(Anomaly::WrongRead),
    );
    // Two reads one after the other that saw two concurrent writes in turn, back and forth.
    check(
        &[
            "1-10 write a: done",
            "2-9 write b: done",
            "3-4 read: b",
            "5-6 read: a",
            "7-8 read: b",
        ],
        Err(Anomaly::WrongRead),
    );
    check(&["1-2 read: a"], Err(Anomaly::WrongRead));
}

#[test]
fn a_refusal_needs_a_reason() {
    check(
        &["1-2 write a if absent: refused"],
        Err(Anomaly::WrongRefusal),
    );
    check(
        &["1-2 write a: done", "3-4 write b if a: refused"],
        Err(Anomaly::WrongRefusal),
    );
    check(&["1-2 delete: refused"], Err(Anomaly::WrongRefusal));
}

#[test]
fn what_is_unknown_happens_late_or_never() {
    let begin = ["1-2 write a: done", "3-… write b: unknown"];
    let follows = |lines: &[&'static str]| [&begin[..], lines].concat();
    check(&follows(&["5-6 read: a"]), Ok(()));
    check(&follows(&["5-6 read: b"]), Ok(()));
    check(&follows(&["5-6 read: a", "7-8 read: b"]), Ok(()));
    // It happens once.
    check(
        &follows(&["5-6 read: b", "7-8 write c: done", "9-10 read: b"]),
        Err(Anomaly::WrongRead),
    );
    // It does not happen before it began.
    check(
        &["1-2 read: b", "3-… write b: unknown"],
        Err(Anomaly::WrongRead),
    );
    // With a condition it happens only when that holds.
    check(
        &[
            "1-… write b if absent: unknown",
            "2-3 write a if absent: done",
            "4-5 read: b",
        ],
        Err(Anomaly::WrongRead),
    );
    // One may be needed by another.
    check(
        &[
            "1-… write a: unknown",
            "2-… write b if a: unknown",
            "3-… write c if b: unknown",
            "4-5 read: c",
            "6-… delete: unknown",
            "7-8 read: missing",
        ],
        Ok(()),
    );
    // Nobody observed it, yet it refused another.
    check(
        &[
            "1-… write a if absent: unknown",
            "2-3 write b if absent: refused",
            "4-5 write c: done",
        ],
        Ok(()),
    );
}

#[test]
fn deletions_have_their_place() {
    check(
        &[
            "1-2 write a: done",
            "3-6 delete: done",
            "4-5 delete: done",
            "7-8 read: missing",
        ],
        Ok(()),
    );
    check(
        &["1-2 write a: done", "3-4 delete: done", "5-6 read: a"],
        Err(Anomaly::WrongRead),
    );
    check(
        &["1-2 write a: done", "3-4 delete: missing"],
        Err(Anomaly::WrongRead),
    );
}

#[test]
fn a_deletion_happens_once() {
    let twice = [
        "1-2 write a: done",
        "3-12 delete: done",
        "4-5 read: missing",
        "6-7 write b: done",
        "8-9 read: missing",
    ];
    check(&twice, Err(Anomaly::WrongRead));
    check(&[&twice[..], &["8-… delete: unknown"]].concat(), Ok(()));
}

#[test]
fn a_repeated_write_learns_whether_it_happened() {
    let begin = ["1-… write a if absent: unknown"];
    let follows = |lines: &[&'static str]| [&begin[..], lines].concat();
    check(&follows(&["2-3 write a if absent: unchanged"]), Ok(()));
    // The first did not happen then.
    check(&follows(&["2-3 write a if absent: done"]), Ok(()));
    // The file has what was to be written, but the first was still under way when the second began.
    check(
        &follows(&["2-3 read: a", "4-5 write a if absent: refused"]),
        Ok(()),
    );
    check(
        &follows(&["2-3 read: a", "4-5 write a if absent: done"]),
        Err(Anomaly::WrongRead),
    );
    check(
        &[
            "1-2 write a if absent: done",
            "3-4 write b if a: done",
            "5-6 write a if absent: unchanged",
        ],
        Err(Anomaly::Other),
    );
}

#[test]
fn only_a_write_that_may_be_overtaken_leaves_no_trace() {
    let below = ["1-2 write a: done", "3-4 overtake b: done", "5-6 read: a"];
    check(&below, Ok(()));
    check(
        &[&below[..], &["7-8 read: b"]].concat(),
        Err(Anomaly::WrongRead),
    );
    check(
        &["1-2 overtake a: done", "3-4 write b: done", "5-6 read: a"],
        Err(Anomaly::WrongRead),
    );
    // It must still begin before what it is seen by.
    check(
        &[
            "1-2 overtake a: done",
            "3-4 read: a",
            "5-6 overtake b: done",
        ],
        Ok(()),
    );
    // One with a condition is never overtaken.
    check(
        &[
            "1-2 write a if absent: done",
            "3-4 overtake b if a: done",
            "5-6 read: a",
        ],
        Err(Anomaly::WrongRead),
    );
}

#[test]
fn what_is_too_hard_is_undecided() {
    let writes = (0..12).map(|at| format!("{}-{} write w{at}: done", at + 1, at + 100));
    let mut lines: Vec<String> = writes.collect();
    lines.push("200-201 read: none".to_owned());
    let history: Vec<Operation> = (lines.iter().enumerate())
        .map(|(at, line)| operation(at, line))
        .collect();
    assert!(matches!(
        judge_within(&history, 1_000),
        Judgement::Undecided { .. }
    ));
    assert!(matches!(judge(&history), Judgement::Violated(_)));
}

#[test]
fn an_explanation_names_what_contradicts() {
    let lines = [
        "1-2 write a if absent: done",
        "3-4 read: a",
        "5-12 write b if a: done",
        "6-7 write c if a: done",
        "8-9 read: c",
        "10-… write d: unknown",
        "11-13 read: c",
    ];
    let lines = lines.iter().enumerate();
    let history: Vec<Operation> = lines.map(|(at, line)| operation(at, line)).collect();
    let Judgement::Violated(violation) = judge(&history) else {
        panic!("it has no order");
    };
    let core: Vec<u64> = violation.core.iter().map(|it| it.number).collect();
    assert_eq!(core, [2, 3], "{violation}");
    let beside: Vec<u64> = violation.beside.iter().map(|it| it.number).collect();
    assert_eq!(beside, [0], "{violation}");
    assert!(violation.to_string().contains("an update is lost"));
}

/// A small stream of random numbers (xorshift).
struct Numbers(u64);

impl Numbers {
    fn of(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// An execution in which every operation happens at one moment, spread into intervals that overlap.
fn execution(numbers: &mut Numbers, length: u64) -> Vec<Operation> {
    let mut value: Option<Digest> = None;
    let mut history = Vec::new();
    for number in 0..length {
        let own = content(&format!("w{number}"));
        let named = match (value, numbers.below(2)) {
            (Some(value), 0) => value,
            _ => content(&format!("w{}", numbers.below(length))),
        };
        let requires = match numbers.below(4) {
            0 => Requires::Absence,
            1 => Requires::Presence,
            2 => Requires::Content(vec![named]),
            _ => Requires::Nothing,
        };
        let holds = match &requires {
            Requires::Nothing => true,
            Requires::Absence => value.is_none(),
            Requires::Presence => value.is_some(),
            Requires::Content(digests) => value.is_some_and(|value| digests.contains(&value)),
        };
        let request = match numbers.below(5) {
            0 => Request::Read,
            1 => Request::Delete { requires },
            _ => Request::Write {
                content: own,
                requires,
            },
        };
        let (outcome, after) = match &request {
            Request::Read => (value.map_or(Outcome::Missing, Outcome::Found), value),
            _ if !holds => (Outcome::Refused, value),
            Request::Delete { .. } => (Outcome::Done, None),
            Request::Write { .. } => (Outcome::Done, Some(own)),
        };
        // Some outcomes get lost, of operations that happened and of ones that did not.
        let (outcome, after) = match numbers.below(12) {
            0 => (Outcome::Unknown, value),
            1 if outcome == Outcome::Done => (Outcome::Unknown, after),
            _ => (outcome, after),
        };
        value = after;
        let middle = 100 * (number + 10);
        history.push(Operation {
            number,
            invoked: middle - numbers.below(400),
            returned: Some(middle + 1 + numbers.below(400)),
            request,
            outcome,
            may_be_overtaken: false,
        });
    }
    history
}

#[test]
fn every_execution_is_accepted_and_an_impossible_observation_is_not() {
    for seed in 1..300 {
        let mut numbers = Numbers::of(seed);
        let mut history = execution(&mut numbers, 5 + seed % 60);
        assert_eq!(
            judge(&history),
            Judgement::Linearizable,
            "seed {seed}: {history:#?}"
        );
        // A read of what was written only after it had ended.
        let last = history.iter().map(|it| it.number).max().unwrap_or(0);
        let at = numbers.below(last + 1) as usize;
        let (invoked, returned) = (history[at].invoked, history[at].returned);
        history.push(Operation {
            number: last + 1,
            invoked: 100_000,
            returned: None,
            request: Request::Write {
                content: content("late"),
                requires: Requires::Nothing,
            },
            outcome: Outcome::Unknown,
            may_be_overtaken: false,
        });
        history.push(Operation {
            number: last + 2,
            invoked,
            returned,
            request: Request::Read,
            outcome: Outcome::Found(content("late")),
            may_be_overtaken: false,
        });
        assert!(
            matches!(judge(&history), Judgement::Violated(_)),
            "seed {seed}: {history:#?}"
        );
    }
}

/// Every order of the operations that must be placed, and every choice of unknown ones among them.
fn has_order(history: &[Operation], placed: &mut Vec<usize>, value: Option<Digest>) -> bool {
    let is_known = |operation: &Operation| operation.outcome != Outcome::Unknown;
    let left: Vec<usize> = (0..history.len())
        .filter(|at| !placed.contains(at))
        .collect();
    let deadline = left.iter().filter(|at| is_known(&history[**at]));
    let deadline = deadline.filter_map(|at| history[*at].returned).min();
    let Some(deadline) = deadline else {
        return true;
    };
    left.into_iter().any(|at| {
        let operation = &history[at];
        let holds = |requires: &Requires| match requires {
            Requires::Nothing => true,
            Requires::Absence => value.is_none(),
            Requires::Presence => value.is_some(),
            Requires::Content(digests) => value.is_some_and(|value| digests.contains(&value)),
        };
        let after = match (&operation.request, operation.outcome) {
            (Request::Read, Outcome::Found(digest)) => (value == Some(digest)).then_some(value),
            (Request::Read, Outcome::Missing) => value.is_none().then_some(value),
            (Request::Write { content, requires }, Outcome::Done | Outcome::Unknown) => {
                holds(requires).then_some(Some(*content))
            }
            (Request::Delete { requires }, Outcome::Done | Outcome::Unknown) => {
                holds(requires).then_some(None)
            }
            (Request::Write { requires, .. } | Request::Delete { requires }, Outcome::Refused) => {
                (!holds(requires)).then_some(value)
            }
            _ => None,
        };
        let Some(after) = after.filter(|_| operation.invoked < deadline) else {
            return false;
        };
        placed.push(at);
        let found = has_order(history, placed, after);
        placed.pop();
        found
    })
}

#[test]
fn the_search_finds_what_trying_everything_finds() {
    let (mut accepted, mut rejected) = (0, 0);
    for seed in 1..1_500 {
        let mut numbers = Numbers::of(seed);
        let mut history = execution(&mut numbers, 7);
        // What two of them observed is exchanged.
        let (a, b) = (numbers.below(7) as usize, numbers.below(7) as usize);
        let (left, right) = (history[a].outcome, history[b].outcome);
        let both_read =
            (history[a].request == Request::Read) == (history[b].request == Request::Read);
        if both_read {
            (history[a].outcome, history[b].outcome) = (right, left);
        }
        let expected = has_order(&history, &mut Vec::new(), None);
        let judgement = judge(&history);
        assert_eq!(
            judgement == Judgement::Linearizable,
            expected,
            "seed {seed}: {history:#?}"
        );
        match expected {
            true => accepted += 1,
            false => rejected += 1,
        }
    }
    assert!(accepted > 300 && rejected > 300, "{accepted} {rejected}");
}
