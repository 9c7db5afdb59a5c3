//! Everything that can happen to a cache, in random order.

use super::{Cache, Zipf, file_size};
use crate::{EvictionPolicy, Random};

/// Drives a policy through reads, deletions, empty files, changes of the budget, copies that the node cached
/// without asking, and answers that it ignored. Then `successor` takes over the cache and continues.
///
/// # Panics
/// When a verdict breaks a rule.
pub fn storm<P: EvictionPolicy>(policy: P, successor: P, seed: u64) {
    let budget = 4 << 20;
    let mut cache = Cache::new(policy, budget);
    blow(&mut cache, budget, seed);
    let mut cache = cache.hand_over(successor);
    blow(&mut cache, budget, seed ^ 1);
    cache.make_room(u64::MAX);
    assert_eq!(cache.used(), 0, "asked for everything, it keeps something");
}

fn blow<P: EvictionPolicy>(cache: &mut Cache<P>, budget: u64, seed: u64) {
    let mut random = Random::new(seed);
    for id in Zipf::new(500, seed).take(20_000) {
        let size = if id % 17 == 0 { 0 } else { file_size(id) };
        match random.below(100) {
            0 => {
                cache.remove(id);
            }
            1 => cache.adopt(id, size),
            2 => cache.make_room(random.below(1 << 18)),
            3 => cache.set_aside(random.below(1 << 18)),
            4 => cache.set_capacity(budget / 4 + random.below(budget)),
            5 => cache.pass(random.below(60_000)),
            hops => {
                cache.request_over(id, size, 1 + hops as u32 % 4);
            }
        }
    }
}
