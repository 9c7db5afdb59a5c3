//! The probability that some replica set fails as a whole, counted exactly where that is feasible.
//!
//! Sets that share nodes, directly or through other sets, form a group. Groups fail independently, except that
//! they share the total number of failures. In each group, every combination of failures is examined; the groups
//! are then combined by how many failures fall into each (hypergeometric). Every number added is positive, so a
//! probability of one in a billion is as precise as one in two.
//! chance of one in a billion is as exact as one in two.

use super::sets::ReplicaSets;

/// Nodes of a group that is still counted exactly, and …
const GROUP_NODES_MAX: usize = 20;
/// … combinations times nodes, over all groups.
const WORK_MAX: u64 = 50_000_000;

/// The probability that all nodes of some set are among `fail` nodes drawn uniformly; none if that is too much
/// work.
pub(super) fn chance(sets: &ReplicaSets, fail: u32) -> Option<f64> {
    let size = sets.size();
    if (fail as usize) < size || sets.is_empty() {
        return Some(0.0);
    }
    if fail as usize == size {
        // The failed nodes are exactly one of all possible sets.
        return Some(sets.len() as f64 * sharing(size, fail, sets.nodes()));
    }
    let groups = groups(sets);
    let work = groups.iter().try_fold(0u64, |sum, group| {
        let nodes = group.nodes.len();
        (nodes <= GROUP_NODES_MAX).then(|| sum + (nodes as u64) * (1 << nodes))
    })?;
    if work > WORK_MAX {
        return None;
    }
    let mut lost = Vec::new();
    let mut counted = 0;
    for group in &groups {
        let own = group.lost();
        lost = if counted == 0 {
            own
        } else {
            together(&lost, counted, &own, group.nodes.len() as u32, fail)
        };
        counted += group.nodes.len() as u32;
    }
    let alone = sets.nodes() - counted;
    let safe = vec![0.0; alone as usize + 1];
    let all = together(&lost, counted, &safe, alone, fail);
    all.get(fail as usize).copied()
}

/// The probability that a given set of `size` nodes is among `fail` of `nodes` nodes drawn uniformly: C(nodes -
/// size, fail - size) / C(nodes, fail).
pub(super) fn sharing(size: usize, fail: u32, nodes: u32) -> f64 {
    (0..size as u32)
        .map(|taken| f64::from(fail.saturating_sub(taken)) / f64::from(nodes - taken))
        .product()
}

/// Sets that share nodes, and those nodes.
struct Group<'a> {
    nodes: Vec<u32>,
    sets: Vec<&'a [u32]>,
}

fn groups(sets: &ReplicaSets) -> Vec<Group<'_>> {
    let mut union = petgraph::unionfind::UnionFind::<u32>::new(sets.nodes() as usize);
    for set in sets.iter() {
        for &node in &set[1..] {
            union.union(set[0], node);
        }
    }
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut group_of = vec![usize::MAX; sets.nodes() as usize];
    for set in sets.iter() {
        let group = &mut group_of[union.find(set[0]) as usize];
        if *group == usize::MAX {
            *group = groups.len();
            groups.push(Group {
                nodes: Vec::new(),
                sets: Vec::new(),
            });
        }
        groups[*group].sets.push(set);
    }
    for group in &mut groups {
        group.nodes = group.sets.concat();
        group.nodes.sort_unstable();
        group.nodes.dedup();
    }
    groups
}

impl Group<'_> {
    /// By number of failures in the group: the share of the combinations that contain a whole set.
    fn lost(&self) -> Vec<f64> {
        let nodes = self.nodes.len();
        let place = |node: &u32| {
            self.nodes
                .binary_search(node)
                .expect("every node of a set is in the group")
        };
        let mut is_lost = vec![false; 1 << nodes];
        for set in &self.sets {
            is_lost[set.iter().map(|node| 1usize << place(node)).sum::<usize>()] = true;
        }
        let mut lost = vec![0u64; nodes + 1];
        let mut all = vec![0u64; nodes + 1];
        for failed in 0..1usize << nodes {
            // Smaller combinations come first, so their results are final.
            let without = |node: usize| failed & !(1 << node);
            is_lost[failed] |=
                (0..nodes).any(|node| without(node) != failed && is_lost[without(node)]);
            let count = failed.count_ones() as usize;
            lost[count] += u64::from(is_lost[failed]);
            all[count] += 1;
        }
        let share = |(lost, all): (u64, u64)| lost as f64 / all as f64;
        lost.into_iter().zip(all).map(share).collect()
    }
}

/// Combines two parts: by number of failures in both, up to `fail`, the probability that a set of either is lost.
fn together(a: &[f64], a_nodes: u32, b: &[f64], b_nodes: u32, fail: u32) -> Vec<f64> {
    let most = fail.min(a_nodes + b_nodes);
    let chance = |failed: u32| {
        let least = failed.saturating_sub(b_nodes);
        let splits = least..=failed.min(a_nodes);
        let weight = |in_a: u32| {
            libm::exp(
                ln_choose(a_nodes, in_a) + ln_choose(b_nodes, failed - in_a)
                    - ln_choose(a_nodes + b_nodes, failed),
            )
        };
        let (mut sum, mut lost) = (0.0, 0.0);
        for in_a in splits {
            let (here, there) = (a[in_a as usize], b[(failed - in_a) as usize]);
            let weight = weight(in_a);
            sum += weight;
            lost += weight * (here + there - here * there);
        }
        // The weights should add up to one; dividing by their actual sum corrects the rounding of the logarithms.
        lost / sum
    };
    (0..=most).map(chance).collect()
}

fn ln_choose(n: u32, k: u32) -> f64 {
    let ln_factorial = |n: u32| libm::lgamma(f64::from(n) + 1.0);
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::{copysets, random_sets};

    /// Examines every combination of failures.
    fn counted(sets: &ReplicaSets, fail: u32) -> f64 {
        let (mut lost, mut all) = (0u64, 0u64);
        for failed in 0u32..1 << sets.nodes() {
            if failed.count_ones() == fail {
                all += 1;
                let within = |set: &[u32]| set.iter().all(|&node| failed >> node & 1 == 1);
                lost += u64::from(sets.iter().any(within));
            }
        }
        lost as f64 / all as f64
    }

    fn check(sets: &ReplicaSets) {
        for fail in 0..=sets.nodes() {
            let found = chance(sets, fail).expect("few enough combinations to count");
            let expected = counted(sets, fail);
            assert!(
                (found - expected).abs() < 1e-12,
                "{fail}: {found} for {expected}"
            );
        }
    }

    #[test]
    fn it_is_what_looking_at_every_combination_finds() {
        check(&random_sets(12, 3, 9, 1));
        check(&random_sets(10, 1, 4, 2));
        check(&random_sets(9, 2, 40, 3));
        check(&copysets(12, 3, 2, 4));
        check(&copysets(14, 4, 6, 5));
        check(&ReplicaSets::new(3, 5, &[]));
    }

    #[test]
    fn sets_apart_are_counted_however_many_there_are() {
        // Pairs of 2,000 nodes: nothing is lost as long as no pair fails as a whole, and the number of choices
        // that spare all pairs is C(1000, k) 2^k.
        let pairs: Vec<u32> = (0..2000).collect();
        let sets = ReplicaSets::new(2, 2000, &pairs);
        let ln_safe = ln_choose(1000, 40) + 40.0 * libm::log(2.0) - ln_choose(2000, 40);
        let found = chance(&sets, 40).expect("groups of two are feasible");
        assert!((found + libm::expm1(ln_safe)).abs() < 1e-9, "{found}");
    }

    #[test]
    fn as_many_failures_as_copies_hit_one_set() {
        let sets = copysets(4096, 3, 10, 6);
        let all = 4096.0 * 4095.0 * 4094.0 / 6.0;
        let found = chance(&sets, 3).expect("the closed form applies");
        assert!((found / (sets.len() as f64 / all) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn too_much_work_is_left_to_others() {
        assert_eq!(chance(&random_sets(100, 3, 1000, 7), 10), None);
    }
}
