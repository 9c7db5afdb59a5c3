//! Clients race for few files through all nodes while nodes are killed, paused and cut off. What they observed of
//! each file must be linearizable (`docs/consistency.md`), and once everything is healed, writes must succeed again.
//!
//! The judge is that of the simulated races, where a seed repeats a run and faults are worse. Here everything is
//! real: processes, sockets, disks, the clients' HTTP, and the time that anything takes.
//!
//! A race goes on for ten seconds; with `DATAVERSE_RACE_SECONDS=600 cargo test --test e2e linearizable` for ten
//! minutes.

mod racers;
mod record;

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dataverse_simulation::chance::Chance;
use dataverse_simulation::check::linearizable::{Judgement, Operation, Outcome, Request, judge};
use rustix::process::Signal;

use crate::weather::Namespace;
use crate::world::{Node, QUICK, eventually, network};
use racers::Racer;
use record::{FILES, Observed, Race, is_unconditional};

const LINKS: [(usize, usize); 5] = [(0, 1), (1, 2), (2, 3), (3, 0), (0, 2)];
const NODES: usize = 4;
const RACERS: usize = 8;
/// Conditional writes and deletions that must have succeeded. There are hundreds on an idle machine.
const DONE_MIN: usize = 1;
/// A test that finds this runs in the namespace of this name, which the test that started it has opened.
const INSIDE: &str = "DATAVERSE_RACE_NAMESPACE";

/// What happens to one node at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Stopped for a second, and continued as if nothing had happened.
    Pause,
    /// `kill -9`, and a start some time later.
    Kill,
    /// Nobody can call it; it can call the others.
    Cut,
}

/// Four nodes, racers, and faults that come one after the other.
struct Course {
    nodes: Vec<Node>,
    race: Arc<Race>,
    chance: Chance,
}

impl Course {
    async fn begin(seed: u64) -> Self {
        let quick = ["--set", "write.deadline=3s"];
        let nodes = network(NODES, &LINKS, &[&QUICK[..], &quick].concat()).await;
        let urls = nodes.iter().map(|node| node.file_url(""));
        Self {
            race: Arc::new(Race::new(urls.collect())),
            nodes,
            chance: Chance::of(seed, "faults"),
        }
    }

    /// Lets racers race while these faults happen in turn.
    async fn go(&mut self, seed: u64, faults: &[Fault], namespace: Option<&Namespace>) {
        let stop = Arc::new(AtomicBool::new(false));
        let racers = (0..RACERS).map(|number| {
            let chance = Chance::of(seed, &format!("racer {number}"));
            let racer = Racer::new(Arc::clone(&self.race), chance);
            tokio::spawn(racer.run(Arc::clone(&stop)))
        });
        let racers: Vec<_> = racers.collect();
        let end = Instant::now() + duration();
        for fault in faults.iter().cycle() {
            let calm = Duration::from_millis(self.chance.between(500, 1_500));
            tokio::time::sleep(calm).await;
            if Instant::now() >= end {
                break;
            }
            self.suffer(*fault, namespace).await;
        }
        stop.store(true, Ordering::Relaxed);
        for racer in racers {
            racer.await.expect("a racer does not panic");
        }
    }

    async fn suffer(&mut self, fault: Fault, namespace: Option<&Namespace>) {
        let at = self.chance.below(NODES as u64) as usize;
        // Some are back quickly, some after they were declared dead and their files were re-replicated.
        let away = Duration::from_millis(*self.chance.pick(&[200, 1_500, 4_000]));
        match fault {
            Fault::Pause => {
                self.nodes[at].signal(Signal::STOP);
                tokio::time::sleep(Duration::from_secs(1)).await;
                self.nodes[at].signal(Signal::CONT);
            }
            Fault::Kill => {
                self.nodes[at].kill();
                self.race.a_node_was_killed();
                tokio::time::sleep(away).await;
                let node = self.nodes.remove(at).restart();
                self.nodes.insert(at, node);
            }
            Fault::Cut => {
                let namespace = namespace.expect("only a namespace can be cut");
                let cut = namespace.cut_off(&self.nodes[at].grpc);
                cut.expect("the same rule worked before");
                tokio::time::sleep(away).await;
                namespace.heal().expect("the rule exists");
            }
        }
    }

    /// A new file can be created at every node, and every file replaced.
    async fn check_progress(&mut self) {
        let mut racer = self.racer("progress");
        for (at, node) in self.nodes.iter().enumerate() {
            let files = (0..FILES).map(|file| self.race.key(file));
            for key in files.chain([format!("race/fresh-{at}")]) {
                let what = format!("{key} is written at {}", node.name);
                eventually(&what, async || racer.makes_progress(at, &key).await).await;
            }
        }
    }

    /// Readers at all nodes observe every file.
    async fn read_everywhere(&self) {
        let racer = self.racer("reader");
        for key in self.race.histories().keys() {
            for (at, node) in self.nodes.iter().enumerate() {
                let what = format!("{key} is read at {}", node.name);
                eventually(&what, async || racer.read(at, key).await.is_some()).await;
            }
        }
    }

    fn racer(&self, purpose: &str) -> Racer {
        Racer::new(Arc::clone(&self.race), Chance::of(0, purpose))
    }

    /// Every history is linearizable, and there is something to judge.
    fn judge(&self) {
        let histories = self.race.histories();
        let mut wrong = Vec::new();
        for (key, observed) in &histories {
            let history: Vec<Operation> = observed.iter().map(|it| it.operation.clone()).collect();
            match judge(&history) {
                Judgement::Linearizable => {}
                Judgement::Violated(violation) => {
                    wrong.push(format!("{key}: {violation}\n{}", self.told(observed)));
                }
                Judgement::Undecided { states } => wrong.push(format!(
                    "{key}: undecided after {states} states; fewer actions on a file (ACTIONS_MAX) or fewer racers \
                     make it easier to judge\n{}",
                    self.told(observed)
                )),
            }
        }
        let all = || histories.values().flatten().map(|it| &it.operation);
        let count = |which: fn(&Operation) -> bool| all().filter(|it| which(it)).count();
        let done = count(|it| !is_unconditional(&it.request) && it.outcome == Outcome::Done);
        let refused = count(|it| it.outcome == Outcome::Refused);
        let read = count(|it| it.request == Request::Read);
        let unknown = count(|it| it.outcome == Outcome::Unknown);
        println!(
            "{} operations on {} files: {done} succeeded under a condition, {refused} were refused, {read} read, of \
             {unknown} the outcome is unknown",
            all().count(),
            histories.len()
        );
        assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
        assert!(done >= DONE_MIN, "only {done} conditions held");
    }

    /// A whole history, for whoever looks for the cause.
    fn told(&self, observed: &[Observed]) -> String {
        let mut observed: Vec<&Observed> = observed.iter().collect();
        observed.sort_by_key(|it| it.operation.invoked);
        let lines = observed
            .iter()
            .map(|it| format!("    {} {}\n", self.nodes[it.at].name, it.operation));
        lines.collect()
    }
}

fn duration() -> Duration {
    let seconds = std::env::var("DATAVERSE_RACE_SECONDS").ok();
    let seconds = seconds.and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(10))
}

async fn race(faults: &[Fault], namespace: Option<&Namespace>) {
    let seed = rand::random();
    let mut course = Course::begin(seed).await;
    course.go(seed, faults, namespace).await;
    course.check_progress().await;
    course.read_everywhere().await;
    course.judge();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_racers_observe_of_nodes_that_are_killed_and_paused_is_linearizable() {
    race(&[Fault::Pause, Fault::Kill], None).await;
}

/// The race itself runs in a process of its own: clients have to be in the namespace of the nodes.
#[tokio::test(flavor = "multi_thread")]
async fn what_racers_observe_of_nodes_that_can_not_be_called_is_linearizable() {
    if let Ok(name) = std::env::var(INSIDE) {
        let namespace = Namespace::of_another(name);
        let faults = [Fault::Cut, Fault::Pause, Fault::Cut, Fault::Kill];
        return race(&faults, Some(&namespace)).await;
    }
    let namespace = match Namespace::with_one_way_cuts("race") {
        Ok(namespace) => namespace,
        Err(reason) => {
            eprintln!(
                "skipped: no network namespace with one-way cuts is available here: {reason}"
            );
            return;
        }
    };
    let this = std::env::current_exe().expect("the test has a file");
    let this = this.to_str().expect("its path is text");
    let mut race: Command = namespace.command(this);
    race.args(["--exact", "--nocapture"])
        .arg("linearizable::what_racers_observe_of_nodes_that_can_not_be_called_is_linearizable")
        .env(INSIDE, namespace.name());
    let ran = race.output().expect("`ip` has worked before");
    print!("{}", String::from_utf8_lossy(&ran.stdout));
    eprint!("{}", String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "the race in the namespace failed");
}
