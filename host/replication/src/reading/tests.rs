use std::sync::Arc;

use dataverse_core::floors::Heard;
use dataverse_core::holdings::{Holding, Role};
use dataverse_core::node::LocalRead;
use dataverse_core::record::Record;
use dataverse_core::search::{Answer, Hit};
use dataverse_core::version::Version;

use super::Consistency::{Newest, Usual};
use super::*;
use crate::fixtures::{self, id};
use crate::protocol::Asked;

const ME: u128 = 1;
const FRESH_MS: u64 = 1_000;

fn record(stamp: u64) -> Arc<Record> {
    Arc::new(fixtures::record("ada/x", stamp, 0, &[ME, 2, 3]))
}

fn version(stamp: u64) -> Version {
    record(stamp).version
}

fn holding(role: Role) -> Holding {
    Holding {
        record: record(5),
        role,
        validated: 0,
        verified: 0,
    }
}

fn local(read: LocalRead) -> Local {
    Local {
        read,
        slept_through: false,
        is_unverified: false,
        is_alone: false,
        knows_members: true,
    }
}

fn newer() -> Word {
    Word::Newer(Heard::alive(version(6)))
}

fn confirm(role: Role) -> Step {
    Step::Do(Action::Confirm {
        record: record(5),
        is_replica: role == Role::Replica,
    })
}

fn search(floor: u64) -> Step {
    Step::Do(Action::Search {
        floor: Some(version(floor)),
    })
}

fn here(role: Role, stale: bool) -> Step {
    let holding = holding(role);
    Step::End(Reading::Here { holding, stale })
}

fn no(reason: Unavailable) -> Step {
    Step::End(Reading::No(reason))
}

/// A read at a node that has this, and its next step.
fn look(consistency: Consistency, local: Local) -> (Read, Step) {
    let mut read = Read::new(consistency, FRESH_MS);
    assert_eq!(read.step(Event::Done), Step::Do(Action::Look));
    let step = read.step(Event::Seen(local));
    (read, step)
}

/// A read at a node that has nothing, once its search has found this.
fn find(consistency: Consistency, role: Role, validated_age_ms: u64) -> (Read, Step) {
    let floor = Some(version(5));
    let (mut read, step) = look(consistency, local(LocalRead::Search { floor }));
    assert_eq!(step, search(5));
    let step = read.step(Event::Found {
        record: record(5),
        role,
        validated_age_ms,
    });
    (read, step)
}

#[test]
fn a_replica_is_served_at_once_unless_it_slept_or_the_newest_is_wanted() {
    let has = || local(LocalRead::Serve(holding(Role::Replica)));
    assert_eq!(look(Usual, has()).1, here(Role::Replica, false));
    let slept = Local {
        slept_through: true,
        ..has()
    };
    assert_eq!(look(Usual, slept).1, confirm(Role::Replica));
    assert_eq!(look(Newest, has()).1, confirm(Role::Replica));
}

#[test]
fn the_word_of_the_replicas_decides_about_the_own_copy() {
    let by_all = |by_all| Word::Newest { by_all };
    for (consistency, word, expected) in [
        (Usual, by_all(false), here(Role::Cached, false)),
        (Usual, Word::Unknown, here(Role::Cached, true)),
        (Usual, newer(), search(6)),
        (Newest, by_all(true), here(Role::Cached, false)),
        (Newest, by_all(false), here(Role::Cached, true)),
        (Newest, Word::Unknown, no(Unavailable::Unconfirmed)),
        (Newest, newer(), search(6)),
    ] {
        let has = local(LocalRead::Confirm(holding(Role::Cached)));
        let (mut read, step) = look(consistency, has);
        assert_eq!(step, confirm(Role::Cached));
        let step = read.step(Event::Confirmed(word));
        assert_eq!(step, expected, "{consistency:?} {word:?}");
    }
}

#[test]
fn a_replica_is_not_hidden_by_a_newer_version_that_no_node_can_show() {
    let found = || Event::Found {
        record: record(6),
        role: Role::Replica,
        validated_age_ms: 0,
    };
    let newest = Step::End(Reading::Found {
        stale: false,
        validated_age_ms: Some(0),
    });
    for (consistency, shown, expected) in [
        (Usual, true, newest),
        (Usual, false, here(Role::Replica, true)),
        (Newest, false, no(Unavailable::Unconfirmed)),
    ] {
        let has = local(LocalRead::Confirm(holding(Role::Replica)));
        let (mut read, _) = look(consistency, has);
        assert_eq!(read.step(Event::Confirmed(newer())), search(6));
        assert_eq!(read.step(found()), Step::Do(Action::Show(record(6))));
        let step = read.step(Event::Shown(shown));
        assert_eq!(step, expected, "{consistency:?} {shown}");
    }
    // A cached copy is worth no more than the copies on other nodes.
    let has = local(LocalRead::Confirm(holding(Role::Cached)));
    let (mut read, _) = look(Usual, has);
    assert_eq!(read.step(Event::Confirmed(newer())), search(6));
    assert!(matches!(
        read.step(found()),
        Step::End(Reading::Found { .. })
    ));
}

#[test]
fn an_unverified_copy_is_verified_unless_nobody_could_know_better() {
    let unverified = || Local {
        is_unverified: true,
        ..local(LocalRead::Confirm(holding(Role::Replica)))
    };
    let (mut read, step) = look(Usual, unverified());
    assert_eq!(step, Step::Do(Action::Verify(record(5))));
    let step = read.step(Event::Seen(unverified()));
    assert_eq!(step, confirm(Role::Replica));
    for knows_members in [true, false] {
        let alone = Local {
            is_alone: true,
            knows_members,
            ..unverified()
        };
        assert_eq!(look(Usual, alone).1, here(Role::Replica, !knows_members));
    }
}

#[test]
fn what_a_search_found_is_confirmed_if_it_may_be_old() {
    let found = |stale, validated_age_ms| {
        Step::End(Reading::Found {
            stale,
            validated_age_ms,
        })
    };
    assert_eq!(find(Usual, Role::Replica, 0).1, found(false, Some(0)));
    let fresh = find(Usual, Role::Cached, FRESH_MS).1;
    assert_eq!(fresh, found(false, Some(FRESH_MS)));
    for (word, expected) in [
        (Word::Newest { by_all: false }, found(false, Some(0))),
        (Word::Unknown, found(true, None)),
    ] {
        let (mut read, step) = find(Usual, Role::Cached, FRESH_MS + 1);
        assert_eq!(step, confirm(Role::Cached));
        assert_eq!(read.step(Event::Confirmed(word)), expected);
    }
    assert_eq!(find(Newest, Role::Replica, 0).1, confirm(Role::Replica));
}

#[test]
fn a_search_is_not_repeated_forever_above_what_writers_write() {
    let (mut read, mut step) = find(Newest, Role::Replica, 0);
    for _ in 1..3 {
        assert_eq!(step, confirm(Role::Replica));
        assert_eq!(read.step(Event::Confirmed(newer())), search(6));
        step = read.step(Event::Found {
            record: record(5),
            role: Role::Replica,
            validated_age_ms: 0,
        });
    }
    let step = read.step(Event::Confirmed(newer()));
    assert_eq!(step, no(Unavailable::Unsettled));
}

#[test]
fn what_is_disproved_is_forgotten_before_the_reader_hears_of_it() {
    let (mut read, _) = look(Usual, local(LocalRead::Search { floor: None }));
    let step = read.step(Event::Missed(Missed {
        asked: Asked::All,
        heard: Some(Heard::alive(version(7))),
        deletion: Some(version(6)),
        ..Missed::default()
    }));
    assert_eq!(step, Step::Do(Action::Forget(version(7))));
    assert_eq!(read.step(Event::Done), no(Unavailable::NotFound));
}

#[test]
fn a_search_without_a_hit_means_what_it_could_ask_and_has_heard() {
    use Asked::{All, RecentlyUp, Some as Few};
    use Unavailable::{Away, Lost, NotFound, Unconfirmed, Unknown};
    let heard = |stamp| Some(Heard::alive(version(stamp)));
    let nothing = Missed::default;
    let known = |asked| Missed {
        asked,
        heard: heard(7),
        ..nothing()
    };
    let missing = || Some(record(5));
    let cases = [
        (
            Usual,
            Missed {
                asked: All,
                ..nothing()
            },
            Reading::No(NotFound),
        ),
        (
            Usual,
            Missed {
                asked: RecentlyUp,
                ..nothing()
            },
            Reading::No(Unknown),
        ),
        (
            Usual,
            Missed {
                asked: Few,
                ..nothing()
            },
            Reading::No(Unknown),
        ),
        (
            Usual,
            Missed {
                asked: All,
                missing: missing(),
                ..nothing()
            },
            Reading::No(Lost(record(5))),
        ),
        (Usual, known(All), Reading::No(Away(version(7)))),
        (Usual, known(RecentlyUp), Reading::No(Away(version(7)))),
        (Usual, known(Few), Reading::No(Unknown)),
        (
            Usual,
            Missed {
                missing: missing(),
                ..known(All)
            },
            Reading::No(Lost(record(5))),
        ),
        (
            Usual,
            Missed {
                missing: missing(),
                ..known(RecentlyUp)
            },
            Reading::No(Away(version(7))),
        ),
        (
            Usual,
            Missed {
                overtaken: true,
                ..known(RecentlyUp)
            },
            Reading::Overtaken,
        ),
        (
            Newest,
            Missed {
                overtaken: true,
                ..known(All)
            },
            Reading::No(Unconfirmed),
        ),
        (
            Usual,
            Missed {
                below: Some(version(5)),
                ..known(Few)
            },
            Reading::Below,
        ),
        (
            Newest,
            Missed {
                below: Some(version(5)),
                ..known(Few)
            },
            Reading::No(Unconfirmed),
        ),
        (
            Newest,
            Missed {
                below: Some(version(5)),
                ..known(All)
            },
            Reading::Below,
        ),
        // What this node knows itself to exist goes before the copy, and before the deletion.
        (
            Usual,
            Missed {
                below: Some(version(5)),
                confirmed: heard(6),
                ..known(All)
            },
            Reading::No(Away(version(7))),
        ),
        (
            Usual,
            Missed {
                deletion: Some(version(6)),
                ..known(All)
            },
            Reading::No(NotFound),
        ),
        (
            Usual,
            Missed {
                deletion: Some(version(6)),
                confirmed: heard(7),
                ..known(All)
            },
            Reading::No(Away(version(7))),
        ),
        (
            Usual,
            Missed {
                heard: Some(Heard::deletion(version(7))),
                ..known(All)
            },
            Reading::No(NotFound),
        ),
        (
            Usual,
            Missed {
                heard: Some(Heard::deletion(version(7))),
                overtaken: true,
                ..known(All)
            },
            Reading::Overtaken,
        ),
        (
            Usual,
            Missed {
                heard: Some(Heard::deletion(version(7))),
                overtaken: true,
                ..known(RecentlyUp)
            },
            Reading::No(Unknown),
        ),
        // A deletion that was heard of, and that no node holds, hides nothing that is known to exist.
        (
            Usual,
            Missed {
                heard: Some(Heard::deletion(version(7))),
                confirmed: heard(6),
                overtaken: true,
                ..known(All)
            },
            Reading::Overtaken,
        ),
        (
            Usual,
            Missed {
                heard: Some(Heard::deletion(version(7))),
                confirmed: heard(6),
                ..known(All)
            },
            Reading::No(Away(version(6))),
        ),
        (
            Usual,
            Missed {
                heard: Some(Heard::deletion(version(7))),
                confirmed: heard(6),
                deletion: Some(version(7)),
                overtaken: true,
                ..known(All)
            },
            Reading::No(NotFound),
        ),
        (
            Usual,
            Missed {
                heard: Some(Heard::deletion(version(7))),
                confirmed: heard(6),
                overtaken: true,
                ..known(RecentlyUp)
            },
            Reading::No(Unknown),
        ),
    ];
    for (consistency, missed, expected) in cases {
        assert_eq!(
            missed.reading(consistency),
            expected,
            "{consistency:?} {missed:?}"
        );
    }
}

#[test]
fn only_what_every_node_was_asked_about_is_disproved() {
    let below = |asked, confirmed| Missed {
        asked,
        below: Some(version(5)),
        heard: Some(Heard::alive(version(7))),
        confirmed,
        ..Missed::default()
    };
    assert_eq!(below(Asked::All, None).disproved(), Some(version(7)));
    assert_eq!(below(Asked::RecentlyUp, None).disproved(), None);
    let confirmed = Some(Heard::alive(version(6)));
    assert_eq!(below(Asked::All, confirmed).disproved(), None);
    let deleted = |asked| Missed {
        asked,
        heard: Some(Heard::deletion(version(7))),
        ..Missed::default()
    };
    assert_eq!(deleted(Asked::All).disproved(), Some(version(7)));
    assert_eq!(deleted(Asked::Some).disproved(), None);
}

fn has(stamp: u64, role: Role) -> Answer {
    Answer {
        hits: vec![Hit {
            record: record(stamp),
            role,
            validated_age_ms: 0,
        }],
        known: Some(Heard::alive(version(stamp))),
        ..Answer::default()
    }
}

#[test]
fn one_replica_is_enough_for_a_usual_read_and_all_nodes_for_a_newest_one() {
    let confirmation =
        |is_replica, consistency| Confirmation::new(id(ME), record(5), is_replica, consistency);
    let enough = Some(Word::Newest { by_all: false });

    let mut usual = confirmation(false, Usual);
    assert_eq!(usual.whom_to_ask(), [id(2), id(3)]);
    assert_eq!(usual.word(), Some(Word::Unknown));
    assert_eq!(
        usual.answered(&has(5, Role::Cached)),
        None,
        "it may be as old"
    );
    assert_eq!(usual.answered(&has(5, Role::Replica)), enough);
    assert_eq!(
        confirmation(false, Usual).answered(&has(6, Role::Cached)),
        Some(newer())
    );
    // Beside a replica, a node that knows of nothing newer confirms it.
    assert_eq!(
        confirmation(true, Usual).answered(&Answer::default()),
        enough
    );

    let mut newest = confirmation(true, Newest);
    assert_eq!(newest.answered(&has(5, Role::Replica)), None);
    assert_eq!(newest.word(), None, "the graph is searched");
    let by_all = |by_all| Word::Newest { by_all };
    assert_eq!(
        newest.searched(None, Asked::All),
        by_all(false),
        "one is silent"
    );
    assert_eq!(newest.answered(&has(5, Role::Replica)), None);
    assert_eq!(newest.searched(None, Asked::All), by_all(true));
    assert_eq!(newest.searched(None, Asked::RecentlyUp), by_all(false));
    assert_eq!(
        newest.searched(Some(Heard::alive(version(6))), Asked::All),
        newer()
    );
}

#[test]
fn the_only_replica_needs_nobody_to_confirm_it() {
    let alone = Arc::new(fixtures::record("ada/x", 5, 0, &[ME]));
    let of = |consistency| Confirmation::new(id(ME), Arc::clone(&alone), true, consistency).word();
    assert_eq!(of(Usual), Some(Word::Newest { by_all: false }));
    assert_eq!(of(Newest), None);
}
