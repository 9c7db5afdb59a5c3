//! `Routes`: which nodes are linked now, and the routes over these links.

use rustc_hash::FxHashMap;

use crate::topology::Link;

/// The nodes and links that are up, and the routes over them.
pub(crate) struct Routes {
    links: Vec<Link>,
    is_up: Vec<bool>,
    is_alive: Vec<bool>,
    /// For each node, its neighbours and the links to them.
    around: Vec<Vec<(u32, u32)>>,
    by_ends: FxHashMap<(u32, u32), u32>,
    /// The nodes' ranks by id.
    ranks: Vec<u32>,
    /// How often a link or a node came or went.
    changes: u64,
}

impl Routes {
    /// Routes over these links between nodes of these ranks; nodes from `absent` on have not joined yet.
    pub(crate) fn new(links: Vec<Link>, ranks: Vec<u32>, absent: usize) -> Self {
        let nodes = ranks.len();
        let mut routes = Self {
            links: Vec::new(),
            is_up: Vec::new(),
            is_alive: (0..nodes).map(|node| node < absent).collect(),
            around: vec![Vec::new(); nodes],
            by_ends: FxHashMap::default(),
            ranks,
            changes: 0,
        };
        for link in links {
            routes.add(link);
        }
        routes
    }

    /// Adds a link, or restores the one between these two nodes.
    pub(super) fn add(&mut self, link: Link) {
        self.changes += 1;
        let (a, b) = link.ends;
        if let Some(&known) = self.by_ends.get(&link.ends) {
            self.is_up[known as usize] = true;
            return;
        }
        let number = self.links.len() as u32;
        self.links.push(link);
        self.is_up.push(true);
        self.by_ends.insert((a, b), number);
        self.by_ends.insert((b, a), number);
        self.around[a as usize].push((b, number));
        self.around[b as usize].push((a, number));
    }

    /// Cuts the link between two nodes. False if there is none.
    pub(super) fn cut(&mut self, a: u32, b: u32) -> bool {
        self.changes += 1;
        let Some(&link) = self.by_ends.get(&(a, b)) else {
            return false;
        };
        std::mem::take(&mut self.is_up[link as usize])
    }

    /// Sets whether a node is up.
    pub(super) fn set_alive(&mut self, node: u32, is_alive: bool) {
        self.changes += 1;
        self.is_alive[node as usize] = is_alive;
    }

    /// Whether a node is up.
    pub(super) fn is_alive(&self, node: u32) -> bool {
        self.is_alive[node as usize]
    }

    /// All links, past and present.
    pub(super) fn links(&self) -> &[Link] {
        &self.links
    }

    /// The index of the link between two neighbours.
    pub(super) fn link_between(&self, a: u32, b: u32) -> u32 {
        self.by_ends[&(a, b)]
    }

    /// How often a link or a node came or went so far.
    pub(super) const fn changes(&self) -> u64 {
        self.changes
    }

    pub(crate) fn ranks(&self) -> &[u32] {
        &self.ranks
    }

    /// The neighbours of a node that are up, with the delay of the links to them in microseconds.
    pub(crate) fn neighbours(&self, node: u32) -> impl Iterator<Item = (u32, u64)> {
        let is_there = |&&(other, link): &&(u32, u32)| {
            self.is_up[link as usize] && self.is_alive[other as usize]
        };
        let around = self.around[node as usize].iter().filter(is_there);
        around.map(|&(other, link)| (other, self.links[link as usize].latency_us))
    }
}
