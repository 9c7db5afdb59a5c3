//! A member that lies about what exists. No replica is lost for it, and readers go on getting what was acknowledged.
//!
//! `L` is a real node with a linked place in the network, which answers what the test says instead of the truth.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dataverse_core::content::Digest;
use dataverse_core::floors::Heard;
use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::record::{Layout, Record};
use dataverse_core::search::{Answer, Deletion, Hit, Question};
use dataverse_core::version::Version;
use dataverse_overlay::transport::{
    Announcement, Call, CallError, CommitAnswer, CommitAsk, FetchAsk, Fetched, Message,
    PrepareAnswer, PrepareAsk, ReconcileAnswer, ReconcileAsk, Refusal, Reply, Serve, ServeExt,
};
use dataverse_store::Change;
use futures_util::stream::BoxStream;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::world::{Cluster, key};
use crate::driver::{Condition, Consistency, Driver, ReadError, WriteError};

const USUAL: Consistency = Consistency::Usual;
/// How soon after a lie everything is as it was.
const SOON: Duration = Duration::from_secs(5);

/// What the liar says of a file that it is asked about.
#[derive(Clone)]
enum Lie {
    /// The truth.
    None,
    /// It has heard of this.
    Knows(Heard),
    /// It has this record, of any file, instead of what it is to commit.
    Supersedes(Arc<Record>),
    /// It holds this record, a tombstone or a version with content, and everything that it is asked to store.
    Holds(Arc<Record>),
}

/// The real node, except for what it says of files.
struct Liar {
    node: Arc<Driver>,
    lie: Arc<Mutex<Lie>>,
}

impl Liar {
    fn answer(&self, truth: Answer) -> Answer {
        match &*self.lie.lock() {
            Lie::None | Lie::Supersedes(_) => truth,
            Lie::Knows(heard) => Answer {
                known: Heard::merged([truth.known, Some(*heard)]),
                hits: Vec::new(),
                ..truth
            },
            Lie::Holds(record) if record.deleted => Answer {
                known: Some(Heard::of(record)),
                hits: Vec::new(),
                deletion: Deletion::Held(Arc::clone(record)),
                ..truth
            },
            Lie::Holds(record) => Answer {
                known: Some(Heard::of(record)),
                hits: vec![Hit {
                    record: Arc::clone(record),
                    role: Role::Replica,
                    validated_age_ms: 0,
                }],
                ..truth
            },
        }
    }
}

#[async_trait]
impl Serve for Liar {
    async fn call(&self, call: Message<Call>) -> Result<Message<Reply>, Refusal> {
        let is_lying = matches!(&*self.lie.lock(), Lie::Holds(_));
        if let (Call::Commit(_), Lie::Supersedes(record)) = (&call.body, &*self.lie.lock()) {
            let superseded = CommitAnswer::Superseded(Arc::clone(record));
            return Ok(self.node.message(Reply::Commit(superseded)));
        }
        match &call.body {
            Call::Probe(Question::Exact { .. }) => {
                let answer = self.node.call(call).await?;
                Ok(answer.map(|reply| match reply {
                    Reply::Probe(truth) => Reply::Probe(self.answer(truth)),
                    other => other,
                }))
            }
            Call::Commit(_) if is_lying => Ok(self.node.message(Reply::Commit(CommitAnswer::Done))),
            Call::Reconcile(ReconcileAsk::Compare { .. }) if is_lying => {
                let answer = self.node.call(call).await?;
                let lie = self.lie.lock().clone();
                Ok(answer.map(|reply| match (reply, lie) {
                    (
                        Reply::Reconcile(ReconcileAnswer::Compared(mut compared)),
                        Lie::Holds(record),
                    ) => {
                        compared.records = vec![record];
                        Reply::Reconcile(ReconcileAnswer::Compared(compared))
                    }
                    (other, _) => other,
                }))
            }
            _ => self.node.call(call).await,
        }
    }

    async fn fetch(&self, ask: Message<FetchAsk>) -> Result<Message<Fetched>, Refusal> {
        self.node.fetch(ask).await
    }

    async fn prepare(
        &self,
        ask: Message<PrepareAsk>,
        chunks: BoxStream<'static, Result<Bytes, CallError>>,
    ) -> Result<Message<PrepareAnswer>, Refusal> {
        self.node.prepare(ask, chunks).await
    }
}

/// `A`, `B`, `C` and the liar in a line, and a file with replicas on A and B only.
struct Trial {
    world: Cluster,
    name: String,
    truth: Arc<Record>,
    lie: Arc<Mutex<Lie>>,
}

impl Trial {
    async fn begin() -> Self {
        Self::with_replicas_on(&["A", "B"]).await
    }

    async fn with_replicas_on(holders: &[&str]) -> Self {
        let world = Cluster::line(&["A", "B", "C", "L"]).await;
        let name = world.write_on(holders, "acknowledged").await;
        let held = world.node("A").state.node().holding(&key(&name)).cloned();
        let lie = Arc::new(Mutex::new(Lie::None));
        world.listen_instead(
            "L",
            Arc::new(Liar {
                node: Arc::clone(world.node("L")),
                lie: Arc::clone(&lie),
            }),
        );
        Self {
            world,
            name,
            truth: held.expect("A has it").record,
            lie,
        }
    }

    fn key(&self) -> Key {
        key(&self.name)
    }

    /// A version greater than the truth, with other content, that names these nodes.
    fn greater(&self, holders: &[&str]) -> Arc<Record> {
        let liar = self.world.node("L");
        let mut version = Version {
            writer: liar.id(),
            ..self.truth.version
        };
        version.stamp.0 += 1_000_000;
        Arc::new(Record {
            version,
            layout: self.layout(0, holders),
            digest: Digest::of(b"made up"),
            size: 7,
            ..Record::clone(&self.truth)
        })
    }

    fn deletion(&self, holders: &[&str], writer: &str) -> Arc<Record> {
        let mut record = Record::clone(&self.greater(holders));
        record.version.writer = self.world.node(writer).id();
        record.deleted = true;
        record.size = 0;
        record.digest = Digest::of(&[]);
        Arc::new(record)
    }

    fn layout(&self, counter: u64, holders: &[&str]) -> Layout {
        let holders = holders.iter().map(|name| self.world.node(name).id());
        Layout {
            counter,
            author: self.world.node("L").id(),
            holders: holders.collect(),
        }
    }

    /// The liar tells every node of this record.
    async fn announce(&self, record: &Arc<Record>) {
        self.tell(&["A", "B", "C"], record, 8).await;
    }

    /// It tells these nodes, which tell others as often as that.
    async fn tell(&self, nodes: &[&str], record: &Arc<Record>, hops_left: u32) {
        for at in nodes {
            let announcement = Announcement {
                record: Arc::clone(record),
                hops_left,
            };
            let message = self.world.node("L").message(announcement);
            let heard = self.world.node(at).answer(message).await;
            heard.expect("it is believed to be a member");
        }
    }

    fn has_replica(&self, at: &str) -> bool {
        let node = self.world.node(at).state.node();
        let held = node.holding(&self.key());
        held.is_some_and(|held| {
            held.role == Role::Replica && held.record.version == self.truth.version
        })
    }

    async fn is_read(&self, at: &str) -> bool {
        let read = self.world.read(at, &self.name, USUAL).await;
        read.is_ok_and(|(content, _)| content == "acknowledged")
    }

    /// For a minute, while the lie is repeated, nothing is lost and every honest node reads the file.
    async fn holds_while_it_goes_on(&self, holders: &[&str], record: Option<&Arc<Record>>) {
        let until = Instant::now() + Duration::from_secs(60);
        while Instant::now() < until {
            if let Some(record) = record {
                self.announce(record).await;
            }
            for at in ["A", "B", "C"] {
                let read = self.world.read(at, &self.name, USUAL).await;
                let content = read.as_ref().map(|(content, _)| content.as_str());
                assert_eq!(content.ok(), Some("acknowledged"), "{at}: {read:?}");
            }
            for at in holders {
                assert!(self.has_replica(at), "{at} gave up its replica");
            }
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
    }

    /// The lie stops: soon afterwards every node reads the file, not marked as stale, and can overwrite and delete it.
    async fn all_is_well_when_it_stops(&self, holders: &[&str]) {
        *self.lie.lock() = Lie::None;
        self.world
            .eventually_within(SOON, "all read it again", async || {
                let mut all = true;
                for at in ["A", "B", "C", "L"] {
                    all &= self.is_read(at).await;
                }
                all
            })
            .await;
        for at in holders {
            assert!(self.has_replica(at), "{at} gave up its replica");
        }
        let written = self.world.write("C", &self.name, "next", 2).await;
        written.expect("it is stored");
        for at in ["A", "B", "C"] {
            self.world
                .eventually_within(SOON, "the next version is read", async || {
                    let read = self.world.read(at, &self.name, USUAL).await;
                    read.is_ok_and(|read| read == ("next".to_owned(), false))
                })
                .await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_that_names_nobody_costs_no_copy_and_hides_nothing() {
    let trial = Trial::begin().await;
    let greater = trial.greater(&[]);
    trial
        .holds_while_it_goes_on(&["A", "B"], Some(&greater))
        .await;
    trial.all_is_well_when_it_stops(&["A", "B"]).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_member_made_up_stops_no_conditional_write() {
    let trial = Trial::begin().await;
    let greater = trial.greater(&[]);
    let deletion = trial.deletion(&["C"], "L");
    for lie in [greater, deletion] {
        trial.announce(&lie).await;
        let absent = trial.world.put_if("C", &trial.name, "x", Condition::Absent);
        let refused = absent.await.expect_err("it exists");
        assert!(matches!(refused, WriteError::Condition(_)), "{refused}");
    }
    let same = Condition::Matches(vec![trial.truth.digest]);
    let replaced = trial.world.put_if("C", &trial.name, "next", same).await;
    replaced.expect("what was announced is nowhere");
    let created = trial.world.put_if("C", "ada/new", "new", Condition::Absent);
    created.await.expect("there is no such file");
}

#[tokio::test(start_paused = true)]
async fn what_a_member_made_up_does_not_hide_an_overwrite() {
    let trial = Trial::begin().await;
    // Names a node that nobody knows, so nobody can be asked; and is greater than what is written next.
    let mut record = Record::clone(&trial.greater(&[]));
    record.version.stamp.0 += 60_000 << 16;
    record.layout.holders = vec![NodeId::from(77)];
    let record = Arc::new(record);
    let tell = async || trial.tell(&["A"], &record, 0).await;
    tell().await;
    trial.world.part(&["A"]);
    let written = trial.world.write("C", &trial.name, "next", 2).await;
    let written = written.expect("it is stored").record.version;
    assert!(written < record.version, "the lie is greater");
    trial.world.join(&["A"]);
    trial
        .world
        .eventually("A reads the next version", async || {
            tell().await;
            let read = trial.world.read("A", &trial.name, USUAL).await;
            read.is_ok_and(|(content, _)| content == "next")
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_version_whose_named_holders_do_not_have_it_costs_no_copy_and_hides_nothing() {
    for holders in [&["C"][..], &["B", "C"], &["A", "B"], &["C", "L"]] {
        let trial = Trial::begin().await;
        let greater = trial.greater(holders);
        trial
            .holds_while_it_goes_on(&["A", "B"], Some(&greater))
            .await;
        trial.all_is_well_when_it_stops(&["A", "B"]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_silent_about_what_it_announced_hides_nothing() {
    let trial = Trial::begin().await;
    let greater = trial.greater(&["L"]);
    trial.announce(&greater).await;
    trial.world.silence("L");
    for _ in 0..10 {
        for at in ["A", "B", "C"] {
            assert!(trial.is_read(at).await, "{at}");
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    assert!(trial.has_replica("A") && trial.has_replica("B"));
    trial.world.wake("L");
    trial.all_is_well_when_it_stops(&["A", "B"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_member_that_claims_a_version_and_has_no_content_costs_no_copy() {
    // The only other replica may be on the liar itself.
    for holders in [&["A", "B"][..], &["A"]] {
        let trial = Trial::with_replicas_on(holders).await;
        let greater = trial.greater(&["L"]);
        *trial.lie.lock() = Lie::Holds(Arc::clone(&greater));
        for _ in 0..10 {
            trial.announce(&greater).await;
            tokio::time::sleep(Duration::from_secs(3)).await;
            for at in holders {
                assert!(trial.has_replica(at), "{at} gave up its replica");
                assert!(trial.is_read(at).await, "{at} does not serve it");
            }
        }
        trial.all_is_well_when_it_stops(holders).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_down_serves_its_replica_while_its_only_other_holder_claims_a_version_without_content()
 {
    let mut trial = Trial::with_replicas_on(&["A", "L"]).await;
    *trial.lie.lock() = Lie::Holds(trial.greater(&["L"]));
    trial.world.restart("A").await;
    for _ in 0..10 {
        let read = trial.world.read("A", &trial.name, USUAL).await;
        let read = read.expect("its own replica is served");
        assert_eq!(read, ("acknowledged".to_owned(), true));
        let read = trial.world.read("A", &trial.name, Consistency::Newest);
        assert!(matches!(read.await, Err(ReadError::Unconfirmed { .. })));
        assert!(trial.has_replica("A"));
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    trial.all_is_well_when_it_stops(&["A"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_layout_that_names_a_member_without_the_content_costs_no_copy() {
    for holders in [&["A", "B"][..], &["A"]] {
        let trial = Trial::with_replicas_on(holders).await;
        let counter = trial.truth.version.stamp.0 + 1;
        let laid = Arc::new(Record {
            layout: trial.layout(counter, &["L"]),
            ..Record::clone(&trial.truth)
        });
        *trial.lie.lock() = Lie::Holds(Arc::clone(&laid));
        for _ in 0..10 {
            trial.announce(&laid).await;
            tokio::time::sleep(Duration::from_secs(3)).await;
            for at in holders {
                assert!(trial.has_replica(at), "{at} gave up its replica");
                assert!(trial.is_read(at).await, "{at} does not serve it");
            }
        }
        trial.all_is_well_when_it_stops(holders).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_layout_that_says_something_else_of_the_write_or_names_too_many_changes_nothing() {
    let nodes = ["A", "B", "C", "L"];
    let trial = Trial::begin().await;
    let counter = trial.truth.version.stamp.0 + 1;
    let laid = |counter, holders: &[&str]| Record {
        layout: trial.layout(counter, holders),
        ..Record::clone(&trial.truth)
    };
    let made_up = [
        Record {
            factor: 1,
            ..laid(counter, &["A", "B"])
        },
        Record {
            factor: 64,
            ..laid(counter + 1, &["A", "B"])
        },
        Record {
            content_type: "text/html".into(),
            ..laid(counter + 2, &["A", "B"])
        },
        laid(counter + 3, &nodes),
        // Made at the same time as the true one, by the same node.
        Record {
            layout: Layout {
                holders: [&trial.truth.layout.holders[..1], &[NodeId::from(u128::MAX)]].concat(),
                ..trial.truth.layout.clone()
            },
            ..Record::clone(&trial.truth)
        },
    ];
    for record in made_up.map(Arc::new) {
        trial.announce(&record).await;
        for at in ["A", "B"] {
            let commit = CommitAsk::Commit {
                preparation: None,
                record: Arc::clone(&record),
            };
            let commit = trial.world.node("L").message(commit);
            // Whatever it answers, it keeps what it has.
            drop(trial.world.node(at).answer(commit).await);
        }
        tokio::time::sleep(SOON).await;
        for at in nodes {
            let held = trial.world.node(at).state.node();
            let held = held
                .holding(&trial.key())
                .map(|held| Arc::clone(&held.record));
            assert!(
                held.is_none_or(|held| held == trial.truth),
                "{at} took in {record:?}"
            );
        }
    }
    assert!(trial.has_replica("A") && trial.has_replica("B"));
}

#[tokio::test(start_paused = true)]
async fn a_bad_replica_is_not_forgotten_for_a_version_that_one_member_claims() {
    let trial = Trial::begin().await;
    let world = &trial.world;
    *trial.lie.lock() = Lie::Holds(trial.greater(&["L"]));
    world.silence("A");
    world.rot("B", &trial.name);
    let begun = world.node("B").begin_scrub().await;
    assert!(begun.expect("memory does not fail"), "none is under way");
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(!trial.has_replica("B"), "it is bad");
    // The other replica is back.
    world.wake("A");
    world
        .eventually("B has healed it", async || trial.has_replica("B"))
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_no_node_holds_is_not_obeyed() {
    for (holders, writer) in [
        (&[][..], "L"),
        (&["A", "B"], "L"),
        (&["C"], "C"),
        (&["A", "B", "C"], "A"),
    ] {
        let trial = Trial::begin().await;
        let gone = trial.deletion(holders, writer);
        *trial.lie.lock() = Lie::Knows(Heard::of(&gone));
        trial.holds_while_it_goes_on(&["A", "B"], Some(&gone)).await;
        trial.all_is_well_when_it_stops(&["A", "B"]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_only_a_bystander_claims_to_hold_is_not_obeyed() {
    let trial = Trial::begin().await;
    // It names two others, and the liar is neither its holder nor its writer.
    let gone = trial.deletion(&["B", "C"], "C");
    *trial.lie.lock() = Lie::Holds(Arc::clone(&gone));
    for _ in 0..20 {
        trial.announce(&gone).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        for at in ["A", "B"] {
            assert!(trial.has_replica(at), "{at} gave up its replica");
            assert!(trial.is_read(at).await, "{at} does not serve it");
        }
    }
    trial.all_is_well_when_it_stops(&["A", "B"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_version_that_nobody_has_does_not_hide_that_a_file_was_deleted() {
    let trial = Trial::begin().await;
    let (world, name) = (&trial.world, &trial.name);
    world
        .node("A")
        .delete(&trial.key())
        .await
        .expect("it is deleted");
    let mut greater = Record::clone(&trial.greater(&["L"]));
    greater.version.stamp = world.node("A").sender().clock;
    greater.version.stamp.0 += 1;
    let greater = Arc::new(greater);
    for _ in 0..5 {
        trial.announce(&greater).await;
        for at in ["A", "B", "C"] {
            let read = world.read(at, name, USUAL).await;
            let is_gone = matches!(read, Err(ReadError::NotFound { .. }));
            assert!(is_gone, "{at}: {read:?}");
        }
        tokio::time::sleep(SOON).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_member_answers_about_another_file_happens_to_neither() {
    let trial = Trial::begin().await;
    let world = &trial.world;
    let write = async |content| world.write("A", "ada/other", content, 4).await;
    let written = write("other").await.expect("it is stored");
    assert_eq!(written.replicas.len(), 4);
    for record in [trial.greater(&["A"]), trial.deletion(&["A"], "L")] {
        *trial.lie.lock() = Lie::Supersedes(record);
        let written = write("again").await.expect("three others store it");
        assert!(!written.replicas.contains(&"L".to_owned()), "{written:?}");
        let deleted = world.node("A").delete(&key("ada/other")).await;
        deleted.expect("the others store it");
        tokio::time::sleep(SOON).await;
        for at in ["A", "B", "C"] {
            assert!(trial.is_read(at).await, "{at} does not read it");
            let other = world.read(at, "ada/other", USUAL).await;
            let is_gone = matches!(other, Err(ReadError::NotFound { .. }));
            assert!(is_gone, "{at}: {other:?}");
        }
        *trial.lie.lock() = Lie::None;
        write("other").await.expect("it is stored");
    }
}

#[tokio::test(start_paused = true)]
async fn a_floor_in_the_answer_to_a_probe_hides_nothing() {
    let trial = Trial::begin().await;
    let greater = trial.greater(&["L"]);
    for heard in [Heard::of(&greater), Heard::of(&trial.deletion(&["L"], "L"))] {
        *trial.lie.lock() = Lie::Knows(heard);
        trial.holds_while_it_goes_on(&["A", "B"], None).await;
        // A read that asks all nodes gets it as well, marked as not confirmed by all.
        let newest = trial
            .world
            .read("C", &trial.name, Consistency::Newest)
            .await;
        assert_eq!(newest.expect("it is there").0, "acknowledged");
    }
    trial.all_is_well_when_it_stops(&["A", "B"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_replica_is_made_again_whatever_a_member_says_it_has_heard_of() {
    let trial = Trial::begin().await;
    let greater = trial.greater(&["C"]);
    *trial.lie.lock() = Lie::Knows(Heard::of(&greater));
    trial.announce(&greater).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let lost = Change::Drop {
        key: trial.key(),
        version: trial.truth.version,
        only: None,
    };
    trial
        .world
        .node("B")
        .store
        .apply(lost)
        .await
        .expect("it is lost");
    trial
        .world
        .eventually("B holds a replica again", async || trial.has_replica("B"))
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_bad_replica_is_healed_from_a_copy_below_what_nodes_have_heard_of() {
    // Whoever has heard of it: the node that heals, the one with the copy, or both.
    for told in [&["B"][..], &["C"], &["B", "C"]] {
        let trial = Trial::begin().await;
        let world = &trial.world;
        assert!(trial.is_read("C").await);
        world
            .eventually("C keeps a copy", async || {
                let node = world.node("C").state.node();
                node.holding(&trial.key()).is_some()
            })
            .await;
        // The only good copy that is left is the cached one.
        world.silence("A");
        let mut greater = Record::clone(&trial.greater(&["L"]));
        // Nobody can be asked about it.
        greater.layout.holders = vec![NodeId::from(77)];
        trial.tell(told, &Arc::new(greater), 0).await;
        world.rot("B", &trial.name);
        let begun = world.node("B").begin_scrub().await;
        assert!(begun.expect("memory does not fail"), "none is under way");
        world
            .eventually("B has healed it", async || {
                let status = world.node("B").scrub_status();
                status.healed == 1 && trial.has_replica("B")
            })
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_word_of_one_member_that_cost_a_cached_copy_hides_nothing_from_then_on() {
    let trial = Trial::begin().await;
    let world = &trial.world;
    assert!(trial.is_read("C").await);
    let cached = || {
        let node = world.node("C").state.node();
        node.holding(&trial.key()).is_some()
    };
    world.eventually("C keeps a copy", async || cached()).await;
    let greater = trial.greater(&["L"]);
    *trial.lie.lock() = Lie::Holds(Arc::clone(&greater));
    trial.announce(&greater).await;
    world
        .eventually("C gives its copy up", async || !cached())
        .await;
    world.isolate("L");
    tokio::time::sleep(2 * world.node("C").settings.repair_after).await;
    for at in ["A", "B", "C"] {
        assert!(trial.is_read(at).await, "{at} does not read it");
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_cached_copy_is_kept_and_read_until_a_holder_confirms_what_replaces_it() {
    let world = Cluster::line(&["A", "B", "C"]).await;
    let name = world.write_only_at("B", "content").await;
    world.read("A", &name, USUAL).await.expect("it is found");
    let has_copy = || world.node("A").state.node().holding(&key(&name)).is_some();
    world
        .eventually("A keeps a copy", async || has_copy())
        .await;
    let before = world.node("A").state.node().holding(&key(&name)).cloned();
    let before = before.expect("it has a copy").record;
    world.isolate("B");
    tokio::time::sleep(2 * world.node("A").settings.repair_after).await;
    let mut greater = Record::clone(&before);
    greater.version.stamp.0 += 1;
    greater.layout.holders = vec![world.node("C").id()];
    let greater = Arc::new(greater);
    for _ in 0..10 {
        world.node("A").learn(&greater, 0, None).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(has_copy(), "the copy was dropped");
        let read = world.read("A", &name, USUAL).await;
        assert_eq!(read.expect("it is the last one").0, "content");
    }
    // An honest overwrite replaces it.
    world.rejoin("B");
    let written = world.write("C", &name, "second", 1).await;
    let newest = written.expect("it is stored").record.version;
    world
        .eventually("the second version is read", async || {
            let read = world.read("A", &name, USUAL).await;
            read.is_ok_and(|read| read == ("second".to_owned(), false))
        })
        .await;
    world
        .eventually("the old copy is gone", async || {
            let node = world.node("A").state.node();
            let held = node.holding(&key(&name));
            held.is_none_or(|held| held.record.version == newest)
        })
        .await;
}

/// Has these nodes hold a version with this content that names just them, and the first of them announce it, as a
/// writer does.
async fn write_at(world: &Cluster, name: &str, nodes: &[&str], content: &'static str) {
    let first = world.node(nodes[0]);
    let holders = nodes.iter().map(|node| world.node(node).id());
    let layout = first.state.node().first_layout(holders.collect());
    let known = first.state.node().known(&key(name));
    let version = first
        .version_above(&key(name), known)
        .await
        .expect("it has a clock");
    let record = Arc::new(Record {
        version,
        layout,
        deleted: false,
        size: content.len() as u64,
        digest: Digest::of(content.as_bytes()),
        content_type: "text/plain".into(),
        factor: nodes.len() as u32,
        key: key(name),
    });
    for at in nodes {
        let node = world.node(at);
        let mut spool = node.store.spool(Some(record.size)).expect("there is room");
        let bytes = Bytes::from_static(content.as_bytes());
        spool.write(bytes).await.expect("it is written");
        let content = spool.seal().await.expect("it is sealed");
        let now = node.now();
        let held = node.hold(&record, Role::Replica, Some(content), now).await;
        assert!(held.expect("it is kept").is_here());
    }
    first.announce(&record).await;
}

#[tokio::test(start_paused = true)]
async fn an_honest_overwrite_and_an_honest_deletion_still_clean_up_within_seconds() {
    let trial = Trial::begin().await;
    let (world, name) = (&trial.world, &trial.name);
    for (holders, content) in [(&["C", "L"][..], "second"), (&["C"], "third")] {
        write_at(world, name, holders, content).await;
        world
            .eventually_within(SOON, "the old replicas are gone", async || {
                let holds = |at: &&str| {
                    let node = world.node(at).state.node();
                    let held = node.holding(&key(name));
                    held.is_some_and(|held| held.role == Role::Replica)
                };
                let all = ["A", "B", "C", "L"];
                all.iter().filter(|at| holds(at)).count() == holders.len()
            })
            .await;
        for at in ["A", "B", "C"] {
            let read = world.read(at, name, USUAL).await;
            assert_eq!(read.expect("it is found"), (content.to_owned(), false));
        }
    }
    world
        .node("A")
        .delete(&key(name))
        .await
        .expect("it is deleted");
    world
        .eventually_within(SOON, "nobody reads it", async || {
            let mut all = true;
            for at in ["A", "B", "C"] {
                let read = world.read(at, name, USUAL).await;
                all &= matches!(read, Err(ReadError::NotFound { .. }));
            }
            all
        })
        .await;
}
