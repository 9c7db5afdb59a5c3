//! `Topology`: nodes and links as plain lists.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::unionfind::UnionFind;

/// A node, before anything runs on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Vertex {
    /// Its unique name.
    pub name: String,
    /// Its country, if the file says.
    pub country: Option<String>,
    /// Longitude and latitude in degrees, if the file says.
    pub position: Option<(f64, f64)>,
}

/// A two-way link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// Its ends, as indices into the nodes, the lesser first.
    pub ends: (u32, u32),
    /// One-way delay in microseconds.
    pub latency_us: u64,
    /// Bandwidth in bits per second.
    pub bits_per_second: u64,
}

/// Nodes and links. No node is linked with itself, and no pair is linked twice.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Topology {
    /// The nodes.
    pub nodes: Vec<Vertex>,
    /// The links, by their ends.
    pub links: Vec<Link>,
}

/// Two nodes, by index.
pub(super) type Edge = (u32, u32);

impl Topology {
    /// `nodes` nodes named `n0`, `n1`, … with these links, all alike.
    pub(super) fn plain(nodes: u32, edges: BTreeSet<Edge>, like: Link) -> Self {
        let place = |number| Vertex {
            name: format!("n{number}"),
            country: None,
            position: None,
        };
        Self {
            nodes: (0..nodes).map(place).collect(),
            links: edges
                .into_iter()
                .map(|ends| Link { ends, ..like })
                .collect(),
        }
    }

    /// The node of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<u32> {
        let at = self.nodes.iter().position(|place| place.name == name)?;
        Some(at as u32)
    }

    /// Whether there is a link between the nodes of these names.
    #[must_use]
    pub fn are_linked(&self, a: &str, b: &str) -> bool {
        let ends = self.find(a).zip(self.find(b));
        let ends = ends.and_then(|(a, b)| edge(a, b));
        ends.is_some_and(|ends| self.links.iter().any(|link| link.ends == ends))
    }

    /// The number of connected components.
    #[must_use]
    pub fn parts(&self) -> usize {
        let mut parts = self.nodes.len();
        let mut sets = UnionFind::<u32>::new(parts);
        for link in &self.links {
            parts -= usize::from(sets.union(link.ends.0, link.ends.1));
        }
        parts
    }

    /// The most links of one node, and which node that is.
    #[must_use]
    pub fn most_links(&self) -> Option<(usize, u32)> {
        let mut counts = BTreeMap::<u32, usize>::new();
        for link in &self.links {
            for end in [link.ends.0, link.ends.1] {
                *counts.entry(end).or_default() += 1;
            }
        }
        counts.into_iter().map(|(node, count)| (count, node)).max()
    }
}

/// The two nodes, the lesser first; none if they are the same.
pub(super) fn edge(a: u32, b: u32) -> Option<Edge> {
    (a != b).then(|| (a.min(b), a.max(b)))
}
