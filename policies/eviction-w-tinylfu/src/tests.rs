use super::*;
use crate::exact;
use dataverse_sdk::parse_config;
use dataverse_sdk::testing::{Cache, Zipf, storm};

fn tiny() -> WTinyLfu {
    WTinyLfu::new(Config::default(), 0).expect("the defaults are accepted")
}

/// A cache of a hundred after reads of these files; its window holds one.
fn after(files: impl IntoIterator<Item = u64>) -> Cache<WTinyLfu> {
    let mut cache = Cache::new(tiny(), 100);
    cache.replay(files.into_iter().map(|file| (file, 1)));
    cache
}

#[test]
fn what_is_asked_for_once_does_not_drive_out_what_is_asked_for_twice() {
    let mut cache = after((0..100).chain(0..100).chain(1000..1100));
    assert_eq!((0..100).filter(|&file| cache.contains(file)).count(), 99);
    // A file that was requested three times before it leaves the window wins.
    cache.replay([2000, 2000, 2000, 2001].map(|file| (file, 1)));
    assert!(cache.contains(2000));
}

#[test]
fn a_large_file_has_to_outweigh_all_that_would_leave_for_it() {
    let mut cache = after(0..100);
    for _ in 0..10 {
        assert!(!cache.request(500, 10));
        assert!(!cache.contains(500), "ten were asked for once each");
    }
    cache.request(500, 10);
    assert!(cache.contains(500) && cache.contains(99));
    assert_eq!((0..100).filter(|&file| cache.contains(file)).count(), 90);
}

#[test]
fn a_large_file_is_taken_while_there_is_room() {
    let mut cache = after(0..50);
    cache.request(500, 40);
    assert!(cache.contains(500));
    assert_eq!(cache.used(), 90);
}

#[test]
fn the_coldest_of_what_it_takes_over_go_first() {
    let mut cache = after(0..100).hand_over(tiny());
    cache.replay((200..205).map(|file| (file, 1)));
    assert!((0..5).all(|file| !cache.contains(file)));
    assert!((5..100).all(|file| cache.contains(file)));
}

#[test]
fn parts_follow_the_budget() {
    let mut cache = after(Zipf::new(1000, 1).take(5_000));
    cache.set_capacity(20);
    cache.replay(Zipf::new(1000, 2).take(1_000).map(|file| (file, 1)));
    let tiny = cache.policy();
    assert!(tiny.queues.bytes(PROTECTED) <= tiny.protected_max);
    assert!(tiny.queues.len(PROTECTED) > 8);
}

#[test]
fn a_configuration_out_of_bounds_is_refused() {
    let refused = |json| WTinyLfu::new(parse_config(json).expect("its form is right"), 0).is_err();
    assert!(refused(r#"{"window": -0.1}"#) && refused(r#"{"protected": 2}"#));
    assert!(!refused(r#"{"window": 0.2, "protected": 0.5}"#));
}

#[test]
fn every_verdict_keeps_to_the_rules() {
    storm(tiny(), tiny(), 10);
}

/// Requests to ten thousand objects by Zipf's law; after a quarter of the trace, all of them are replaced by
/// others.
fn working_set_that_shifts() -> Vec<u64> {
    const OBJECTS: u64 = 10_000;
    const PERIOD: u64 = 50_000;
    let objects = Zipf::new(OBJECTS as u32, 7).take(4 * PERIOD as usize);
    let shifted = (0..).zip(objects);
    shifted
        .map(|(at, object)| at / PERIOD * OBJECTS + object)
        .collect()
}

fn miss_ratio(capacity: u64, trace: &[u64]) -> f64 {
    let counts = Cache::new(tiny(), capacity).replay(trace.iter().map(|&object| (object, 1)));
    counts.miss_ratio()
}

/// With a sample of sixteen to thirty-two requests per object, a cache of 6400 had more misses than one of 3200.
#[test]
fn a_larger_cache_misses_less_when_the_working_set_shifts() {
    let trace = working_set_that_shifts();
    let mut before = 1.0;
    for capacity in [
        1, 2, 5, 10, 25, 50, 100, 200, 400, 800, 1600, 3200, 4800, 6400, 9600, 12_800, 25_600,
    ] {
        let missed = miss_ratio(capacity, &trace);
        assert!(
            missed < before,
            "{capacity}: {missed} after {before} in a smaller cache"
        );
        before = missed;
    }
}

#[test]
fn it_misses_as_often_as_the_paper_has_it() {
    let trace = working_set_that_shifts();
    for capacity in [10, 100, 1600, 3200, 6400, 12_800] {
        let missed = miss_ratio(capacity, &trace);
        let expected = exact::misses(capacity as usize, &trace) as f64 / trace.len() as f64;
        assert!(
            (missed - expected).abs() < 0.01,
            "{capacity}: {missed}, and {expected} by exact counts"
        );
    }
}

#[test]
fn a_cache_of_a_few_objects_has_a_window_of_one_unless_told_otherwise() {
    for capacity in [1, 2, 10, 99] {
        let mut cache = Cache::new(tiny(), capacity);
        cache.replay((0..200).map(|file| (file, 1)));
        assert!(cache.contains(199), "{capacity}");
    }
    let config = parse_config(r#"{"window": 0}"#).expect("its form is right");
    let without = WTinyLfu::new(config, 0).expect("it is a share");
    let mut cache = Cache::new(without, 10);
    cache.replay((0..50).map(|file| (file, 1)));
    assert!((0..10).all(|file| cache.contains(file)));
}
