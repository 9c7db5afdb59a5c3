//! The built-in eviction policies, compiled into this test, have the miss ratios of another simulator.

use dataverse_sdk::testing::{Cache, Counts, Zipf};
use dataverse_sdk::{EvictionPolicy, parse_config};

use crate::reference::{self, Request};

/// Replays with the policy compiled into this test.
fn natively(policy: &str, capacity: u64, requests: &[Request]) -> Counts {
    let replay = match policy {
        "fifo" => replay::<eviction_fifo::Fifo>,
        "lru" => replay::<eviction_lru::Lru>,
        "lfu" => replay::<eviction_lfu::Lfu>,
        "sieve" => replay::<eviction_sieve::Sieve>,
        "s3-fifo" => replay::<eviction_s3_fifo::S3Fifo>,
        "arc" => replay::<eviction_arc::Arc>,
        "two-q" => replay::<eviction_two_q::TwoQ>,
        "gdsf" => replay::<eviction_gdsf::Gdsf>,
        "w-tinylfu" => replay::<eviction_w_tinylfu::WTinyLfu>,
        "random" => replay::<eviction_random::AnyCopy>,
        _ => panic!("{policy} is not shipped"),
    };
    replay(capacity, requests)
}

fn replay<P: EvictionPolicy>(capacity: u64, requests: &[Request]) -> Counts {
    let config = parse_config("{}").expect("every policy has defaults");
    let policy = P::new(config, 7).expect("the defaults are accepted");
    Cache::new(policy, capacity).replay(requests.iter().copied())
}

#[test]
fn objects_by_zipf_are_missed_as_often_as_in_libcachesim() {
    reference::check_objects(&mut natively);
}

#[test]
fn files_by_zipf_are_missed_as_often_as_in_libcachesim() {
    reference::check_files(&mut natively);
}

#[test]
fn a_product_page_is_missed_as_often_as_in_libcachesim() {
    reference::check_web07(&mut natively);
}

/// Ten thousand objects by Zipf's law, and after a quarter of the requests ten thousand others. No policy promises
/// to miss less with more space, but one that misses more here contains a size that does not scale with the
/// capacity.
#[test]
fn a_larger_cache_misses_no_more_when_the_working_set_shifts() {
    const PERIOD: u64 = 25_000;
    let objects = Zipf::new(10_000, 7).take(4 * PERIOD as usize);
    let requests: Vec<Request> = (0..)
        .zip(objects)
        .map(|(at, object)| (at / PERIOD * 10_000 + object, 1))
        .collect();
    for policy in SHIPPED {
        let mut before = 1.0;
        for capacity in [1, 2, 3, 5, 10, 30, 100, 400, 1600, 3200, 6400, 12_800] {
            let missed = natively(policy, capacity, &requests).miss_ratio();
            // The difference between two samples of this many requests: three standard deviations.
            let chance = 3.0 * (2.0 * missed * (1.0 - missed) / requests.len() as f64).sqrt();
            assert!(
                missed <= before + chance,
                "{policy} misses {missed} with space for {capacity}, {before} with less"
            );
            before = missed;
        }
    }
}

const SHIPPED: [&str; 10] = [
    "fifo",
    "lru",
    "lfu",
    "sieve",
    "s3-fifo",
    "arc",
    "two-q",
    "gdsf",
    "w-tinylfu",
    "random",
];
