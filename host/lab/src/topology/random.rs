//! Generators of random topologies.

use std::collections::BTreeSet;

use super::graph::{Edge, edge};
use crate::sample::Draw;

/// Links each pair with `probability` (Gilbert's G(n, p)). Skips runs of unlinked pairs in one step (Batagelj,
/// Brandes 2005, "Efficient generation of large random networks", algorithm 1). `None` if there would be more than
/// `links_max` links.
pub(super) fn erdos_renyi(
    nodes: u32,
    probability: f64,
    links_max: usize,
    draw: &mut Draw,
) -> Option<BTreeSet<Edge>> {
    let mut edges = BTreeSet::new();
    if probability <= 0.0 {
        return Some(edges);
    }
    let log_miss = libm::log1p(-probability.min(1.0));
    let (mut from, mut to) = (1u64, -1i64);
    while from < u64::from(nodes) {
        // With probability 1 the logarithm is infinite and nothing is skipped.
        let skipped = libm::floor(libm::log1p(-draw.unit()) / log_miss);
        to = to.saturating_add(1).saturating_add(skipped as i64);
        while from < u64::from(nodes) && to >= from as i64 {
            to -= from as i64;
            from += 1;
        }
        if from < u64::from(nodes) {
            edges.insert((to as u32, from as u32));
            if edges.len() > links_max {
                return None;
            }
        }
    }
    Some(edges)
}

/// Starts with `links` + 1 nodes that are all linked; each further node links to `links` others, each chosen with
/// a probability proportional to its number of links.
pub(super) fn barabasi_albert(nodes: u32, links: u32, draw: &mut Draw) -> BTreeSet<Edge> {
    let mut edges = super::shapes::complete(nodes.min(links + 1));
    // Every end of every link, so that choosing an end chooses a node in proportion to its links.
    let mut ends: Vec<u32> = edges.iter().flat_map(|&(a, b)| [a, b]).collect();
    for newcomer in links + 1..nodes {
        let mut chosen = BTreeSet::new();
        while chosen.len() < links as usize {
            chosen.insert(ends[draw.below(ends.len())]);
        }
        for other in chosen {
            edges.insert((other, newcomer));
            ends.extend([other, newcomer]);
        }
    }
    edges
}

/// A ring on which each node is linked with `neighbours` / 2 on either side. Each of these links is rewired with
/// probability `rewire`: its far end moves to a random node that is not linked yet.
pub(super) fn watts_strogatz(
    nodes: u32,
    neighbours: u32,
    rewire: f64,
    draw: &mut Draw,
) -> BTreeSet<Edge> {
    let on_ring = |away| (0..nodes).filter_map(move |at| edge(at, (at + away) % nodes));
    let mut edges: BTreeSet<Edge> = (1..=neighbours / 2).flat_map(on_ring).collect();
    let mut linked = vec![neighbours as usize; nodes as usize];
    for away in 1..=neighbours / 2 {
        for at in 0..nodes {
            let before = edge(at, (at + away) % nodes).filter(|ends| edges.contains(ends));
            let Some(before) = before.filter(|_| draw.happens(rewire)) else {
                continue;
            };
            // A node that is linked with all others has no free target.
            if linked[at as usize] + 1 >= nodes as usize {
                continue;
            }
            let bent = loop {
                let other = draw.below(nodes as usize) as u32;
                if let Some(bent) = edge(at, other).filter(|ends| !edges.contains(ends)) {
                    break bent;
                }
            };
            edges.remove(&before);
            edges.insert(bent);
            linked[((at + away) % nodes) as usize] -= 1;
            linked[(bent.0 + bent.1 - at) as usize] += 1;
        }
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn() -> Draw {
        Draw::new(11)
    }

    #[test]
    fn each_pair_is_linked_with_its_probability() {
        let edges =
            erdos_renyi(400, 0.05, usize::MAX, &mut drawn()).expect("the bound is out of reach");
        let pairs = 400.0 * 399.0 / 2.0;
        let share = edges.len() as f64 / pairs;
        assert!((share - 0.05).abs() < 0.003, "{share}");
        assert!(edges.iter().all(|&(a, b)| a < b && b < 400));
        let all = erdos_renyi(9, 1.0, usize::MAX, &mut drawn()).expect("the bound is out of reach");
        assert_eq!(all, super::super::shapes::complete(9));
        assert_eq!(erdos_renyi(9, 0.0, 9, &mut drawn()), Some(BTreeSet::new()));
        assert_eq!(erdos_renyi(100, 0.9, 99, &mut drawn()), None);
    }

    #[test]
    fn the_rich_get_richer() {
        let edges = barabasi_albert(1_000, 2, &mut drawn());
        assert_eq!(edges.len(), 3 + 2 * 997);
        let mut counts = vec![0u32; 1_000];
        for (a, b) in edges {
            counts[a as usize] += 1;
            counts[b as usize] += 1;
        }
        assert!(counts.iter().all(|&count| count >= 2));
        let most = counts.iter().max().expect("there are nodes");
        assert!(*most > 30, "the mean is 4 and the most is {most}");
    }

    #[test]
    fn a_ring_is_bent_as_often_as_asked() {
        let ring = watts_strogatz(100, 4, 0.0, &mut drawn());
        assert_eq!(ring.len(), 200);
        let bent = watts_strogatz(1_000, 6, 0.2, &mut drawn());
        assert_eq!(bent.len(), 3_000);
        let ring = watts_strogatz(1_000, 6, 0.0, &mut drawn());
        let share = bent.difference(&ring).count() as f64 / 3_000.0;
        assert!((share - 0.2).abs() < 0.03, "{share}");
    }

    #[test]
    fn a_full_graph_can_not_be_bent() {
        let full = watts_strogatz(5, 4, 1.0, &mut drawn());
        assert_eq!(full, super::super::shapes::complete(5));
    }
}
