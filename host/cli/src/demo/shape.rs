//! How the nodes of a demo are linked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How the nodes of a demo are linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Shape {
    /// Each node with the next
    Line,
    /// A line whose ends are linked
    Ring,
    /// Each node with the first
    Star,
    /// Each node with those next to, above and below it
    Grid,
    /// A random connected graph
    Random,
}

/// A link between two nodes, by their indexes.
pub(super) type Edge = (usize, usize);

impl Shape {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Line => "a line",
            Self::Ring => "a ring",
            Self::Star => "a star",
            Self::Grid => "a grid",
            Self::Random => "a random graph",
        }
    }

    /// The links between this many nodes; the graph is connected.
    pub(super) fn edges(self, nodes: usize) -> Vec<Edge> {
        let next = |at: usize| (at - 1, at);
        match self {
            Self::Line => (1..nodes).map(next).collect(),
            Self::Ring if nodes > 2 => (1..nodes).map(next).chain([(nodes - 1, 0)]).collect(),
            Self::Ring => (1..nodes).map(next).collect(),
            Self::Star => (1..nodes).map(|at| (0, at)).collect(),
            Self::Grid => grid(nodes),
            Self::Random => random(nodes),
        }
    }
}

fn grid(nodes: usize) -> Vec<Edge> {
    let width = nodes.isqrt().max(1);
    let width = if width * width < nodes {
        width + 1
    } else {
        width
    };
    let beside = (1..nodes)
        .filter(|at| at % width != 0)
        .map(|at| (at - 1, at));
    let below = (width..nodes).map(|at| (at - width, at));
    beside.chain(below).collect()
}

/// Links each node with an earlier one, which connects the graph, and adds some more links.
fn random(nodes: usize) -> Vec<Edge> {
    let mut edges: BTreeSet<Edge> = (1..nodes)
        .map(|at| (rand::random_range(0..at), at))
        .collect();
    for _ in 0..nodes / 2 {
        let (a, b) = (rand::random_range(0..nodes), rand::random_range(0..nodes));
        if a != b {
            edges.insert((a.min(b), a.max(b)));
        }
    }
    edges.into_iter().collect()
}

/// The distance in links from `from` to every node that can be reached without passing `without`.
pub(super) fn distances(
    edges: &[Edge],
    from: usize,
    without: Option<usize>,
) -> BTreeMap<usize, usize> {
    let mut distances = BTreeMap::from([(from, 0)]);
    let mut frontier = VecDeque::from([from]);
    while let Some(at) = frontier.pop_front() {
        let distance = distances[&at] + 1;
        for &(a, b) in edges {
            let other = match at {
                at if at == a => b,
                at if at == b => a,
                _ => continue,
            };
            if Some(other) != without && !distances.contains_key(&other) {
                distances.insert(other, distance);
                frontier.push_back(other);
            }
        }
    }
    distances
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_is_connected_at_every_size() {
        for shape in [
            Shape::Line,
            Shape::Ring,
            Shape::Star,
            Shape::Grid,
            Shape::Random,
        ] {
            for nodes in 1..=26 {
                let reached = distances(&shape.edges(nodes), 0, None);
                assert_eq!(reached.len(), nodes, "{shape:?} of {nodes}");
            }
        }
    }

    #[test]
    fn a_line_is_as_long_as_it_has_links() {
        assert_eq!(distances(&Shape::Line.edges(4), 0, None)[&3], 3);
        assert_eq!(distances(&Shape::Line.edges(4), 0, Some(2)).len(), 2);
        assert_eq!(Shape::Grid.edges(4), [(0, 1), (2, 3), (0, 2), (1, 3)]);
    }
}
