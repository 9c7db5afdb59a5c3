//! The shipped eviction policies, compiled into this test, miss as often as those of another simulator.

use dataverse_sdk::testing::{Cache, Counts};
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
