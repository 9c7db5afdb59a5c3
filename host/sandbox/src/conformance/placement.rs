//! Placement: candidate sets of many sizes and shapes.

use dataverse_core::id::NodeId;
use dataverse_core::placement::{Candidate, nearest, rank};
use dataverse_core::plural::plural;
use dataverse_core::policy::{Fault, NodeView, Placement, PlacementRequest};

use super::{Patience, Random, Report, unlike};

const QUESTIONS: u64 = 512;
const CANDIDATES_MAX: u64 = 64;

/// Asks two instances where to place many files among 1 to 64 candidates with enough space, nearest first: in no
/// zone, one or several; near and far; empty or almost full; sometimes fewer than the factor.
///
/// `make` creates instances with the same seed; it is called again after an instance failed.
pub fn placement(make: &mut dyn FnMut() -> Result<Box<dyn Placement>, Fault>) -> Report {
    placement_while(make, &mut || true)
}

/// As [`placement`], while `patience` returns true.
pub fn placement_while(
    make: &mut dyn FnMut() -> Result<Box<dyn Placement>, Fault>,
    patience: Patience<'_>,
) -> Report {
    let mut report = Report::default();
    let mut random = Random(1);
    let mut pair = None;
    for number in 0..QUESTIONS {
        if report.is_over(patience) {
            break;
        }
        let (request, candidates) = question(&mut random, number);
        let text = described(number, &request, &candidates);
        report.questions += 1;
        let policies = pair.take().map_or_else(|| Ok((make()?, make()?)), Ok);
        let asked = policies.and_then(|(mut one, mut other)| {
            let answers = (
                ask(&mut *one, &request, &candidates)?,
                ask(&mut *other, &request, &candidates)?,
            );
            pair = Some((one, other));
            if answers.0 == answers.1 {
                if answers.0.is_empty() {
                    report.warn(&text, "it names no candidate, so the baseline decides");
                }
                Ok(())
            } else {
                Err(unlike(&answers.0, &answers.1))
            }
        });
        if let Err(fault) = asked {
            report.note(&text, fault);
        }
    }
    report
}

/// The question in words, with enough detail to ask it again.
fn described(number: u64, request: &PlacementRequest, candidates: &[Candidate]) -> String {
    let copies = plural(request.factor, "copy", "copies");
    let among = plural(candidates.len() as u64, "candidate", "candidates");
    format!(
        "question {number}: {copies} of {} bytes wanted, {among}",
        request.file.size
    )
}

fn question(random: &mut Random, number: u64) -> (PlacementRequest, Vec<Candidate>) {
    let request = PlacementRequest {
        file: random.file(),
        factor: u32::try_from(1 + random.below(8)).unwrap_or(1),
        now: 1_700_000_000_000 + number * 10,
    };
    let zones = random.below(5);
    let count = 1 + number % CANDIDATES_MAX;
    let mut ids = Vec::new();
    let mut hops = 0;
    let mut candidate = |place: u64| {
        // The first is the node itself, unless it has no space; the farther ones come later.
        hops = match place {
            0 => u32::from(number % 4 == 3),
            _ => hops.max(1) + u32::from(random.below(3) == 0),
        };
        let mut view = random.node(&ids, zones, hops);
        ids.push(view.id);
        // They have space for this file.
        view.free = view.free.max(request.file.size);
        view.capacity = view.capacity.max(view.free).max(1);
        Candidate {
            id: NodeId::from(u128::from(view.id) << 64),
            view,
        }
    };
    let candidates: Vec<_> = (0..count).map(&mut candidate).collect();
    (request, nearest(candidates))
}

/// The policy's own answer, if it is valid.
fn ask(
    policy: &mut dyn Placement,
    request: &PlacementRequest,
    candidates: &[Candidate],
) -> Result<Vec<u32>, Fault> {
    let mut listening = Listening {
        policy,
        heard: Vec::new(),
    };
    if let Some(fault) = rank(&mut listening, request, candidates.to_vec(), &[]).fault {
        return Err(fault);
    }
    Ok(listening.heard)
}

/// Records the policy's answer before it is completed by the baseline.
struct Listening<'a> {
    policy: &'a mut dyn Placement,
    heard: Vec<u32>,
}

impl Placement for Listening<'_> {
    fn place(
        &mut self,
        request: &PlacementRequest,
        candidates: &[NodeView],
    ) -> Result<Vec<u32>, Fault> {
        self.heard = self.policy.place(request, candidates)?;
        Ok(self.heard.clone())
    }
}

#[cfg(test)]
mod tests {
    use dataverse_core::policy::{FaultKind, Rendezvous};

    use super::*;

    /// Answers by a function of the number of calls and of candidates.
    struct Scripted(u32, fn(u32, u32) -> Vec<u32>);

    impl Placement for Scripted {
        fn place(
            &mut self,
            _: &PlacementRequest,
            candidates: &[NodeView],
        ) -> Result<Vec<u32>, Fault> {
            self.0 += 1;
            Ok((self.1)(
                self.0,
                u32::try_from(candidates.len()).expect("they are few"),
            ))
        }
    }

    fn check(answer: fn(u32, u32) -> Vec<u32>) -> Report {
        placement(&mut || Ok(Box::new(Scripted(0, answer))))
    }

    #[test]
    fn the_baseline_passes() {
        let report = placement(&mut || Ok(Box::new(Rendezvous)));
        assert!(report.passed(), "{report:?}");
        assert_eq!(report.questions, QUESTIONS);
    }

    #[test]
    fn the_questions_keep_to_the_contract() {
        let mut random = Random(1);
        for number in 0..QUESTIONS {
            let (request, candidates) = question(&mut random, number);
            let mut ids: Vec<_> = candidates.iter().map(|it| it.view.id).collect();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(
                ids.len(),
                candidates.len(),
                "all candidates are different nodes"
            );
            assert!(candidates.is_sorted_by_key(|it| (it.view.hops, it.id)));
            let of_hop_0 = candidates.iter().filter(|it| it.view.hops == 0);
            assert!(
                of_hop_0.count() <= 1,
                "only the deciding node is no hop away"
            );
            for Candidate { view, .. } in candidates {
                assert!(view.free >= request.file.size, "it has room: {view:?}");
                assert!(view.capacity >= view.free && view.capacity > 0, "{view:?}");
            }
        }
    }

    #[test]
    fn a_policy_that_names_only_nodes_with_room_is_not_warned_of() {
        struct Roomy;
        impl Placement for Roomy {
            fn place(
                &mut self,
                request: &PlacementRequest,
                candidates: &[NodeView],
            ) -> Result<Vec<u32>, Fault> {
                let with_room = (0..).zip(candidates).filter(|(_, node)| {
                    node.capacity > 0 && node.free >= request.file.size && node.hops < 4096
                });
                Ok(with_room.map(|(index, _)| index).collect())
            }
        }
        let report = placement(&mut || Ok(Box::new(Roomy)));
        assert_eq!((report.faulted, report.warned), (0, 0), "{report:?}");
    }

    #[test]
    fn a_suite_ends_when_patience_does() {
        let mut left = 10;
        let report = placement_while(&mut || Ok(Box::new(Rendezvous)), &mut || {
            left -= 1;
            left > 0
        });
        assert!(report.is_cut_short && report.passed(), "{report:?}");
        assert_eq!(report.questions, 9);
    }

    #[test]
    fn an_answer_that_hangs_on_the_calls_before_passes() {
        let report = check(|calls, candidates| vec![calls % candidates]);
        assert!(report.passed(), "{report:?}");
    }

    #[test]
    fn an_answer_that_names_nobody_is_valid_and_warned_of() {
        let report = check(|_, _| Vec::new());
        assert!(report.passed(), "{report:?}");
        assert_eq!(report.warned, QUESTIONS);
        assert!(report.warnings[0].contains("no candidate"), "{report:?}");
        let report = check(|_, _| vec![0]);
        assert_eq!((report.warned, report.warnings.len()), (0, 0));
    }

    #[test]
    fn invalid_answers_fail() {
        for answer in [
            (|_, candidates| vec![candidates]) as fn(u32, u32) -> Vec<u32>,
            |_, _| vec![0, 0],
        ] {
            let report = check(answer);
            assert!(!report.passed());
            assert_eq!(report.faults[0].kind, FaultKind::Verdict);
        }
    }

    #[test]
    fn instances_that_answer_differently_fail() {
        let mut made = 0;
        let report = placement(&mut || {
            made += 1;
            let first = made % 2 == 0;
            let answer: fn(u32, u32) -> Vec<u32> = if first {
                |_, _| vec![0]
            } else {
                |_, n| vec![n - 1]
            };
            Ok(Box::new(Scripted(0, answer)))
        });
        assert!(
            report.faults[0].reason.contains("differently"),
            "{report:?}"
        );
    }

    #[test]
    fn a_policy_that_can_not_be_made_fails_without_end_in_vain() {
        let report = placement(&mut || Err(Fault::trap("no")));
        assert_eq!(report.questions, 16);
        assert_eq!(report.faulted, 16);
    }
}
