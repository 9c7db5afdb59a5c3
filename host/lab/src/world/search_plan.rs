//! `SearchPlan`: the nodes that a search from one node asks, level by level, and when.
//!
//! The core's search ([`dataverse_core::search::Search`]) asks level after level, at most [`FANOUT`] nodes
//! concurrently, and starts a level only when the one before has settled. Until a level has a hit, none of that
//! depends on the file. So the plan is computed once: which nodes are asked when, when each answers, and which
//! node named which. A search for a file then only looks up the nodes that have it. Tests compare the results with
//! the core's own state machine: the same hits over the same path, with equally many probes in the same time.
//!
//! A probe and its answer take the fastest route over the links. Nodes answer immediately, and no search runs out
//! of time or budget: a slow network shows in the latencies.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use dataverse_core::limits;

use super::routes::Routes;

/// Concurrent probes of one search, as in a live node.
pub(super) const FANOUT: usize = 32;

/// The level of an unreachable node.
const UNREACHED: u32 = u32::MAX;

/// The plan of a search from one node.
pub(crate) struct SearchPlan {
    from: u32,
    /// For each node, the number of links to it as the search walks.
    level: Vec<u32>,
    /// For each node, when its answer arrives, in microseconds since the start.
    answered_us: Vec<u64>,
    /// For each node, the node that named it first.
    named_by: Vec<u32>,
    /// For each node, the delay of the fastest route, in microseconds.
    delay_us: Vec<u64>,
    /// The nodes in the order in which they are asked.
    order: Vec<u32>,
    /// When each is asked, in that order.
    asked_us: Vec<u64>,
    /// For each level, how many nodes are asked up to and including it; the node itself does not count.
    asked_up_to: Vec<usize>,
    /// For each level, when it has settled.
    settled_us: Vec<u64>,
}

/// The result of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Nodes of the nearest level that have the file and answered in time, by number. Empty if none is reachable.
    pub(crate) hits: Vec<u32>,
    /// Links to them.
    pub(crate) hops: u32,
    /// The number of nodes asked.
    pub(crate) probes: usize,
    /// How long it took, in microseconds.
    pub(crate) elapsed_us: u64,
}

impl SearchPlan {
    /// The node that the plan starts from.
    pub(crate) const fn from(&self) -> u32 {
        self.from
    }

    /// The approximate memory of a plan for `nodes` nodes, in bytes.
    pub(super) const fn bytes(nodes: usize) -> usize {
        nodes * (4 + 8 + 4 + 8 + 4 + 8)
    }

    /// Computes the plan of this node over the current routes.
    pub(crate) fn new(routes: &Routes, from: u32) -> Self {
        let nodes = routes.ranks().len();
        let mut search_plan = Self {
            from,
            level: vec![UNREACHED; nodes],
            answered_us: vec![0; nodes],
            named_by: vec![from; nodes],
            delay_us: delays(routes, from),
            order: Vec::new(),
            asked_us: Vec::new(),
            asked_up_to: vec![0],
            settled_us: vec![0],
        };
        search_plan.level[from as usize] = 0;
        let mut next = Vec::new();
        search_plan.name(routes, from, 0, &mut next);
        let mut now_us = 0;
        while !next.is_empty() {
            next.sort_unstable_by_key(|&node| routes.ranks()[node as usize]);
            let waiting = std::mem::take(&mut next);
            now_us = search_plan.ask(routes, &waiting, now_us, &mut next);
            search_plan.asked_up_to.push(search_plan.order.len());
            search_plan.settled_us.push(now_us);
        }
        search_plan
    }

    /// Adds the neighbours that a node names.
    fn name(&mut self, routes: &Routes, by: u32, level: u32, next: &mut Vec<u32>) {
        for (node, _) in routes.neighbours(by) {
            if self.level[node as usize] == UNREACHED {
                self.level[node as usize] = level + 1;
                self.named_by[node as usize] = by;
                next.push(node);
            }
        }
    }

    /// Asks the nodes of a level and returns when the last one has answered.
    fn ask(&mut self, routes: &Routes, waiting: &[u32], began_us: u64, next: &mut Vec<u32>) -> u64 {
        let mut under_way = BinaryHeap::with_capacity(FANOUT);
        let mut now_us = began_us;
        let mut asked = 0;
        loop {
            while under_way.len() < FANOUT && asked < waiting.len() {
                let node = waiting[asked];
                let answered_us = now_us + 2 * self.delay_us[node as usize];
                self.answered_us[node as usize] = answered_us;
                self.order.push(node);
                self.asked_us.push(now_us);
                under_way.push(Reverse((answered_us, asked, node)));
                asked += 1;
            }
            let Some(Reverse((answered_us, _, node))) = under_way.pop() else {
                return now_us;
            };
            now_us = answered_us;
            self.name(routes, node, self.level[node as usize], next);
        }
    }

    /// A search for a file that `holders` have, over at most `hops_max` links. The start node itself is ignored.
    pub(crate) fn search(
        &self,
        holders: impl Iterator<Item = u32> + Clone,
        hops_max: u32,
    ) -> Found {
        let elsewhere = holders.filter(|&node| node != self.from);
        let level = elsewhere
            .clone()
            .map(|node| self.level[node as usize])
            .min();
        let in_reach = |&level: &u32| level != UNREACHED && level <= hops_max;
        let Some(level) = level.filter(in_reach) else {
            let last = (self.settled_us.len() - 1).min(hops_max as usize);
            return Found {
                hits: Vec::new(),
                hops: 0,
                probes: self.asked_up_to[last],
                elapsed_us: self.settled_us[last],
            };
        };
        let mut hits: Vec<u32> = elsewhere
            .filter(|&it| self.level[it as usize] == level)
            .collect();
        let answered_us = |node: &u32| self.answered_us[*node as usize];
        let first_us = hits.iter().map(answered_us).min();
        let first_us = first_us.expect("a level with holders has a first");
        // The core counts in whole milliseconds.
        let commit_us = (first_us / 1_000 + limits::SEARCH_SETTLE_MS) * 1_000;
        let settled_us = self.settled_us[level as usize];
        let (from, to) = (
            self.asked_up_to[level as usize - 1],
            self.asked_up_to[level as usize],
        );
        if settled_us < commit_us {
            hits.sort_unstable();
            return Found {
                hits,
                hops: level,
                probes: to,
                elapsed_us: settled_us,
            };
        }
        hits.retain(|node| answered_us(node) < commit_us);
        hits.sort_unstable();
        let asked = self.asked_us[from..to].partition_point(|&asked_us| asked_us < commit_us);
        Found {
            hits,
            hops: level,
            probes: from + asked,
            elapsed_us: commit_us,
        }
    }

    /// The number of links as the search walks; none if the node is unreachable.
    pub(crate) fn hops(&self, to: u32) -> Option<u32> {
        let level = self.level[to as usize];
        (level != UNREACHED).then_some(level)
    }

    /// The delay of the fastest route, in microseconds.
    pub(super) fn delay_us(&self, to: u32) -> u64 {
        self.delay_us[to as usize]
    }

    /// The nodes of a search's path, including this one and the last.
    pub(super) fn path(&self, to: u32) -> Vec<u32> {
        let mut path = vec![to];
        let mut at = to;
        while at != self.from {
            at = self.named_by[at as usize];
            path.push(at);
        }
        path.reverse();
        path
    }

    /// The first `probes` nodes that a search asks.
    pub(super) fn asked(&self, probes: usize) -> &[u32] {
        &self.order[..probes]
    }

    /// This node and all within `hops` links, nearest first, then by id.
    pub(crate) fn within(&self, hops: u32) -> impl Iterator<Item = (u32, u32)> {
        let last = (self.asked_up_to.len() - 1).min(hops as usize);
        let others = self.order[..self.asked_up_to[last]].iter();
        let others = others.map(|&node| (node, self.level[node as usize]));
        std::iter::once((self.from, 0)).chain(others)
    }
}

/// The delay of the fastest route to each node, in microseconds (Dijkstra 1959).
fn delays(routes: &Routes, from: u32) -> Vec<u64> {
    let mut delays = vec![u64::MAX; routes.ranks().len()];
    delays[from as usize] = 0;
    let mut open = BinaryHeap::from([Reverse((0, from))]);
    while let Some(Reverse((delay_us, node))) = open.pop() {
        if delay_us > delays[node as usize] {
            continue;
        }
        for (next, latency_us) in routes.neighbours(node) {
            let over = delay_us + latency_us;
            if over < delays[next as usize] {
                delays[next as usize] = over;
                open.push(Reverse((over, next)));
            }
        }
    }
    delays
}

#[cfg(test)]
mod tests;
