//! `ReplicaSets`: the different sets of nodes that hold all copies of some file.

use crate::sample::Draw;

/// Different sets of nodes, all of one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaSets {
    size: usize,
    nodes: u32,
    /// Set by set, each ascending, in lexical order.
    members: Vec<u32>,
    /// By node: where the sets begin whose first node it is, plus one entry for the end.
    starts: Vec<usize>,
}

impl ReplicaSets {
    /// The distinct ones among these sets of `size` nodes each, out of `nodes` nodes.
    ///
    /// # Panics
    /// When `size` is 0, or a set does not consist of distinct nodes below `nodes` in ascending order.
    #[must_use]
    pub fn new(size: usize, nodes: u32, sets: &[u32]) -> Self {
        assert!(size > 0, "a set of no nodes is never lost");
        // A counting sort by first node, then a sort within each group: one pass does most of the work.
        let mut starts = vec![0usize; nodes as usize + 1];
        for set in sets.chunks_exact(size) {
            let ascending = set.windows(2).all(|pair| pair[0] < pair[1]);
            assert!(ascending, "a set has distinct nodes in ascending order");
            starts[set[0] as usize + 1] += 1;
        }
        for node in 0..nodes as usize {
            starts[node + 1] += starts[node];
        }
        let mut ordered: Vec<&[u32]> = vec![&[]; sets.len() / size];
        let mut next = starts.clone();
        for set in sets.chunks_exact(size) {
            let place = &mut next[set[0] as usize];
            ordered[*place] = set;
            *place += 1;
        }
        let mut different = Self {
            size,
            nodes,
            members: Vec::with_capacity(sets.len()),
            starts: Vec::with_capacity(starts.len()),
        };
        for range in starts.windows(2) {
            different.starts.push(different.len());
            let same_first = &mut ordered[range[0]..range[1]];
            same_first.sort_unstable();
            let mut last: &[u32] = &[];
            for &mut set in same_first {
                if set != last {
                    different.members.extend_from_slice(set);
                    last = set;
                }
            }
        }
        different.starts.push(different.len());
        different
    }

    /// The number of sets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len() / self.size
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Nodes in each set.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Nodes in the network, including those in no set.
    #[must_use]
    pub fn nodes(&self) -> u32 {
        self.nodes
    }

    /// The sets, each ascending.
    pub fn iter(&self) -> std::slice::ChunksExact<'_, u32> {
        self.members.chunks_exact(self.size)
    }

    /// Whether all nodes of some set have failed. `failed` and `is_failed` describe the same nodes.
    pub(super) fn any_within(&self, failed: &[u32], is_failed: impl Fn(u32) -> bool) -> bool {
        failed.iter().any(|&first| {
            let (start, end) = (self.starts[first as usize], self.starts[first as usize + 1]);
            let sets = &self.members[start * self.size..end * self.size];
            sets.chunks_exact(self.size)
                .any(|set| set[1..].iter().all(|&node| is_failed(node)))
        })
    }
}

/// Sets as copyset replication makes them (Cidon et al., "Copysets", USENIX ATC 2013, section 4): permutes the
/// nodes `scatter_width / (size - 1)` times, rounded up, and cuts each permutation into sets; nodes left over at
/// its end are in no set.
///
/// # Panics
/// When `size` is below 2.
#[must_use]
pub fn copysets(nodes: u32, size: usize, scatter_width: u32, seed: u64) -> ReplicaSets {
    assert!(size >= 2, "a single copy has no scatter width");
    let mut random = Draw::new(seed);
    let mut sets = Vec::new();
    for _ in 0..(scatter_width as usize).div_ceil(size - 1) {
        let mut order: Vec<u32> = (0..nodes).collect();
        draw(&mut order, nodes as usize, &mut random);
        for set in order.chunks_exact_mut(size) {
            set.sort_unstable();
            sets.extend_from_slice(set);
        }
    }
    ReplicaSets::new(size, nodes, &sets)
}

/// Sets drawn uniformly from all possible ones, one per file, as random replication makes them.
///
/// # Panics
/// When there are fewer nodes than a set has.
#[must_use]
pub fn random_sets(nodes: u32, size: usize, files: usize, seed: u64) -> ReplicaSets {
    assert!(size <= nodes as usize, "a set has distinct nodes");
    let mut random = Draw::new(seed);
    let mut order: Vec<u32> = (0..nodes).collect();
    let mut sets = Vec::with_capacity(files * size);
    for _ in 0..files {
        draw(&mut order, size, &mut random);
        let start = sets.len();
        sets.extend_from_slice(&order[..size]);
        sets[start..].sort_unstable();
    }
    ReplicaSets::new(size, nodes, &sets)
}

/// Draws `count` of these uniformly and moves them to the front (Fisher and Yates). Their previous order does not
/// matter.
pub(super) fn draw(order: &mut [u32], count: usize, random: &mut Draw) {
    for place in 0..count.min(order.len()) {
        order.swap(place, place + random.below(order.len() - place));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sets_count_once() {
        let sets = ReplicaSets::new(2, 4, &[1, 3, 0, 1, 1, 3, 1, 2, 0, 1]);
        let found: Vec<&[u32]> = sets.iter().collect();
        assert_eq!(found, [[0, 1], [1, 2], [1, 3]]);
        assert_eq!((sets.len(), sets.size(), sets.nodes()), (3, 2, 4));
    }

    #[test]
    fn a_set_is_lost_when_all_of_it_failed() {
        let sets = ReplicaSets::new(2, 5, &[0, 3, 1, 2]);
        let lost = |failed: &[u32]| sets.any_within(failed, |node| failed.contains(&node));
        assert!(lost(&[3, 0]));
        assert!(lost(&[4, 2, 1]));
        assert!(!lost(&[0, 1, 4]));
        assert!(!lost(&[]));
    }

    #[test]
    fn copysets_are_as_many_as_the_paper_counts() {
        let sets = copysets(5000, 3, 10, 7);
        // Five permutations of 1,666 sets. The probability that two sets are equal is one in several hundred.
        assert_eq!(sets.len(), 8330);
    }

    #[test]
    fn every_set_is_drawn_equally_often() {
        let mut counts = std::collections::BTreeMap::<Vec<u32>, u32>::new();
        let mut random = Draw::new(3);
        let mut order: Vec<u32> = (0..6).collect();
        for _ in 0..20_000 {
            draw(&mut order, 3, &mut random);
            let mut drawn = order[..3].to_vec();
            drawn.sort_unstable();
            *counts.entry(drawn).or_default() += 1;
        }
        // 1,000 each; five standard deviations of the binomial are 154.
        assert_eq!(counts.len(), 20);
        assert!(
            counts.values().all(|count| count.abs_diff(1000) < 154),
            "{counts:?}"
        );
    }
}
