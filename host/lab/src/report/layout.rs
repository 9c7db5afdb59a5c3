//! The positions of a network's nodes in a drawing: from its file, or by a force-directed layout.

use crate::measures::NetworkLoad;

/// Maximum number of nodes for a force-directed layout; larger networks are drawn as a spiral.
const SPRINGS_MAX: usize = 400;
/// Iterations of the layout.
const ROUNDS: u32 = 250;
/// The angle between successive seeds of a sunflower, in radians.
const GOLDEN_ANGLE: f64 = 2.399_963_229_728_653;

/// Positions of the nodes, from 0 to 1 in both directions, y pointing down, and the ratio of width to height.
pub(super) fn places(network: &NetworkLoad) -> (Vec<(f64, f64)>, f64) {
    let given: Option<Vec<(f64, f64)>> = network.nodes.iter().map(|node| node.position).collect();
    let given = given.filter(|places| {
        places.iter().all(|(x, y)| x.is_finite() && y.is_finite()) && distinct(places) > 1
    });
    match given {
        Some(places) => fitted(on_a_map(places)),
        None if network.nodes.len() <= SPRINGS_MAX => fitted(springs(network)),
        None => fitted(sunflower(network.nodes.len())),
    }
}

fn distinct(places: &[(f64, f64)]) -> usize {
    let mut bits: Vec<(u64, u64)> = places
        .iter()
        .map(|it| (it.0.to_bits(), it.1.to_bits()))
        .collect();
    bits.sort_unstable();
    bits.dedup();
    bits.len()
}

/// North is up; a degree of longitude is as wide as in the middle of the map.
fn on_a_map(places: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let are_degrees = places
        .iter()
        .all(|(x, y)| x.abs() <= 180.0 && y.abs() <= 90.0);
    let mean = places.iter().map(|it| it.1).sum::<f64>() / places.len() as f64;
    let narrow = if are_degrees {
        libm::cos(mean.to_radians()).max(0.1)
    } else {
        1.0
    };
    places.into_iter().map(|(x, y)| (x * narrow, -y)).collect()
}

/// Moves and scales the positions into 0 to 1 and returns the ratio of width to height, which is bounded in both
/// directions.
fn fitted(places: Vec<(f64, f64)>) -> (Vec<(f64, f64)>, f64) {
    let range = |of: fn(&(f64, f64)) -> f64| {
        let all = places.iter().map(of);
        let (low, high) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), it| {
            (low.min(it), high.max(it))
        });
        (low, if high > low { high - low } else { 0.0 })
    };
    let ((left, width), (top, height)) = (range(|it| it.0), range(|it| it.1));
    let share = |value: f64, low: f64, all: f64| if all > 0.0 { (value - low) / all } else { 0.5 };
    let ratio = if height > 0.0 && width > 0.0 {
        width / height
    } else {
        1.6
    };
    let fitted = places
        .iter()
        .map(|&(x, y)| (share(x, left, width), share(y, top, height)));
    (fitted.collect(), ratio.clamp(0.9, 2.2))
}

/// Evenly over a disc (Vogel, "A better way to construct the sunflower head", Mathematical Biosciences, 1979).
fn sunflower(count: usize) -> Vec<(f64, f64)> {
    let seed = |place: usize| {
        let (radius, angle) = (libm::sqrt(place as f64 + 0.5), place as f64 * GOLDEN_ANGLE);
        (radius * libm::cos(angle), radius * libm::sin(angle))
    };
    (0..count).map(seed).collect()
}

/// Linked nodes attract and all nodes repel each other, starting from a circle, in ever smaller steps (Fruchterman
/// and Reingold, "Graph drawing by force-directed placement", Software: Practice and Experience, 1991).
/// Deterministic: nothing is random.
fn springs(network: &NetworkLoad) -> Vec<(f64, f64)> {
    let count = network.nodes.len();
    let turn = std::f64::consts::TAU / count.max(1) as f64;
    let on_circle = |node: usize| {
        // Not quite a circle, so that repulsions never cancel out exactly.
        let radius = 0.5 + 0.01 * (node % 7) as f64;
        (
            radius * libm::cos(turn * node as f64),
            radius * libm::sin(turn * node as f64),
        )
    };
    let mut places: Vec<(f64, f64)> = (0..count).map(on_circle).collect();
    let reach = 1.0 / libm::sqrt(count.max(1) as f64);
    for round in 0..ROUNDS {
        let mut pushes = vec![(0.0, 0.0); count];
        for a in 0..count {
            for b in a + 1..count {
                push(&mut pushes, &places, (a, b), |apart| reach * reach / apart);
            }
        }
        for link in &network.links {
            let (a, b) = (link.ends.0 as usize, link.ends.1 as usize);
            if a < count && b < count && a != b {
                push(&mut pushes, &places, (a, b), |apart| -apart * apart / reach);
            }
        }
        let step = 0.12 * (1.0 - f64::from(round) / f64::from(ROUNDS));
        for (place, (x, y)) in places.iter_mut().zip(pushes) {
            let far = libm::sqrt(x * x + y * y).max(1e-9);
            place.0 += x / far * far.min(step);
            place.1 += y / far * far.min(step);
        }
    }
    places
}

/// Pushes two nodes apart by this function of their distance.
fn push(
    pushes: &mut [(f64, f64)],
    places: &[(f64, f64)],
    (a, b): (usize, usize),
    force: impl Fn(f64) -> f64,
) {
    let (x, y) = (places[a].0 - places[b].0, places[a].1 - places[b].1);
    let apart = libm::sqrt(x * x + y * y).max(1e-6);
    let force = force(apart);
    let (x, y) = (x / apart * force, y / apart * force);
    pushes[a].0 += x;
    pushes[a].1 += y;
    pushes[b].0 -= x;
    pushes[b].1 -= y;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measures::{LinkLoad, NodeLoad};

    fn network(nodes: u32, links: &[(u32, u32)]) -> NetworkLoad {
        NetworkLoad {
            nodes: vec![NodeLoad::default(); nodes as usize],
            links: links
                .iter()
                .map(|&ends| LinkLoad { ends, bytes: 0 })
                .collect(),
        }
    }

    fn apart(a: (f64, f64), b: (f64, f64)) -> f64 {
        ((a.0 - b.0).powi(2) + (a.1 - b.1).powi(2)).sqrt()
    }

    #[test]
    fn linked_nodes_lie_nearer_than_others() {
        let line: Vec<(u32, u32)> = (0..9).map(|node| (node, node + 1)).collect();
        let (places, _) = places(&network(10, &line));
        assert!(apart(places[0], places[1]) * 3.0 < apart(places[0], places[9]));
    }

    #[test]
    fn no_two_nodes_lie_on_one_place_and_all_are_on_the_page() {
        for count in [1, 2, 3, 50, 500] {
            let (places, ratio) = places(&network(count, &[(0, 1)]));
            assert!((0.5..3.0).contains(&ratio));
            for (node, &(x, y)) in places.iter().enumerate() {
                assert!(
                    (0.0..=1.0).contains(&x) && (0.0..=1.0).contains(&y),
                    "{x}, {y}"
                );
                assert!(
                    places[..node]
                        .iter()
                        .all(|&other| apart(other, (x, y)) > 1e-4)
                );
            }
        }
    }

    #[test]
    fn a_map_is_drawn_as_it_is() {
        let mut network = network(3, &[]);
        for (node, position) in
            network
                .nodes
                .iter_mut()
                .zip([(0.0, 60.0), (10.0, 60.0), (0.0, 70.0)])
        {
            node.position = Some(position);
        }
        let (places, ratio) = places(&network);
        // North is up, and at that latitude ten degrees of longitude are less than half as long as ten of
        // latitude.
        assert_eq!(places, [(0.0, 1.0), (1.0, 1.0), (0.0, 0.0)]);
        assert_eq!(ratio, 0.9);
    }
}
