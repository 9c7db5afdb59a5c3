//! Placement: on which nodes the copies of a file go.
//!
//! View → ask → check → plan: the driver passes the current candidates; [`rank`] asks the policy about them,
//! checks its verdict and returns the order in which to try them. This module holds no state and needs no lock.
//! Whether a node really accepts a copy is only known after asking that node.

use std::collections::BTreeSet;

use crate::id::NodeId;
use crate::limits;
use crate::policy::{Fault, NodeView, Placement, PlacementRequest, Rendezvous, distinct_indices};

/// A node that could take a copy: live, near enough and with enough space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The node.
    pub id: NodeId,
    /// What the policy sees of it.
    pub view: NodeView,
}

/// The order in which nodes are asked to take a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranked {
    /// Each node once. The first that accept get a replica; the rest are spares.
    pub order: Vec<NodeId>,
    /// The policy's fault, if the baseline answered instead.
    pub fault: Option<Fault>,
}

/// The nearest candidates, at most as many as a policy is asked about, ordered by hops and id.
#[must_use]
pub fn nearest(mut candidates: Vec<Candidate>) -> Vec<Candidate> {
    candidates.sort_unstable_by_key(|candidate| (candidate.view.hops, candidate.id));
    candidates.truncate(limits::CANDIDATES_MAX);
    candidates
}

/// Asks `policy` for the order in which candidates get the file, and checks its answer.
///
/// Candidates beyond [`limits::CANDIDATES_MAX`] are left out, the farthest first. A verdict with fewer nodes than
/// the factor is completed by the baseline. An invalid verdict is a fault, and the baseline answers.
/// `holders_first` are the live holders of a known file's layout: they come first whatever the policy says,
/// candidates or not, because a copy placed elsewhere would leave an old one behind.
pub fn rank(
    policy: &mut dyn Placement,
    request: &PlacementRequest,
    candidates: Vec<Candidate>,
    holders_first: &[NodeId],
) -> Ranked {
    let candidates = nearest(candidates);
    let (ids, views): (Vec<NodeId>, Vec<NodeView>) = candidates
        .into_iter()
        .map(|candidate| (candidate.id, candidate.view))
        .unzip();
    let (indices, fault) = if views.is_empty() {
        (Vec::new(), None)
    } else {
        ask(policy, request, &views)
    };
    let mut seen = BTreeSet::new();
    let order = holders_first
        .iter()
        .copied()
        .chain(indices.into_iter().map(|index| ids[index]))
        .filter(|id| seen.insert(*id))
        .collect();
    Ranked { order, fault }
}

/// The policy's order, completed to the factor, if it is valid; otherwise the baseline's order and the fault.
fn ask(
    policy: &mut dyn Placement,
    request: &PlacementRequest,
    views: &[NodeView],
) -> (Vec<usize>, Option<Fault>) {
    let baseline = || {
        Rendezvous::rank(request.file.id, views)
            .into_iter()
            .map(|index| index as usize)
    };
    let verdict = policy
        .place(request, views)
        .and_then(|indices| check(&indices, views.len()));
    match verdict {
        Ok(mut indices) => {
            let wanted = views.len().min(request.factor as usize);
            if indices.len() < wanted {
                let named: BTreeSet<usize> = indices.iter().copied().collect();
                let missing = wanted - indices.len();
                indices.extend(
                    baseline()
                        .filter(|index| !named.contains(index))
                        .take(missing),
                );
            }
            (indices, None)
        }
        Err(fault) => (baseline().collect(), Some(fault)),
    }
}

fn check(indices: &[u32], candidates: usize) -> Result<Vec<usize>, Fault> {
    if indices.len() > limits::VERDICT_ENTRIES_MAX {
        return Err(Fault::verdict(format!(
            "it names {} nodes; at most {} are allowed",
            indices.len(),
            limits::VERDICT_ENTRIES_MAX
        )));
    }
    distinct_indices(indices, candidates)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::FileView;

    /// Gives a fixed answer.
    struct Says(Result<Vec<u32>, Fault>);

    impl Placement for Says {
        fn place(&mut self, _: &PlacementRequest, _: &[NodeView]) -> Result<Vec<u32>, Fault> {
            self.0.clone()
        }
    }

    /// Remembers how many candidates it was given and how far away the farthest was.
    #[derive(Default)]
    struct Looks(usize, u32);

    impl Placement for Looks {
        fn place(&mut self, _: &PlacementRequest, nodes: &[NodeView]) -> Result<Vec<u32>, Fault> {
            self.0 = nodes.len();
            self.1 = nodes.iter().map(|node| node.hops).max().unwrap_or(0);
            Ok(Vec::new())
        }
    }

    fn candidate(id: u32, hops: u32) -> Candidate {
        let id = NodeId::from(u128::from(id) << 64);
        Candidate {
            id,
            view: NodeView {
                id: id.short(),
                zone: String::new(),
                hops,
                capacity: 1 << 30,
                free: 1 << 30,
                load: 0,
            },
        }
    }

    fn request(factor: u32) -> PlacementRequest {
        PlacementRequest {
            file: FileView {
                id: 42,
                user: "ada".to_owned(),
                name: "x".to_owned(),
                size: 1,
            },
            factor,
            now: 0,
        }
    }

    /// Five candidates, numbered by distance.
    fn five() -> Vec<Candidate> {
        (0..5).map(|number| candidate(number, number)).collect()
    }

    fn ids(numbers: &[u32]) -> Vec<NodeId> {
        numbers
            .iter()
            .map(|&number| candidate(number, 0).id)
            .collect()
    }

    fn baseline() -> Vec<NodeId> {
        rank(&mut Rendezvous, &request(2), five(), &[]).order
    }

    fn check_order(says: &[u32], holders: &[u32], expected: &[u32]) {
        let ranked = rank(
            &mut Says(Ok(says.to_vec())),
            &request(2),
            five(),
            &ids(holders),
        );
        assert_eq!(
            ranked,
            Ranked {
                order: ids(expected),
                fault: None
            }
        );
    }

    fn check_fault(says: Result<Vec<u32>, Fault>) {
        let ranked = rank(&mut Says(says), &request(2), five(), &[]);
        assert!(ranked.fault.is_some());
        assert_eq!(ranked.order, baseline());
    }

    #[test]
    fn a_valid_verdict_is_the_order() {
        check_order(&[3, 0, 4], &[], &[3, 0, 4]);
    }

    #[test]
    fn live_holders_come_first_and_once() {
        check_order(&[3, 0, 4], &[4, 9], &[4, 9, 3, 0]);
    }

    #[test]
    fn a_short_verdict_is_filled_up_to_the_factor_by_the_baseline() {
        let ranked = rank(&mut Says(Ok(vec![2])), &request(3), five(), &[]);
        let rest = baseline()
            .into_iter()
            .filter(|id| *id != ids(&[2])[0])
            .take(2);
        let expected: Vec<_> = ids(&[2]).into_iter().chain(rest).collect();
        assert_eq!(
            ranked,
            Ranked {
                order: expected,
                fault: None
            }
        );
    }

    #[test]
    fn a_factor_beyond_the_candidates_takes_them_all() {
        let ranked = rank(&mut Says(Ok(vec![])), &request(64), five(), &[]);
        assert_eq!(
            ranked,
            Ranked {
                order: baseline(),
                fault: None
            }
        );
    }

    #[test]
    fn invalid_verdicts_are_faults_and_the_baseline_answers() {
        check_fault(Ok(vec![0, 5]));
        check_fault(Ok(vec![1, 1]));
        check_fault(Ok(vec![0; limits::VERDICT_ENTRIES_MAX + 1]));
        check_fault(Err(Fault::trap("out of fuel")));
    }

    #[test]
    fn nobody_is_asked_about_no_candidates() {
        let failing = &mut Says(Err(Fault::trap("it was asked")));
        let ranked = rank(failing, &request(2), Vec::new(), &ids(&[1]));
        assert_eq!(
            ranked,
            Ranked {
                order: ids(&[1]),
                fault: None
            }
        );
    }

    #[test]
    fn only_the_nearest_are_shown_to_the_policy() {
        let max = limits::CANDIDATES_MAX as u32;
        let far = (0..max + 10)
            .rev()
            .map(|number| candidate(number, number))
            .collect();
        let mut looks = Looks::default();
        rank(&mut looks, &request(1), far, &[]);
        assert_eq!((looks.0, looks.1), (limits::CANDIDATES_MAX, max - 1));
    }

    proptest! {
        #[test]
        fn whatever_a_policy_says_nodes_are_distinct_and_the_factor_is_met(
            says in prop::collection::vec(0u32..7, 0..7), factor in 0u32..8, holders in prop::collection::vec(0u32..7, 0..3)
        ) {
            let ranked = rank(&mut Says(Ok(says)), &request(factor), five(), &ids(&holders));
            let distinct: BTreeSet<_> = ranked.order.iter().collect();
            prop_assert_eq!(distinct.len(), ranked.order.len());
            prop_assert!(ranked.order.len() >= 5.min(factor as usize));
        }
    }
}
