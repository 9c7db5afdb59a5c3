//! What the built-in placement policies promise when nodes join, leave or change their weight: no copy moves
//! unnecessarily.
//!
//! Each is asked about the same files before and after a change of one node. If a node's attraction depends on
//! that node alone, as in `rendezvous`, `ring` and `near`, only the changed node may gain copies when it grew or
//! joined, and only its copies may move when it shrank or left. Any other move would exceed the minimum that leads
//! from one distribution to the other. `copyset` promises less and says so; `random` and `two-choices` promise
//! nothing.

use std::collections::BTreeSet;

use dataverse_core::policy::{FileView, NodeView, Placement, PlacementRequest, Rendezvous};
use dataverse_sdk::mix;
use proptest::prelude::*;

use crate::native;

/// Policies that promise minimal movement. The baseline is the node's own.
const STABLE: [&str; 4] = ["baseline", "rendezvous", "ring", "near"];

const FILES: u64 = 60;

fn policy(name: &str) -> Box<dyn Placement> {
    match name {
        "baseline" => Box::new(Rendezvous),
        name => native::placement(name, 3),
    }
}

fn request(number: u64, factor: u32) -> PlacementRequest {
    PlacementRequest {
        file: FileView {
            id: mix(number ^ 0xf11e),
            user: "ada".to_owned(),
            name: number.to_string(),
            size: 1,
        },
        factor,
        now: 0,
    }
}

/// The ids of the nodes that hold the copies of this file, the first choice first.
fn holders(policy: &mut dyn Placement, number: u64, factor: u32, nodes: &[NodeView]) -> Vec<u64> {
    let order = policy.place(&request(number, factor), nodes);
    let order = order.expect("shipped policies answer");
    let first = order.iter().take(factor as usize);
    first.map(|&index| nodes[index as usize].id).collect()
}

fn node(number: u64, capacity: u64, zone: &str) -> NodeView {
    NodeView {
        id: mix(number),
        zone: zone.to_owned(),
        hops: 1 + (number % 3) as u32,
        capacity,
        free: capacity / 2,
        load: 0,
    }
}

/// Weights over nine orders of magnitude, mostly not powers of two, and 0.
fn capacity() -> impl Strategy<Value = u64> {
    prop_oneof![
        1 => Just(0),
        8 => (0u32..30, 1u64..1 << 20).prop_map(|(shift, weight)| weight << shift),
    ]
}

fn network() -> impl Strategy<Value = Vec<NodeView>> {
    let zones = prop::sample::select(vec!["", "", "a", "b", "c"]);
    prop::collection::vec((capacity(), zones), 1..24).prop_map(|drawn| {
        (0..)
            .zip(drawn)
            .map(|(number, (capacity, zone))| node(number, capacity, zone))
            .collect()
    })
}

/// Checks that whatever moves between these networks moves to the changed node, which the second network has in
/// addition or larger.
fn check_only_it_gains(
    name: &str,
    (fewer, more): (&[NodeView], &[NodeView]),
    changed: u64,
    factor: u32,
) -> Result<(), TestCaseError> {
    let (mut before, mut after) = (policy(name), policy(name));
    for number in 0..FILES {
        let old = holders(before.as_mut(), number, factor, fewer);
        let new = holders(after.as_mut(), number, factor, more);
        let [old, new] = [old, new].map(BTreeSet::from_iter);
        let came: Vec<&u64> = new.difference(&old).collect();
        prop_assert!(
            came.iter().all(|&&id| id == changed),
            "{name}: {came:x?} came for {changed:x}"
        );
        // It takes one place, and one copy moves away for it unless a place was free.
        prop_assert!(old.difference(&new).count() <= came.len(), "{name}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_node_that_joins_or_leaves_moves_no_copies_of_others(
        nodes in network(), capacity in capacity(), zone in prop::sample::select(vec!["", "a", "d"]), factor in 1u32..5
    ) {
        let one = node(1000, capacity, zone);
        let mut more = nodes.clone();
        more.push(one.clone());
        for name in STABLE {
            check_only_it_gains(name, (&nodes, &more), one.id, factor)?;
        }
    }

    #[test]
    fn a_node_that_grows_or_shrinks_moves_no_copies_of_others(
        nodes in network(), at in any::<prop::sample::Index>(), growth in capacity(), factor in 1u32..5
    ) {
        let mut grown = nodes.clone();
        let changed = &mut grown[at.index(nodes.len())];
        changed.capacity += growth;
        let id = changed.id;
        for name in STABLE {
            check_only_it_gains(name, (&nodes, &grown), id, factor)?;
        }
    }

    #[test]
    fn a_copyset_changes_with_a_weight_only_for_files_that_the_node_gains_or_gives_up(
        nodes in network(), at in any::<prop::sample::Index>(), growth in capacity(), factor in 1u32..5
    ) {
        let mut grown = nodes.clone();
        let changed = &mut grown[at.index(nodes.len())];
        changed.capacity += growth;
        let id = changed.id;
        let mut copysets = policy("copyset");
        for number in 0..FILES {
            let old = holders(copysets.as_mut(), number, factor, &nodes);
            let new = holders(copysets.as_mut(), number, factor, &grown);
            if old.first() == new.first() {
                let [old, new] = [old, new].map(BTreeSet::from_iter);
                prop_assert_eq!(old, new);
            } else {
                prop_assert_eq!(new.first(), Some(&id));
            }
        }
    }
}

/// The share of first copies that move when one node's weight changes, compared with the minimum for proportional
/// loads.
#[test]
fn what_moves_is_in_proportion_to_the_change() {
    const NODES: u64 = 50;
    const MANY: u64 = 8_000;
    let equal: Vec<NodeView> = (0..NODES).map(|number| node(number, 7 << 30, "")).collect();
    for name in ["baseline", "rendezvous", "ring"] {
        for times in [1.5, 2.0, 2.1, 8.0] {
            let mut grown = equal.clone();
            grown[11].capacity = (equal[11].capacity as f64 * times) as u64;
            let (mut before, mut after) = (policy(name), policy(name));
            let moves = (0..MANY).filter(|&number| {
                holders(before.as_mut(), number, 1, &equal)
                    != holders(after.as_mut(), number, 1, &grown)
            });
            let moved = moves.count() as f64 / MANY as f64;
            let least = times / (NODES as f64 - 1.0 + times) - 1.0 / NODES as f64;
            // A tenth for the points of a ring, whose shares vary by one in the root of 128, three times over; and
            // four standard deviations of the counted share.
            let scatter = 4.0 * (least / MANY as f64).sqrt();
            let most = 1.3 * least + scatter;
            assert!(moved <= most, "{name} × {times}: {moved} of {least}");
            assert!(
                moved >= 0.7 * least - scatter,
                "{name} × {times}: {moved} of {least}"
            );
        }
    }
}
