//! Generators of regular topologies.

use std::collections::BTreeSet;

use super::graph::{Edge, edge};

/// Links each node with the next.
pub(super) fn line(nodes: u32) -> BTreeSet<Edge> {
    (1..nodes).map(|at| (at - 1, at)).collect()
}

/// A line whose ends are linked.
pub(super) fn ring(nodes: u32) -> BTreeSet<Edge> {
    (0..nodes)
        .filter_map(|at| edge(at, (at + 1) % nodes))
        .collect()
}

/// Links each node with the first.
pub(super) fn star(nodes: u32) -> BTreeSet<Edge> {
    (1..nodes).map(|at| (0, at)).collect()
}

/// Rows of `width` nodes, `height` of them.
pub(super) fn grid(width: u32, height: u32) -> BTreeSet<Edge> {
    let nodes = width * height;
    let beside = (0..nodes).filter(|at| (at + 1) % width != 0);
    let beside = beside.map(|at| (at, at + 1));
    let below = (width..nodes).map(|at| (at - width, at));
    beside.chain(below).collect()
}

/// Links each node with `branching` nodes below it, level by level.
pub(super) fn tree(nodes: u32, branching: u32) -> BTreeSet<Edge> {
    (1..nodes).map(|at| ((at - 1) / branching, at)).collect()
}

/// Links each node with every other.
pub(super) fn complete(nodes: u32) -> BTreeSet<Edge> {
    (0..nodes)
        .flat_map(|a| (a + 1..nodes).map(move |b| (a, b)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(edges: BTreeSet<Edge>, expected: &[Edge]) {
        assert_eq!(edges, expected.iter().copied().collect());
    }

    #[test]
    fn shapes_are_what_they_are_called() {
        check(line(4), &[(0, 1), (1, 2), (2, 3)]);
        check(ring(4), &[(0, 1), (1, 2), (2, 3), (0, 3)]);
        check(ring(2), &[(0, 1)]);
        check(ring(1), &[]);
        check(star(4), &[(0, 1), (0, 2), (0, 3)]);
        check(grid(2, 2), &[(0, 1), (2, 3), (0, 2), (1, 3)]);
        check(grid(1, 3), &[(0, 1), (1, 2)]);
        check(tree(6, 2), &[(0, 1), (0, 2), (1, 3), (1, 4), (2, 5)]);
        check(complete(3), &[(0, 1), (0, 2), (1, 2)]);
    }
}
