//! `Points`: the positions of a node on the ring.
//!
//! They are independent and uniform, as on any ring, but never all computed. Instead, the ring is halved
//! repeatedly towards the requested position, and the number of a part's points in its first half is drawn from
//! the node's id and the part (one random bit per point). So the next point is found in as many steps as there are
//! halvings, without a table to keep or rebuild.

use dataverse_sdk::{Random, mix};

/// Maximum number of halvings. All points of such a small part have the same position.
const HALVINGS_MAX: u32 = 48;

/// The points of one node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Points {
    id: u64,
    count: u32,
}

/// A part of the ring: all of it, a half, a quarter, and so on.
#[derive(Clone, Copy)]
struct Part {
    halvings: u32,
    /// The part's index, counted from the start of the ring.
    number: u64,
    /// The number of points in it.
    points: u32,
}

impl Part {
    /// The position of its start.
    const fn beginning(self) -> u64 {
        match self.halvings {
            0 => 0,
            halvings => self.number << (u64::BITS - halvings),
        }
    }
}

impl Points {
    /// The points of the node with this id: `count` of them, but at least one.
    pub(crate) const fn new(id: u64, count: u32) -> Self {
        Self { id, count }
    }

    /// The first point at or after this position, wrapping around at the end of the ring.
    pub(crate) fn next_from(self, position: u64) -> u64 {
        let ring = Part {
            halvings: 0,
            number: 0,
            points: self.count,
        };
        let next = self.next_in(ring, position);
        next.or_else(|| self.next_in(ring, 0)).unwrap_or(0)
    }

    fn next_in(self, part: Part, position: u64) -> Option<u64> {
        if part.points == 0 {
            return None;
        }
        let mut draws = Random::new(mix(self.id ^ mix(1 << part.halvings | part.number)));
        if part.points == 1 || part.halvings == HALVINGS_MAX {
            let within = draws.next_u64() >> part.halvings;
            return Some(part.beginning() | within).filter(|&point| point >= position);
        }
        let first = ones(&mut draws, part.points);
        let half = |number, points| Part {
            halvings: part.halvings + 1,
            number,
            points,
        };
        let second = half(part.number << 1 | 1, part.points - first);
        let found = match position < second.beginning() {
            true => self.next_in(half(part.number << 1, first), position),
            false => None,
        };
        found.or_else(|| self.next_in(second, position))
    }
}

/// How many of this number of random bits are one.
fn ones(draws: &mut Random, bits: u32) -> u32 {
    let words = (0..bits / u64::BITS).map(|_| draws.next_u64().count_ones());
    let ones: u32 = words.sum();
    let rest = bits % u64::BITS;
    ones + (draws.next_u64() & ((1 << rest) - 1)).count_ones()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All points, in ring order.
    fn all(points: Points) -> Vec<u64> {
        let mut all = vec![points.next_from(0)];
        while let Some(after) = all.last().and_then(|last| last.checked_add(1)) {
            let next = points.next_from(after);
            if next < after {
                break;
            }
            all.push(next);
        }
        all
    }

    #[test]
    fn a_node_has_as_many_points_as_it_was_given() {
        for id in 0..20 {
            for count in [1, 2, 63, 64, 65, 128, 1000, 4096] {
                assert_eq!(all(Points::new(id, count)).len(), count as usize);
            }
        }
    }

    #[test]
    fn the_next_point_is_the_first_that_is_not_before() {
        let points = Points::new(7, 100);
        let all = all(points);
        let mut positions = Random::new(1);
        for _ in 0..1000 {
            let position = positions.next_u64();
            let next = all.iter().find(|&&point| point >= position);
            let next = next.unwrap_or(&all[0]);
            assert_eq!(points.next_from(position), *next);
        }
        assert!(all.iter().all(|&point| points.next_from(point) == point));
    }

    #[test]
    fn points_are_even_and_independent() {
        // Counts each node's points, of 128, in the first eighth of the ring. They are binomial with mean 16 and
        // variance 128 * 1/8 * 7/8 = 14. Over 4000 nodes, the mean has a standard deviation of 0.06 and the
        // variance one of 0.31; four standard deviations of each are allowed.
        let counts: Vec<f64> = (0..4000)
            .map(|id| {
                let points = all(Points::new(mix(id), 128));
                points.partition_point(|&point| point < 1 << 61) as f64
            })
            .collect();
        let nodes = counts.len() as f64;
        let mean = counts.iter().sum::<f64>() / nodes;
        let variance = counts.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / nodes;
        assert!((mean - 16.0).abs() < 0.24, "{mean}");
        assert!((variance - 14.0).abs() < 1.3, "{variance}");
    }
}
