use super::*;
use dataverse_sdk::parse_config;
use dataverse_sdk::testing::{Cache, storm};

fn s3_fifo() -> S3Fifo {
    S3Fifo::new(Config::default(), 0).expect("the defaults are accepted")
}

/// A full cache of ten: file 1 in the small queue, 2 to 10 in the main one.
fn full() -> Cache<S3Fifo> {
    let mut cache = Cache::new(s3_fifo(), 10);
    request(&mut cache, 1..=10);
    cache
}

fn request(cache: &mut Cache<S3Fifo>, files: impl IntoIterator<Item = u64>) {
    cache.replay(files.into_iter().map(|file| (file, 1)));
}

#[test]
fn newcomers_that_nobody_reads_pass_through() {
    let mut cache = full();
    request(&mut cache, 11..=100);
    assert_eq!(cache.files(), (2..=10).chain([100]).collect::<Vec<_>>());
}

#[test]
fn two_reads_lead_to_the_main_queue() {
    let mut cache = full();
    request(&mut cache, [11, 11, 11, 12, 13]);
    // 11 moved on, so the main queue had one too many and its oldest was evicted.
    assert!(cache.contains(11) && !cache.contains(2));
    request(&mut cache, [14, 14, 15]);
    assert!(!cache.contains(14), "one read does not save");
}

#[test]
fn what_comes_back_soon_comes_into_the_main_queue() {
    let mut cache = full();
    request(&mut cache, [11, 12, 11, 13, 14, 15]);
    assert!(cache.contains(11) && !cache.contains(2));
}

#[test]
fn a_deleted_file_is_not_remembered() {
    let mut cache = full();
    request(&mut cache, [11]);
    assert!(cache.remove(11));
    request(&mut cache, [11, 12, 13]);
    assert!(!cache.contains(11));
}

#[test]
fn the_coldest_of_what_it_takes_over_go_first() {
    let mut cache = full().hand_over(s3_fifo());
    request(&mut cache, [11, 12]);
    assert_eq!(cache.files(), (2..=10).chain([12]).collect::<Vec<_>>());
}

#[test]
fn a_configuration_out_of_bounds_is_refused() {
    let refusal = |json| {
        let config: Config = parse_config(json).expect("its form is right");
        S3Fifo::new(config, 0).err().expect("a refusal")
    };
    assert!(refusal(r#"{"small": 1.5}"#).contains("between 0 and 1"));
    assert!(refusal(r#"{"ghost": -1}"#).contains("between 0 and 10"));
    assert!(refusal(r#"{"reads": 0}"#).contains("from 1 to 3"));
    assert!(parse_config::<Config>(r#"{"big": 1}"#).is_err());
}

#[test]
fn every_verdict_keeps_to_the_rules() {
    storm(s3_fifo(), s3_fifo(), 6);
}
