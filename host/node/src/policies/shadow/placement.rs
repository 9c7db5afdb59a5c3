//! Shadow of the placement policy: does it choose the same nodes, and does it spread the bytes as evenly?
//!
//! Its verdicts are checked and filled up like those of the active policy. Three kinds of question are not compared:
//! those that the shadow answered with a fault; files that have enough known holders, since no policy decides where
//! they go; and files that no node could take.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dataverse_core::id::NodeId;
use dataverse_core::placement;
use parking_lot::Mutex;

use super::{Observer, Questioner, Tally, counts, share};
use crate::driver::{Answered, AnyPlacement, PlacementCase, question};
use crate::limits;
use crate::policies::view::Comparison;

pub(super) struct Placements {
    policy: Questioner<AnyPlacement>,
    counts: Arc<Mutex<PlacementCounts>>,
}

/// Counts and placed bytes.
#[derive(Default)]
pub(super) struct PlacementCounts {
    compared: u64,
    agreed: u64,
    nodes: BTreeMap<NodeId, Placed>,
}

/// Bytes placed on a node.
#[derive(Clone, Copy, Default)]
struct Placed {
    by_shadow: u64,
    by_active: u64,
}

impl Placements {
    pub(super) fn new(policy: Questioner<AnyPlacement>) -> Self {
        Self {
            policy,
            counts: Arc::default(),
        }
    }
}

impl Observer for Placements {
    type Case = PlacementCase;
    type Tally = PlacementCounts;

    fn close(&self) -> Box<dyn Fn() + Send + Sync> {
        self.policy.close()
    }

    fn tally(&self) -> Arc<Mutex<PlacementCounts>> {
        Arc::clone(&self.counts)
    }

    fn observe(&mut self, case: PlacementCase) {
        let PlacementCase {
            request,
            candidates,
            holders_first,
            chosen,
        } = case;
        let seen: Vec<NodeId> = candidates.iter().map(|candidate| candidate.id).collect();
        let among = candidates.len();
        let order = self.policy.ask(|policy| {
            let Some(mut policy) = policy else {
                return unanswered();
            };
            let ranked = placement::rank(&mut policy, &request, candidates, &holders_first);
            Answered {
                value: ranked.fault.is_none().then_some(ranked.order),
                fault: ranked
                    .fault
                    .map(|it| it.at(question::of_placement(&request, among))),
            }
        });
        let wanted = request.factor as usize;
        let first =
            |order: Vec<NodeId>| -> BTreeSet<NodeId> { order.into_iter().take(wanted).collect() };
        let (Some(by_shadow), by_active) = (order.map(first), first(chosen)) else {
            return;
        };
        if holders_first.len() >= wanted || by_active.is_empty() {
            return;
        }
        let mut counts = counts(&self.counts);
        counts.see(seen.into_iter().chain(holders_first));
        counts.compare(&by_shadow, &by_active, request.file.size);
    }
}

fn unanswered<T>() -> Answered<Option<T>> {
    Answered {
        value: None,
        fault: None,
    }
}

impl PlacementCounts {
    /// Notes that these nodes could have been chosen.
    fn see(&mut self, nodes: impl Iterator<Item = NodeId>) {
        for node in nodes {
            if self.nodes.len() < limits::SHADOW_NODES_MAX {
                self.nodes.entry(node).or_default();
            }
        }
    }

    fn compare(&mut self, by_shadow: &BTreeSet<NodeId>, by_active: &BTreeSet<NodeId>, size: u64) {
        self.compared += 1;
        self.agreed += u64::from(by_shadow == by_active);
        for (node, placed) in &mut self.nodes {
            let bytes = |chosen: &BTreeSet<NodeId>| if chosen.contains(node) { size } else { 0 };
            placed.by_shadow = placed.by_shadow.saturating_add(bytes(by_shadow));
            placed.by_active = placed.by_active.saturating_add(bytes(by_active));
        }
    }

    /// Bytes on the fullest node divided by the mean of all nodes; 1 if they are spread evenly.
    fn balance(&self, bytes: impl Fn(&Placed) -> u64) -> Option<f64> {
        let placed = || self.nodes.values().map(&bytes);
        let fullest = placed().max()? as f64;
        let all: f64 = placed().map(|bytes| bytes as f64).sum();
        (all > 0.0).then(|| fullest * self.nodes.len() as f64 / all)
    }
}

impl Tally for PlacementCounts {
    fn comparison(&self) -> Comparison {
        Comparison::Placement {
            agreement: share(self.agreed, self.compared),
            balance: self.balance(|placed| placed.by_shadow),
            active_balance: self.balance(|placed| placed.by_active),
        }
    }
}
