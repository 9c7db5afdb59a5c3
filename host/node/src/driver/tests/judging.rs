//! Policies that decide while the node works, and what their shadows are told.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use dataverse_core::key::Key;
use dataverse_core::policy::{Admission, Kind, RelocationVerdict};

use super::world::Cluster;
use crate::driver::fake_policies::{Act, FakePolicies, Heard, Hold};
use crate::driver::{CacheCase, Consistency, Feed, Health, PolicyInstance};

const USUAL: Consistency = Consistency::Usual;

async fn install_eviction(world: &Cluster, at: &str, fakes: &Arc<FakePolicies>) -> Arc<Health> {
    let health = Health::new(Kind::Eviction, "fake", 100, false, Box::new(|_| {}));
    let health = Arc::new(health);
    let instance = PolicyInstance::new(fakes.eviction(), None, Arc::clone(&health));
    let policy_slots = &world.node(at).policy_slots;
    policy_slots.eviction.take(Some(instance)).await;
    policy_slots.hand_over_cache().await;
    health
}

pub(super) async fn install_relocation(world: &Cluster, at: &str, fakes: &Arc<FakePolicies>) {
    let health = Health::new(Kind::Relocation, "fake", 100, false, Box::new(|_| {}));
    let make = fakes.relocation();
    let first = make().expect("it is made");
    let instance = PolicyInstance::new(make, Some(first), Arc::new(health));
    let policy_slots = &world.node(at).policy_slots;
    policy_slots.relocation.take(Some(instance)).await;
}

fn key(name: &str) -> Key {
    name.parse().expect("it is a key")
}

fn cached_files(world: &Cluster, at: &str) -> u64 {
    world.node(at).status().cached.files
}

/// Reads files at a node until they are cached there.
async fn cache(world: &Cluster, at: &str, names: &[String]) {
    for name in names {
        world.read(at, name, USUAL).await.expect("it is found");
        world
            .eventually("a copy is kept", async || {
                let held = world.node(at).state.node();
                held.holding(&key(name)).is_some()
            })
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_about_a_transfer_that_was_stopped_is_carried_out_and_its_admission_taken_back() {
    let world = Cluster::line(&["A", "B"]).await;
    let names = world.write_many_only_at("B", 2).await;
    cache(&world, "A", &names[..1]).await;
    let node = world.node("A");
    // It admits the second file and evicts the first for it.
    let (hold, wait) = Hold::before(Act::Admit(Admission::Admit(vec![0])));
    let fakes = FakePolicies::deciding([wait]);
    let health = install_eviction(&world, "A", &fakes).await;
    let reading = async {
        let read = world.read("A", &names[1], USUAL).await;
        read.expect("another node sends it")
    };
    let stopping = async {
        hold.reached().await;
        let second = node.transfers.only();
        node.transfers.stop(&second.0, second.1).await;
        hold.release();
    };
    tokio::join!(reading, stopping);
    world
        .eventually("the first file is dropped", async || {
            cached_files(&world, "A") == 0
        })
        .await;
    assert!(node.state.cache().is_empty());
    assert_eq!(health.faults(), []);

    cache(&world, "A", &names[1..]).await;
    let heard = fakes.heard_by(1);
    assert!(heard.contains(&Heard::Removed(vec![1])), "{heard:?}");
    assert_eq!(cached_files(&world, "A"), 1);
}

#[tokio::test(start_paused = true)]
async fn local_files_are_read_while_the_policy_thinks() {
    let world = Cluster::line(&["A", "B"]).await;
    let names = world.write_many_only_at("B", 2).await;
    let own = world.write_many_only_at("A", 1).await;
    cache(&world, "A", &names[..1]).await;
    let (hold, wait) = Hold::new();
    install_eviction(&world, "A", &FakePolicies::deciding([wait])).await;
    let remote = world.read("A", &names[1], USUAL);
    let local = async {
        hold.reached().await;
        for name in [&names[0], &own[0]] {
            let read = world.read("A", name, USUAL).await;
            assert_eq!(read.expect("it is here").0, *name);
        }
        world.node("A").status();
        hold.release();
    };
    let (remote, ()) = tokio::join!(remote, local);
    assert_eq!(remote.expect("it is found").0, names[1]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_waits_for_one_call_of_a_policy_and_no_more() {
    let world = Cluster::line(&["A", "B"]).await;
    let names = world.write_many_only_at("B", 3).await;
    cache(&world, "A", &names).await;
    // It frees one copy where all are to go, so it would be asked again.
    let (hold, wait) = Hold::before(Act::Admit(Admission::Admit(vec![0])));
    let fakes = FakePolicies::deciding([wait]);
    install_eviction(&world, "A", &fakes).await;
    let node = world.node("A");
    let all = node.state.cache().used();
    let evicting = node.evict(all);
    let stopping = async {
        hold.reached().await;
        let mut stopped = std::pin::pin!(node.stop());
        assert!(futures_util::poll!(&mut stopped).is_pending());
        hold.release();
        stopped.await;
    };
    tokio::join!(evicting, stopping);
    assert_eq!(fakes.asked(), 1);
    assert!(node.state.cache().is_empty());
}

/// What the shadow of a node's eviction policy is told.
struct Observed(Receiver<CacheCase>);

impl Observed {
    fn of(world: &Cluster, at: &str) -> Self {
        let (feed, queue, _) = Feed::new(1000);
        world.node(at).policy_slots.eviction_shadow.feed(feed);
        Self(queue)
    }

    /// What it was told of this file since the last call for any file.
    fn about(&self, name: &str) -> Vec<&'static str> {
        let cases = self.0.try_iter().filter_map(|case| {
            let (of, word) = match case {
                CacheCase::Read {
                    copy, hit: true, ..
                } => (copy.key, "hit"),
                CacheCase::Read { copy, .. } => (copy.key, "miss"),
                CacheCase::Offered { copy, .. } => (copy.key, "offered"),
                CacheCase::Sent { key, .. } => (key, "sent"),
                CacheCase::Superseded { key, .. } => (key, "superseded"),
                CacheCase::Replica { key, .. } => (key, "replica"),
            };
            (of == key(name)).then_some(word)
        });
        cases.collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_shadow_hears_of_the_reads_that_the_cache_could_answer() {
    let world = Cluster::line(&["A", "B"]).await;
    let names = world.write_many_only_at("B", 2).await;
    let told = Observed::of(&world, "A");
    cache(&world, "A", &names[..1]).await;
    assert_eq!(told.about(&names[0]), ["miss"]);
    world
        .read("A", &names[0], USUAL)
        .await
        .expect("it is cached");
    assert_eq!(told.about(&names[0]), ["hit"]);
    // A copy that is not kept is not offered to the cache.
    let never = Act::Relocate(RelocationVerdict::default());
    install_relocation(&world, "A", &FakePolicies::deciding([never])).await;
    world
        .read("A", &names[1], USUAL)
        .await
        .expect("it is found");
    assert_eq!(told.about(&names[1]), Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn of_readers_that_share_a_transfer_the_first_misses() {
    let world = Cluster::line(&["A", "B"]).await;
    let names = world.write_many_only_at("B", 1).await;
    let told = Observed::of(&world, "A");
    let (hold, wait) = Hold::new();
    install_eviction(&world, "A", &FakePolicies::deciding([wait])).await;
    let node = world.node("A");
    let first = world.read("A", &names[0], USUAL);
    let second = async {
        hold.reached().await;
        let second = world.read("A", &names[0], USUAL);
        let released = async {
            while node.transfers.readers() < 2 {
                tokio::task::yield_now().await;
            }
            hold.release();
        };
        tokio::join!(second, released).0
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!(first.expect("it is found"), second.expect("it is found"));
    assert_eq!(told.about(&names[0]), ["miss", "hit"]);
}

#[tokio::test(start_paused = true)]
async fn a_shadow_hears_of_copies_that_are_offered_sent_and_replaced() {
    let world = Cluster::line(&["A", "B", "C"]).await;
    let names = world.write_many_only_at("A", 1).await;
    let name = &names[0];
    let told = Observed::of(&world, "B");
    // C's relocation policy wants a copy on every node of the path.
    install_relocation(&world, "C", &FakePolicies::deciding([])).await;
    world.read("C", name, USUAL).await.expect("it is found");
    world
        .eventually("B keeps a copy", async || {
            world.node("B").state.node().holding(&key(name)).is_some()
        })
        .await;
    assert_eq!(told.about(name), ["offered"]);

    world.node("C").evict(u64::MAX / 2).await;
    world.read("C", name, USUAL).await.expect("B has a copy");
    assert_eq!(told.about(name), ["sent"]);

    world
        .write("A", name, "newer", 1)
        .await
        .expect("it is stored");
    let mut heard = Vec::new();
    world
        .eventually("B hears of it", async || {
            heard.extend(told.about(name));
            !heard.is_empty()
        })
        .await;
    assert_eq!(heard[0], "superseded");

    world
        .write("A", name, "newest", 3)
        .await
        .expect("it is stored");
    heard.clear();
    world
        .eventually("B has a replica", async || {
            heard.extend(told.about(name));
            heard.contains(&"replica")
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_stored_elsewhere_is_offered_to_the_cache_on_its_way() {
    let world = Cluster::line(&["A", "B"]).await;
    let told = Observed::of(&world, "A");
    let name = {
        let mut tried = (0..200).map(|at| format!("ada/{at}"));
        loop {
            let name = tried.next().expect("placement chooses B sometimes");
            let written = world.write("A", &name, "content", 1).await;
            if written.expect("it is stored").replicas == ["B"] {
                break name;
            }
        }
    };
    assert_eq!(told.about(&name)[0], "offered");
}
