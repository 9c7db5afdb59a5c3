//! Search methods, and their cost in messages.

use std::fmt;

use crate::sample::Draw;
use crate::world::{Routes, SearchPlan};

/// Steps of a walker between two checks whether another has found the file, as in Lv et al., section 5.2.
const LOOK_EVERY: u32 = 4;
/// Steps after which a walker gives up.
const STEPS_MAX: u32 = 1024;

/// A search method.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(tag = "method", rename_all = "kebab-case")]
pub enum Method {
    /// The node's own: level by level, each node asked once, until the first level that has the file.
    BreadthFirst,
    /// Every node forwards the question to all its neighbours except the one it came from, up to a number of hops;
    /// nothing stops it early.
    Flooding {
        /// Maximum number of hops.
        ttl: u32,
    },
    /// Floods of 1, 2, 3, … hops, until one finds the file.
    ExpandingRing,
    /// Walkers that step to a random neighbour; each checks every fourth step whether another has found the file.
    RandomWalks {
        /// The number of walkers.
        walkers: u32,
    },
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BreadthFirst => f.pad("breadth-first"),
            Self::Flooding { ttl } => f.pad(&format!("flooding, {ttl} hops")),
            Self::ExpandingRing => f.pad("expanding ring"),
            Self::RandomWalks { walkers } => f.pad(&format!("{walkers} random walks")),
        }
    }
}

/// The cost of one search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// Hops to the copy; none when it was not found.
    pub(super) hops: Option<u32>,
    /// Messages sent from node to node.
    pub(super) messages: u64,
    /// Nodes that were asked, each counted once; the searching node is not one of them.
    pub(super) visited: u64,
}

/// Floods from one node, by their maximum number of hops.
pub(super) struct Floods {
    messages: Vec<u64>,
    visited: Vec<u64>,
}

impl Floods {
    pub(super) fn from(routes: &Routes, search_plan: &SearchPlan) -> Self {
        let mut floods = Self {
            messages: vec![0],
            visited: vec![0],
        };
        for (node, level) in search_plan.within(u32::MAX) {
            let depth = level as usize;
            if floods.visited.len() <= depth {
                floods.visited.push(floods.visited[depth - 1]);
            }
            if floods.messages.len() <= depth + 1 {
                floods.messages.push(floods.messages[depth]);
            }
            let from_another = u64::from(level > 0);
            floods.visited[depth] += from_another;
            // Forwarded by the nodes of a level, with one more hop.
            floods.messages[depth + 1] += routes.neighbours(node).count() as u64 - from_another;
        }
        floods
    }

    fn of(&self, hops: u32) -> (u64, u64) {
        let at = |of: &[u64]| of[(hops as usize).min(of.len() - 1)];
        (at(&self.messages), at(&self.visited))
    }
}

/// Searches from the start node of a search plan for a file that `holders` have, sorted by number.
pub(super) fn search(
    method: Method,
    routes: &Routes,
    search_plan: &SearchPlan,
    floods: &Floods,
    holders: &[u32],
    draw: &mut Draw,
) -> Taken {
    if holders.binary_search(&search_plan.from()).is_ok() {
        return Taken {
            hops: Some(0),
            messages: 0,
            visited: 0,
        };
    }
    let nearest = holders
        .iter()
        .filter_map(|&holder| search_plan.hops(holder))
        .min();
    match method {
        Method::BreadthFirst => {
            let found = search_plan.search(holders.iter().copied(), u32::MAX);
            Taken {
                hops: nearest,
                messages: found.probes as u64,
                visited: found.probes as u64,
            }
        }
        Method::Flooding { ttl } => {
            let (messages, visited) = floods.of(ttl);
            Taken {
                hops: nearest.filter(|&hops| hops <= ttl),
                messages,
                visited,
            }
        }
        Method::ExpandingRing => {
            let last = nearest.unwrap_or(floods.visited.len() as u32 - 1);
            Taken {
                hops: nearest,
                messages: (1..=last).map(|hops| floods.of(hops).0).sum(),
                visited: floods.of(last).1,
            }
        }
        Method::RandomWalks { walkers } => walk(routes, search_plan.from(), holders, walkers, draw),
    }
}

/// Walkers that start together and step at the same pace.
fn walk(routes: &Routes, from: u32, holders: &[u32], walkers: u32, draw: &mut Draw) -> Taken {
    let mut at: Vec<Option<u32>> = vec![Some(from); walkers as usize];
    let mut seen = vec![false; routes.ranks().len()];
    seen[from as usize] = true;
    let mut taken = Taken {
        hops: None,
        messages: 0,
        visited: 0,
    };
    let mut around = Vec::new();
    for step in 1..=STEPS_MAX {
        for place in &mut at {
            let Some(node) = *place else { continue };
            around.clear();
            around.extend(routes.neighbours(node).map(|(next, _)| next));
            if around.is_empty() {
                *place = None;
                continue;
            }
            let next = around[draw.below(around.len())];
            *place = Some(next);
            taken.messages += 1;
            taken.visited += u64::from(!std::mem::replace(&mut seen[next as usize], true));
            if holders.binary_search(&next).is_ok() {
                taken.hops = taken.hops.or(Some(step));
                *place = None;
            }
        }
        if step.is_multiple_of(LOOK_EVERY) {
            let walking = at.iter().flatten().count() as u64;
            taken.messages += walking;
            if taken.hops.is_some() || walking == 0 {
                break;
            }
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Link;

    fn routes(edges: &[(u32, u32)], nodes: u32) -> Routes {
        let link = |&ends: &(u32, u32)| Link {
            ends,
            latency_us: 0,
            bits_per_second: 1,
        };
        let links = edges.iter().map(link).collect();
        Routes::new(links, (0..nodes).collect(), nodes as usize)
    }

    fn check(edges: &[(u32, u32)], holders: &[u32], expected: &[(Method, Option<u32>, u64, u64)]) {
        let routes = routes(edges, 6);
        let search_plan = SearchPlan::new(&routes, 0);
        let floods = Floods::from(&routes, &search_plan);
        for &(method, hops, messages, visited) in expected {
            let taken = search(
                method,
                &routes,
                &search_plan,
                &floods,
                holders,
                &mut Draw::new(1),
            );
            let expected = Taken {
                hops,
                messages,
                visited,
            };
            assert_eq!(taken, expected, "{method}");
        }
    }

    const LINE: &[(u32, u32)] = &[(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)];

    #[test]
    fn on_a_line_every_message_is_a_node() {
        let (two, four) = (Method::Flooding { ttl: 2 }, Method::Flooding { ttl: 4 });
        let expected = [
            (Method::BreadthFirst, Some(3), 3, 3),
            (four, Some(3), 4, 4),
            (two, None, 2, 2),
            (Method::ExpandingRing, Some(3), 1 + 2 + 3, 3),
        ];
        check(LINE, &[3], &expected);
        check(LINE, &[0, 3], &[(Method::BreadthFirst, Some(0), 0, 0)]);
        check(
            &LINE[..3],
            &[5],
            &[(Method::ExpandingRing, None, 1 + 2 + 3, 3)],
        );
    }

    #[test]
    fn on_a_cycle_floods_meet() {
        let cycle = &[(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (0, 5)];
        let expected = [
            (Method::BreadthFirst, Some(3), 5, 5),
            // Both floods reach the far node, and there each forwards what the other has asked.
            (Method::Flooding { ttl: 3 }, Some(3), 6, 5),
            (Method::Flooding { ttl: 9 }, Some(3), 7, 5),
        ];
        check(cycle, &[3], &expected);
    }

    #[test]
    fn a_walker_finds_what_it_steps_on() {
        let one = Method::RandomWalks { walkers: 1 };
        // From the end of a pair there is only one way; at the fourth step nobody is walking any more.
        check(&[(0, 1)], &[1], &[(one, Some(1), 1, 1)]);
        let three = Method::RandomWalks { walkers: 3 };
        check(&[(0, 1)], &[1], &[(three, Some(1), 3, 1)]);
    }

    #[test]
    fn walkers_give_up() {
        let two = Method::RandomWalks { walkers: 2 };
        let steps = u64::from(2 * STEPS_MAX);
        check(&[(0, 1)], &[5], &[(two, None, steps + steps / 4, 1)]);
        check(&[], &[5], &[(two, None, 0, 0)]);
    }
}
