//! The checkers can fail: each accepts a good world, and rejects the same world with one thing wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dataverse_core::content::Digest;
use dataverse_core::holdings::{Holding, Role};
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::record::{Layout, Record};
use dataverse_core::version::{Stamp, Version};
use dataverse_simulation::check::{self, Expect, Readers};
use dataverse_simulation::history::{Deletion, History, Observation, Put};
use dataverse_simulation::snapshot::{Held, NodeShot, Read, Snapshot};
use dataverse_simulation::world::Disks;
use dataverse_store::Usage;

const NEW: &[u8] = b"the newer content";
const OLD: &[u8] = b"old";

fn id(node: u128) -> NodeId {
    NodeId::from(node)
}

fn key() -> Key {
    Key::parse("ada/x").expect("it is a key")
}

fn version(stamp: u64) -> Version {
    Version {
        stamp: Stamp(stamp),
        writer: id(1),
    }
}

fn record(stamp: u64, content: &[u8], holders: &[u128]) -> Record {
    Record {
        version: version(stamp),
        layout: Layout {
            counter: 0,
            author: id(1),
            holders: holders.iter().map(|holder| id(*holder)).collect(),
        },
        deleted: false,
        size: content.len() as u64,
        digest: Digest::of(content),
        content_type: "text/plain".into(),
        factor: 2,
        key: key(),
    }
}

fn held(record: Record, content: &[u8]) -> Held {
    Held {
        holding: Holding {
            record: Arc::new(record),
            role: Role::Replica,
            validated: 0,
            verified: 0,
        },
        content: Digest::of(content),
    }
}

fn read(stamp: u64, content: &[u8]) -> Read {
    Read::Content {
        version: version(stamp),
        promised: Digest::of(content),
        came: Digest::of(content),
        stale: false,
    }
}

fn put(stamp: u64, content: &[u8], began: u64) -> Put {
    Put {
        key: key(),
        digest: Digest::of(content),
        size: content.len() as u64,
        factor: 2,
        entry: id(1),
        began,
        ended: Some(began + 1),
        told: Observation::Acknowledged {
            version: version(stamp),
            holders: vec![id(1), id(2)],
        },
    }
}

fn node(number: u128, name: &str) -> NodeShot {
    let others = (1..=3).filter(|other| *other != number).map(id);
    NodeShot {
        id: id(number),
        name: name.to_owned(),
        held: BTreeMap::new(),
        links: others.collect(),
        usage: Usage {
            capacity: 1_000,
            ..Usage::default()
        },
        reads: BTreeMap::from([(key(), read(5, NEW))]),
    }
}

/// A file that was written and overwritten: on A and B, read at all three nodes.
fn good() -> (History, Snapshot) {
    let mut history = History::default();
    history.puts.insert(1, put(4, OLD, 1));
    history.puts.insert(2, put(5, NEW, 3));
    let mut nodes = vec![node(1, "A"), node(2, "B"), node(3, "C")];
    for node in &mut nodes[..2] {
        let holding = held(record(5, NEW, &[1, 2]), NEW);
        node.held.insert(key(), holding);
        node.usage.replicas = NEW.len() as u64;
    }
    let snapshot = Snapshot {
        nodes,
        lost: BTreeSet::new(),
        buried: BTreeMap::new(),
        lost_replicas: Vec::new(),
        liar: None,
        untrusted: None,
    };
    (history, snapshot)
}

/// The findings in the good world after `spoil`.
fn found(expect: Expect, spoil: impl FnOnce(&mut History, &mut Snapshot)) -> String {
    let (mut history, mut snapshot) = good();
    spoil(&mut history, &mut snapshot);
    check::all(&history, &snapshot, expect).join("\n")
}

fn check_found(expect: Expect, words: &str, spoil: impl FnOnce(&mut History, &mut Snapshot)) {
    let found = found(expect, spoil);
    assert!(found.contains(words), "{words:?} is not found in: {found}");
}

/// What holds even before everything is restored.
const ALWAYS: Expect = Expect {
    converged: false,
    whole_factor: false,
    clocks_agree: false,
};

#[test]
fn a_good_world_is_accepted() {
    assert_eq!(found(Expect::EVERYTHING, |_, _| {}), "");
}

#[test]
fn an_acknowledged_write_that_is_gone_is_noticed() {
    check_found(ALWAYS, "no replica is left", |_, world| {
        world.nodes.iter_mut().for_each(|node| node.held.clear());
    });
    check_found(ALWAYS, "the newest that is left", |_, world| {
        for node in &mut world.nodes[..2] {
            node.held.insert(key(), held(record(4, OLD, &[1, 2]), OLD));
        }
    });
    // A cached copy is not durable.
    check_found(ALWAYS, "no replica is left", |_, world| {
        for node in &mut world.nodes[..2] {
            let held = node.held.get_mut(&key()).expect("it is held");
            held.holding.role = Role::Cached;
        }
    });
}

#[test]
fn what_only_lost_nodes_had_may_be_gone_and_nothing_else() {
    let lose = |lost: &'static [u128]| {
        found(ALWAYS, |_, world| {
            world.lost = lost.iter().map(|node| id(*node)).collect();
            world.nodes.retain(|node| node.id == id(3));
            for node in &mut world.nodes {
                node.reads.insert(key(), Read::Missing);
            }
        })
    };
    assert_eq!(lose(&[1, 2]), "");
    assert!(lose(&[1]).contains("no replica is left"));
    let moved = |to_lost: u64| {
        found(ALWAYS, |_, world| {
            let mut alone = record(to_lost, NEW, &[9]);
            alone.factor = 1;
            world.lost_replicas.push((id(9), Arc::new(alone)));
            for node in &mut world.nodes {
                node.held.clear();
                node.reads.insert(key(), Read::Missing);
            }
        })
    };
    assert!(!moved(5).contains("no replica is left"));
    assert!(moved(4).contains("no replica is left"));
}

#[test]
fn wrong_bytes_are_noticed_on_disk_and_on_their_way() {
    check_found(ALWAYS, "other bytes than its record says", |_, world| {
        let held = world.nodes[1].held.get_mut(&key()).expect("it is held");
        held.content = Digest::of(b"rotten");
    });
    check_found(ALWAYS, "serves wrong bytes", |_, world| {
        let read = Read::Content {
            version: version(5),
            promised: Digest::of(NEW),
            came: Digest::of(b"garbled"),
            stale: false,
        };
        world.nodes[2].reads.insert(key(), read);
    });
}

#[test]
fn what_nobody_wrote_is_noticed() {
    check_found(ALWAYS, "as nobody wrote it", |_, world| {
        let invented = b"who wrote this?";
        let holding = held(record(6, invented, &[3]), invented);
        world.nodes[2].held.insert(key(), holding);
    });
    check_found(ALWAYS, "as nobody wrote it", |_, world| {
        let deletion = Record {
            deleted: true,
            ..record(6, b"", &[3])
        };
        world.nodes[2].held.insert(key(), held(deletion, b""));
    });
}

#[test]
fn a_write_that_was_refused_and_happened_is_noticed() {
    check_found(ALWAYS, "as nobody wrote it", |history, _| {
        history
            .puts
            .entry(2)
            .and_modify(|put| put.told = Observation::Refused);
    });
}

#[test]
fn a_reader_who_gets_less_than_there_is_is_noticed() {
    check_found(ALWAYS, "does not serve it", |_, world| {
        world.nodes[0].reads.insert(key(), Read::Missing);
    });
    check_found(ALWAYS, "and serves", |_, world| {
        world.nodes[0].reads.insert(key(), read(4, OLD));
    });
    // A node without a replica must know the newest version only once everything is restored.
    let old = |_: &mut History, world: &mut Snapshot| {
        world.nodes[2].reads.insert(key(), read(4, OLD));
    };
    assert_eq!(found(ALWAYS, old), "");
    check_found(Expect::EVERYTHING, "a reader at C gets", old);
}

#[test]
fn a_deleted_file_that_is_read_is_noticed() {
    let delete = |history: &mut History, world: &mut Snapshot| {
        let deletion = Deletion {
            key: key(),
            entry: id(1),
            began: 10,
            ended: Some(11),
            acknowledged: true,
        };
        history.deletions.insert(3, deletion);
        for node in &mut world.nodes {
            node.usage.replicas = 0;
            node.reads.insert(key(), Read::Missing);
            if let Some(of_node) = node.held.get_mut(&key()) {
                let record = Record {
                    deleted: true,
                    ..record(6, b"", &[1, 2])
                };
                *of_node = held(record, b"");
            }
        }
    };
    assert_eq!(found(Expect::EVERYTHING, delete), "");
    check_found(
        Expect::EVERYTHING,
        "that was acknowledged, and C serves it",
        |history, world| {
            delete(history, world);
            world.nodes[2].reads.insert(key(), read(5, NEW));
        },
    );
    check_found(ALWAYS, "and serves", |history, world| {
        delete(history, world);
        world.nodes[0].reads.insert(key(), read(5, NEW));
    });
    // If clocks differ, only durable deletions count.
    check_found(Expect::AFTER_FAULTS, "was deleted as", |history, world| {
        delete(history, world);
        world.buried.insert(key(), version(6));
        world.nodes[2].reads.insert(key(), read(5, NEW));
    });
    // A node may remember an earlier deletion.
    let earlier = found(Expect::EVERYTHING, |history, world| {
        delete(history, world);
        let deletion = Record {
            deleted: true,
            ..record(5, b"", &[3])
        };
        world.nodes[2].held.insert(key(), held(deletion, b""));
        history.deletions.insert(4, history.deletions[&3].clone());
        history.puts.remove(&2);
    });
    assert_eq!(earlier, "");
}

#[test]
fn a_layout_that_names_others_than_hold_is_noticed() {
    check_found(
        Expect::EVERYTHING,
        "the layout of ada/x names",
        |_, world| {
            world.nodes[1].held.clear();
            world.nodes[1].usage.replicas = 0;
        },
    );
    check_found(Expect::EVERYTHING, "others as", |_, world| {
        let mut laid_anew = record(5, NEW, &[1, 2]);
        laid_anew.layout.counter = 1;
        world.nodes[1].held.insert(key(), held(laid_anew, NEW));
    });
    check_found(Expect::EVERYTHING, "still has ada/x", |_, world| {
        world.nodes[2]
            .held
            .insert(key(), held(record(4, OLD, &[3]), OLD));
        world.nodes[2].usage.replicas = OLD.len() as u64;
    });
}

#[test]
fn a_factor_that_is_not_restored_is_noticed() {
    let degraded = |_: &mut History, world: &mut Snapshot| {
        world.nodes[1].held.clear();
        world.nodes[1].usage.replicas = 0;
        let alone = held(record(5, NEW, &[1]), NEW);
        world.nodes[0].held.insert(key(), alone);
    };
    assert_eq!(found(ALWAYS, degraded), "");
    check_found(Expect::EVERYTHING, "has 1 replicas of 2", degraded);
}

#[test]
fn bytes_that_are_not_there_or_too_many_are_noticed() {
    check_found(ALWAYS, "bytes are used of", |_, world| {
        world.nodes[0].usage.capacity = 3;
    });
    check_found(ALWAYS, "but reported as", |_, world| {
        world.nodes[0].usage.reserved = 1;
    });
}

#[test]
fn a_link_that_one_end_does_not_know_is_noticed() {
    check_found(ALWAYS, "A has a link with C, which has none", |_, world| {
        world.nodes[2].links.remove(&id(1));
    });
}

#[test]
fn a_replica_may_go_only_once_something_greater_was_durable_wherever_it_is_named() {
    let disks = Disks::of([id(1), id(2), id(3)]);
    let see = |node: u128, record: &Record| {
        let holding = held(record.clone(), NEW).holding;
        disks.changed(id(node), &key(), Some(&holding));
    };
    let (old, new) = (record(4, OLD, &[1]), record(5, NEW, &[2, 3]));
    see(1, &old);
    see(2, &new);
    assert!(!disks.is_superseded(&old));
    see(3, &new);
    assert!(disks.is_superseded(&old));
    assert!(!disks.is_superseded(&new));
    // A record that all its nodes refuse for a greater one was replaced before it was durable.
    let refused = record(5, OLD, &[2]);
    disks.refused(&Record {
        version: version(7),
        ..refused.clone()
    });
    assert!(!disks.is_superseded(&record(6, NEW, &[1])));
    disks.refused(&refused);
    // It was durable once, and that is enough: a later record replaced it.
    see(3, &record(6, OLD, &[1, 3]));
    assert!(disks.is_superseded(&old));
}

#[test]
fn what_was_overtaken_by_a_write_that_is_lost_needs_no_more_copies() {
    let with_write = |began: u64, lost: &'static [u128], told: Observation| {
        found(Expect::EVERYTHING, |history, world| {
            let later = Put {
                entry: id(9),
                told,
                ..put(7, b"later", began)
            };
            history.puts.insert(3, later);
            world.lost = lost.iter().map(|node| id(*node)).collect();
            if lost == [9] {
                let replica = Arc::new(record(7, b"later", &[9]));
                world.lost_replicas.push((id(9), replica));
            }
            world.nodes[1].held.clear();
            world.nodes[1].usage.replicas = 0;
        })
    };
    let with_later = |lost, told| with_write(5, lost, told);
    let acknowledged = || Observation::Acknowledged {
        version: version(7),
        holders: vec![id(9)],
    };
    assert_eq!(with_later(&[9], acknowledged()), "");
    // It may have begun before the write that it overwrote.
    assert_eq!(with_write(0, &[9], acknowledged()), "");
    assert_eq!(with_later(&[9], Observation::Nothing), "");
    for found in [
        with_later(&[9], Observation::Refused),
        with_later(&[8], Observation::Nothing),
    ] {
        assert!(found.contains("has 1 replicas of 2"), "{found}");
    }
}

#[test]
fn a_factor_that_was_lowered_is_noticed() {
    let found = found(Expect::EVERYTHING, |_, world| {
        world.nodes[1].held.clear();
        world.nodes[1].usage.replicas = 0;
        let held = world.nodes[0].held.get_mut(&key()).expect("it has it");
        Arc::make_mut(&mut held.holding.record).factor = 1;
    });
    assert!(found.contains("has 1 replicas of 2"), "{found}");
}

#[test]
fn what_a_liar_hides_is_noticed() {
    let hidden = |liar: u128, readers, reader: usize, read: Read| {
        let (history, mut world) = good();
        world.nodes[reader].reads.insert(key(), read);
        check::while_lied_to(&history, &world, &world, id(liar), readers).join("\n")
    };
    assert_eq!(hidden(2, Readers::All, 0, read(5, NEW)), "");
    assert!(hidden(2, Readers::All, 2, Read::Missing).contains("a reader at C gets"));
    assert!(hidden(2, Readers::All, 2, read(4, OLD)).contains("a reader at C gets"));
    // What a liar claims to have and does not send hides the file from nodes without a replica, and from no other.
    assert_eq!(hidden(2, Readers::AtReplicas, 2, Read::Missing), "");
    assert!(hidden(2, Readers::AtReplicas, 0, Read::Missing).contains("a reader at A gets"));
    assert_eq!(hidden(1, Readers::All, 0, Read::Missing), "");
    // A copy that a read made is not expected of the reads before it.
    let (history, mut world) = good();
    let before = world.clone();
    world.nodes[2].reads.insert(key(), Read::Missing);
    let hidden = |before: &_| check::while_lied_to(&history, before, &world, id(9), Readers::All);
    assert_eq!(hidden(&before).len(), 1);
    let mut without = before;
    for node in &mut without.nodes {
        node.held.clear();
    }
    assert_eq!(hidden(&without), Vec::<String>::new());
}

#[test]
fn what_only_an_untrusted_node_confirmed_was_never_promised() {
    let gone = |untrusted: Option<u128>, holders: &[u128]| {
        found(ALWAYS, |history, world| {
            let told = Observation::Acknowledged {
                version: version(5),
                holders: holders.iter().map(|holder| id(*holder)).collect(),
            };
            history.puts.retain(|number, _| *number == 2);
            history.puts.entry(2).and_modify(|put| put.told = told);
            world.untrusted = untrusted.map(id);
            for node in &mut world.nodes {
                node.held.clear();
                node.usage.replicas = 0;
            }
        })
    };
    assert!(gone(None, &[2]).contains("no replica is left"));
    assert!(gone(Some(2), &[1, 2]).contains("no replica is left"));
    assert!(gone(Some(3), &[2]).contains("no replica is left"));
    assert_eq!(gone(Some(2), &[2]), "");
    // What was acknowledged before it elsewhere must still be there.
    check_found(ALWAYS, "no replica is left", |history, world| {
        let told = Observation::Acknowledged {
            version: version(5),
            holders: vec![id(2)],
        };
        history.puts.entry(2).and_modify(|put| put.told = told);
        world.untrusted = Some(id(2));
        world.nodes.iter_mut().for_each(|node| node.held.clear());
    });
}

#[test]
fn the_only_replica_that_was_moved_to_an_untrusted_node_need_not_be_there() {
    let moved = |untrusted: Option<u128>, to: &[u128]| {
        found(ALWAYS, |_, world| {
            world.untrusted = untrusted.map(id);
            world.nodes[1].held.clear();
            world.nodes[1].usage.replicas = 0;
            let mut cached = held(record(5, NEW, to), NEW);
            cached.holding.role = Role::Cached;
            world.nodes[0].held.insert(key(), cached);
            let usage = &mut world.nodes[0].usage;
            (usage.replicas, usage.cached) = (0, NEW.len() as u64);
        })
    };
    assert_eq!(moved(Some(2), &[2]), "");
    for (untrusted, to) in [(None, &[2][..]), (Some(2), &[3]), (Some(2), &[2, 3])] {
        assert!(moved(untrusted, to).contains("no replica is left"));
    }
}

#[test]
fn what_only_a_liar_holds_it_may_describe_as_it_likes() {
    let described = |liar: Option<u128>, holders: &[u128]| {
        found(Expect::EVERYTHING, |history, world| {
            let told = Observation::Acknowledged {
                version: version(5),
                holders: holders.iter().map(|holder| id(*holder)).collect(),
            };
            history.puts.entry(2).and_modify(|put| put.told = told);
            world.liar = liar.map(id);
            let mut other = record(5, NEW, &[1]);
            other.layout.counter += 1;
            other.content_type = "text/html".into();
            world.nodes[0].held.insert(key(), held(other, NEW));
        })
    };
    assert_eq!(described(Some(2), &[2]), "");
    for (liar, holders) in [(None, &[2][..]), (Some(2), &[1]), (Some(2), &[1, 2])] {
        assert!(described(liar, holders).contains("others as"));
    }
}

#[test]
fn a_liar_is_excused_only_beside_a_node_that_has_the_copy() {
    let disks = Disks::of([id(1), id(2), id(3)]).with_untrusted(id(2));
    let see = |node: u128, record: &Record| {
        let holding = held(record.clone(), NEW).holding;
        disks.changed(id(node), &key(), Some(&holding));
    };
    let old = record(4, OLD, &[1]);
    see(1, &old);
    disks.refused(&record(5, NEW, &[2]));
    assert!(
        !disks.is_superseded(&old),
        "only the liar says that it has it"
    );
    see(3, &record(5, NEW, &[2, 3]));
    assert!(disks.is_superseded(&old));
}
