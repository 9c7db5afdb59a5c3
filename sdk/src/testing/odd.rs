//! Extreme questions for placement and relocation policies.
//!
//! No candidates and thousands of them, nodes without capacity, more bytes free than there are, duplicate ids,
//! clocks that jump, no copies wanted and more than there are nodes. This goes beyond the contract: an answer must
//! be valid all the same, but nothing more is required of it.

use super::{check_placement, check_relocation, file, nodes};
use crate::{Node, PlacementPolicy, Random, Read, RelocationPolicy, Request, VERDICT_ENTRIES_MAX};

const QUESTIONS: u64 = 500;

/// Asks two instances of a placement policy the same extreme questions.
///
/// # Panics
/// When a verdict breaks a rule, names no node although there are candidates with enough space and copies are
/// wanted, or differs between the two: a policy is a function of its configuration, its seed and the questions so
/// far.
pub fn placement_storm<P: PlacementPolicy>(policy: impl Fn() -> P) {
    let (mut one, mut other) = (policy(), policy());
    let mut random = Random::new(0x570);
    for number in 0..QUESTIONS {
        let candidates = odd_nodes(&mut random);
        let request = Request {
            file: file(random.below(64)),
            factor: one_of(&mut random, &[0, 1, 2, 3, 5, 64, u32::MAX]),
            now: one_of(&mut random, &[0, number, u64::MAX]),
        };
        let verdict = check_placement(&mut one, &request, &candidates);
        let has_room = |node: &Node| node.capacity > 0 && node.free >= request.file.size;
        let could_be_named = request.factor > 0 && candidates.iter().any(has_room);
        assert!(
            !could_be_named || !verdict.is_empty(),
            "it names none of {} candidates",
            candidates.len()
        );
        assert_eq!(
            verdict,
            other.place(&request, &candidates),
            "the same question has two answers"
        );
    }
}

/// Asks two instances of a relocation policy the same extreme questions.
///
/// # Panics
/// When a verdict breaks a rule or differs between the two.
pub fn relocation_storm<P: RelocationPolicy>(policy: impl Fn() -> P) {
    let (mut one, mut other) = (policy(), policy());
    let mut random = Random::new(0x570);
    for number in 0..QUESTIONS {
        let read = Read {
            file: file(random.below(64)),
            reads: one_of(&mut random, &[0, 1, 8, u32::MAX]),
            path: odd_nodes(&mut random),
            now: one_of(&mut random, &[0, number * 60_000, u64::MAX]),
        };
        let verdict = check_relocation(&mut one, &read);
        assert_eq!(
            verdict,
            other.on_read(&read),
            "the same question has two answers"
        );
    }
}

fn odd_nodes(random: &mut Random) -> Vec<Node> {
    let most = VERDICT_ENTRIES_MAX as u64;
    let count = match random.below(100) {
        0 => most,
        1 => most + 1,
        2..10 => 0,
        10..20 => 1,
        _ => random.below(24),
    };
    let mut odd = nodes(count as u32);
    // Most networks are regular except for some of their nodes.
    let oddity = random.below(4);
    for node in &mut odd {
        if random.below(4) < oddity {
            node.zone = one_of(random, &["", "zone-0", "elsewhere"]).to_owned();
            node.hops = one_of(random, &[0, 1, u32::MAX]);
            node.capacity = one_of(random, &[0, 1, 1 << 40, u64::MAX]);
            node.free = one_of(random, &[0, 1, 1 << 40, u64::MAX]);
            node.load = one_of(random, &[0, 7, u32::MAX]);
            node.id = one_of(random, &[0, 1, node.id, u64::MAX]);
        }
    }
    odd
}

fn one_of<T: Copy>(random: &mut Random, choices: &[T]) -> T {
    choices[random.below(choices.len() as u64) as usize]
}
