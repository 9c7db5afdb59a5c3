//! Weighted rendezvous hashing, spread over zones. The default.
//!
//! Every node gets a score from the file's id and its own id, and the highest scores win: Thaler and Ravishankar,
//! "Using name-based mappings to increase hit rates", IEEE/ACM Transactions on Networking, 1998; weighted by
//! capacity with the logarithmic method of Schindelhauer and Schomaker, "Weighted distributed hash tables", SPAA
//! 2005. All nodes that see the same candidates give the same answer.
//!
//! A score depends on no other node, so this policy promises: **when a node joins or grows, copies move only to
//! it; when it leaves or shrinks, only its own copies move**, whatever the weights and zones.
//!
//! The complete order is the same as that of the node's own baseline.

use dataverse_sdk::ranking::{by_rendezvous, over_zones};
use dataverse_sdk::{About, NoConfig, Node, PlacementPolicy, Request, about};

/// Weighted rendezvous hashing over zones.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rendezvous;

impl PlacementPolicy for Rendezvous {
    type Config = NoConfig;

    fn about() -> About {
        about!(
            "spreads files over nodes by capacity and over zones; every node names the same ones"
        )
    }

    fn new(_: NoConfig, _: u64) -> Result<Self, String> {
        Ok(Self)
    }

    fn place(&mut self, request: &Request, candidates: &[Node]) -> Vec<u32> {
        over_zones(by_rendezvous(request.file.id, candidates), candidates)
    }
}

dataverse_sdk::export!(placement: Rendezvous);

#[cfg(test)]
mod tests {
    use super::*;
    use dataverse_sdk::mix;
    use dataverse_sdk::testing::{check_placement, file, nodes, placement_storm};
    use std::collections::BTreeSet;

    fn placed(id: u64, candidates: &[Node]) -> Vec<u32> {
        let mut asked = file(0);
        asked.id = id;
        let request = Request {
            file: asked,
            factor: 2,
            now: 0,
        };
        check_placement(&mut Rendezvous, &request, candidates)
    }

    #[test]
    fn odd_questions_get_valid_answers() {
        placement_storm(|| Rendezvous);
    }

    #[test]
    fn the_order_is_the_same_on_every_machine() {
        // Computed by another program from the description alone, as for the baseline.
        let mut candidates = nodes(8);
        for (node, capacity) in candidates.iter_mut().zip(1..) {
            node.capacity = capacity << 30;
            node.zone.clear();
        }
        assert_eq!(placed(7, &candidates), [5, 1, 6, 7, 0, 3, 4, 2]);
    }

    #[test]
    fn the_first_copies_are_in_different_zones() {
        let candidates = nodes(16);
        for number in 0..200 {
            let order = placed(mix(number), &candidates);
            let zones = order[..3]
                .iter()
                .map(|&index| &candidates[index as usize].zone);
            assert_eq!(zones.collect::<BTreeSet<_>>().len(), 3);
            assert_eq!(order.len(), candidates.len());
        }
    }

    #[test]
    fn a_node_that_joins_takes_files_and_moves_no_others() {
        let (before, after) = (nodes(9), nodes(10));
        let mut moved = 0;
        for number in 0..1000 {
            let old = placed(mix(number), &before)[..2]
                .iter()
                .copied()
                .collect::<BTreeSet<_>>();
            let new = placed(mix(number), &after)[..2].iter().copied().collect();
            let gone = old.difference(&new).count();
            assert!(gone <= 1 && new.difference(&old).all(|&index| index == 9));
            moved += gone;
        }
        assert!(moved > 0);
    }
}
