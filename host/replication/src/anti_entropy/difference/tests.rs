use dataverse_core::floors::Heard;
use dataverse_core::version::Stamp;

use super::*;
use crate::fixtures::{holding, id, peer, record};

const ME: u128 = 1;
const PEER: u128 = 2;
const THIRD: u128 = 3;

type Held = Option<(Role, Arc<Record>)>;

fn version(stamp: u64, holders: &[u128]) -> Arc<Record> {
    Arc::new(record("ada/x", stamp, 0, holders))
}

fn layout(counter: u64, holders: &[u128]) -> Arc<Record> {
    Arc::new(record("ada/x", 1, counter, holders))
}

fn deletion(stamp: u64) -> Arc<Record> {
    Arc::new(Record {
        deleted: true,
        ..record("ada/x", stamp, 0, &[ME, PEER])
    })
}

fn node(held: &Held) -> Node {
    let held = held.as_ref().map(|(role, record)| holding(record, *role));
    Node::new(id(ME), Stamp::default(), Vec::from_iter(held))
}

fn decide(node: &Node, difference: &Difference, is_in_flight: bool) -> Decision {
    let view = View::of(node, id(ME), &peer(PEER), difference);
    view.decide(difference, |_| is_in_flight)
}

fn fetch(record: &Arc<Record>) -> Act {
    super::fetch(record, Some(&peer(PEER)))
}

fn send(record: &Arc<Record>) -> Act {
    Act::Copy(Task::Send {
        record: Arc::clone(record),
        to: peer(PEER),
    })
}

fn take_in(record: &Arc<Record>, announces: bool) -> Act {
    Act::TakeIn {
        record: Arc::clone(record),
        announces,
        from: Some(id(PEER)),
    }
}

fn tell(record: &Arc<Record>, once_settled: bool) -> Act {
    Act::Tell {
        record: Arc::clone(record),
        to: peer(PEER),
        once_settled,
    }
}

fn commit_deletion(record: &Arc<Record>) -> Act {
    Act::CommitDeletion {
        record: Arc::clone(record),
        to: peer(PEER),
    }
}

#[test]
fn what_follows_from_another_nodes_record_depends_on_what_is_held_and_who_is_named() {
    use Act::{Later, Nothing};
    use Role::{Cached, Replica};

    let (both, one, none) = (&[ME, PEER][..], &[ME, THIRD][..], &[PEER, THIRD][..]);
    let is_newer = true;
    // Held, theirs, whether that outdates what is held, what follows, and what follows if the version is in flight.
    let rows: Vec<(Held, Arc<Record>, bool, Act, Act)> = vec![
        {
            let same = Act::Trust(version(1, both));
            let held = Some((Replica, version(1, both)));
            (held, version(1, both), false, same.clone(), same)
        },
        {
            let act = fetch(&version(1, both));
            let held = Some((Cached, version(1, both)));
            (held, version(1, both), false, act, Later)
        },
        (
            None,
            version(1, both),
            false,
            fetch(&version(1, both)),
            Later,
        ),
        {
            let act = take_in(&version(1, none), false);
            (None, version(1, none), false, act.clone(), act)
        },
        {
            let act = take_in(&deletion(1), false);
            (None, deletion(1), false, act.clone(), act)
        },
        {
            let held = Some((Replica, version(1, both)));
            let act = fetch(&version(2, both));
            (held, version(2, both), is_newer, act, Later)
        },
        {
            let held = Some((Replica, version(1, both)));
            let act = take_in(&version(2, none), true);
            (held, version(2, none), is_newer, act, Later)
        },
        {
            let held = Some((Replica, version(1, both)));
            let act = take_in(&deletion(2), true);
            (held, deletion(2), is_newer, act, Later)
        },
        {
            let held = Some((Replica, layout(0, both)));
            let act = take_in(&layout(1, none), false);
            (held, layout(1, none), false, act.clone(), act)
        },
        {
            let held = Some((Replica, version(2, both)));
            (
                held,
                version(1, both),
                false,
                send(&version(2, both)),
                Later,
            )
        },
        {
            let held = Some((Cached, version(2, both)));
            (held, version(1, both), false, Nothing, Later)
        },
        {
            let held = Some((Replica, version(2, one)));
            let act = tell(&version(2, one), true);
            (held, version(1, both), false, act, Later)
        },
        {
            let held = Some((Replica, deletion(2)));
            let act = commit_deletion(&deletion(2));
            (held, version(1, both), false, act, Later)
        },
        {
            let held = Some((Replica, deletion(2)));
            (held, deletion(1), false, tell(&deletion(2), false), Later)
        },
        {
            let held = Some((Replica, layout(1, one)));
            let act = tell(&layout(1, one), false);
            (held, layout(0, both), false, act.clone(), act)
        },
    ];
    for (held, theirs, outdates, act, act_in_flight) in rows {
        for (is_in_flight, act) in [(false, act), (true, act_in_flight)] {
            let difference = Difference::Theirs(Arc::clone(&theirs));
            let expected = Decision {
                outdated_by: outdates.then(|| Arc::clone(&theirs)),
                act,
            };
            let decided = decide(&node(&held), &difference, is_in_flight);
            assert_eq!(
                decided, expected,
                "{held:?} {theirs:?} in flight: {is_in_flight}"
            );
        }
    }
}

#[test]
fn nothing_follows_from_an_old_record_where_the_copy_here_or_its_end_is_not_certain() {
    let theirs = Difference::Theirs(version(1, &[ME, PEER]));
    let held = Some((Role::Replica, version(2, &[ME, PEER])));
    let mut unverified = node(&held);
    unverified.distrust_everything();
    assert_eq!(decide(&unverified, &theirs, false), Act::Nothing.into());
    let mut gave_it_up = node(&None);
    let newer = version(2, &[PEER, THIRD]);
    gave_it_up.confirm(&newer.key, Heard::of(&newer));
    assert_eq!(decide(&gave_it_up, &theirs, false), Act::Nothing.into());
}

#[test]
fn a_replica_that_the_other_node_lacks_is_sent_while_it_is_a_replica_of_both() {
    let (both, one) = (&[ME, PEER][..], &[ME, THIRD][..]);
    let ours = version(1, both);
    let difference = Difference::Ours(Arc::clone(&ours));
    let check = |held: Held, is_in_flight, expected: Act| {
        assert_eq!(
            decide(&node(&held), &difference, is_in_flight),
            expected.into()
        );
    };
    let held = Some((Role::Replica, Arc::clone(&ours)));
    check(held.clone(), false, send(&ours));
    check(held, true, Act::Later);
    let moved = Some((Role::Replica, layout(1, one)));
    let demoted = Some((Role::Cached, ours.clone()));
    let overwritten = Some((Role::Replica, version(2, both)));
    let deleted = Some((Role::Replica, deletion(1)));
    for gone in [moved, demoted, overwritten, deleted, None] {
        for is_in_flight in [false, true] {
            check(gone.clone(), is_in_flight, Act::Nothing);
        }
    }
}
