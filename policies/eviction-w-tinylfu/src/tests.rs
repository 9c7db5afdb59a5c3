use super::*;
use dataverse_sdk::parse_config;
use dataverse_sdk::testing::{Cache, Zipf, storm};

fn tiny() -> WTinyLfu {
    WTinyLfu::new(Config::default(), 0).expect("the defaults are accepted")
}

/// A cache of a hundred, asked for these files in turn: its window has room for one.
fn after(files: impl IntoIterator<Item = u64>) -> Cache<WTinyLfu> {
    let mut cache = Cache::new(tiny(), 100);
    cache.replay(files.into_iter().map(|file| (file, 1)));
    cache
}

#[test]
fn what_is_asked_for_once_does_not_drive_out_what_is_asked_for_twice() {
    let mut cache = after((0..100).chain(0..100).chain(1000..1100));
    assert_eq!((0..100).filter(|&file| cache.contains(file)).count(), 99);
    // Asked for three times before it has to leave the window, the next one wins.
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
