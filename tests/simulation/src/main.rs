//! `dataverse-simulation`: runs many seeds, or replays one in detail.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand};
use dataverse_simulation::check::linearizable::Anomaly;
use dataverse_simulation::profile::Sky;
use dataverse_simulation::race::race;
use dataverse_simulation::run::{Report, run};
use tracing_subscriber::EnvFilter;

/// Simulates whole networks of nodes under faults, from seeds
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run many seeds and report which went wrong and why
    Soak(Soak),
    /// Run one seed and print every event, and the nodes' logs according to `RUST_LOG`
    Replay {
        /// The seed
        seed: u64,
        /// Replay the race of this seed
        #[arg(long)]
        race: bool,
    },
}

#[derive(Args)]
struct Soak {
    /// The maximum number of seeds
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The maximum number of minutes
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// The first seed; the others follow
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Continue after a seed went wrong
    #[arg(long)]
    all: bool,
    /// Race: clients with conditions on few files, whose histories must be linearizable
    #[arg(long)]
    race: bool,
    /// Seeds that run at the same time [default: the number of processors]
    #[arg(long)]
    jobs: Option<usize>,
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Soak(soak) => soak.run(),
        Command::Replay { seed, race } => {
            tracing_subscriber::fmt()
                .with_env_filter(EnvFilter::from_default_env())
                .with_writer(std::io::stderr)
                .without_time()
                .init();
            let report = report_of(seed, race, true);
            tell(&report, race);
            code(report.findings.is_empty())
        }
    }
}

fn report_of(seed: u64, is_race: bool, prints: bool) -> Report {
    match is_race {
        true => race(seed, prints),
        false => run(seed, prints),
    }
}

impl Soak {
    /// Runs the seeds on all threads and reports them in order. Every run has one thread.
    fn run(&self) -> ExitCode {
        let began = Instant::now();
        let at_most = Duration::from_secs(60 * self.minutes);
        let processors = || thread::available_parallelism().map_or(1, usize::from);
        let jobs = self.jobs.unwrap_or_else(processors).max(1);
        let end = self.seed.saturating_add(self.seeds);
        let (next, stops) = (AtomicU64::new(self.seed), AtomicBool::new(false));
        let mut total = Total::default();
        thread::scope(|scope| {
            let (done, reports) = mpsc::channel();
            for _ in 0..jobs {
                let (done, next, stops) = (done.clone(), &next, &stops);
                scope.spawn(move || {
                    while !stops.load(Ordering::Relaxed) && began.elapsed() < at_most {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= end || done.send(report_of(seed, self.race, false)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(done);
            let (mut waiting, mut expected) = (BTreeMap::new(), self.seed);
            for report in reports {
                waiting.insert(report.seed, report);
                while let Some(report) = waiting.remove(&expected) {
                    expected += 1;
                    let is_wrong = !report.findings.is_empty();
                    total.add(report, self.race);
                    if is_wrong && !self.all {
                        stops.store(true, Ordering::Relaxed);
                        return;
                    }
                }
            }
        });
        total.tell(began.elapsed());
        code(total.wrong.is_empty())
    }
}

/// What all runs of a soak came to.
#[derive(Default)]
struct Total {
    seeds: u64,
    calm: u64,
    simulated: Duration,
    acknowledged: usize,
    tried: usize,
    undecided: Vec<u64>,
    wrong: Vec<u64>,
    anomalies: BTreeMap<Anomaly, BTreeSet<u64>>,
}

impl Total {
    fn add(&mut self, report: Report, is_race: bool) {
        self.seeds += 1;
        self.simulated += report.simulated;
        self.acknowledged += report.acknowledged.0;
        self.tried += report.acknowledged.1;
        self.calm += u64::from(report.profile.sky == Sky::Calm);
        if report.undecided > 0 {
            self.undecided.push(report.seed);
        }
        for anomaly in &report.anomalies {
            let seeds = self.anomalies.entry(*anomaly).or_default();
            seeds.insert(report.seed);
        }
        if !report.findings.is_empty() {
            tell(&report, is_race);
            self.wrong.push(report.seed);
        }
    }

    fn tell(&self, took: Duration) {
        let hours = self.simulated.as_secs_f64() / 3_600.0;
        println!(
            "{} seeds ({} calm), {hours:.1} simulated hours, {} of {} writes acknowledged, in {:.0} s",
            self.seeds,
            self.calm,
            self.acknowledged,
            self.tried,
            took.as_secs_f64()
        );
        if !self.undecided.is_empty() {
            println!("too hard to judge: {:?}", self.undecided);
        }
        for (anomaly, seeds) in &self.anomalies {
            println!("{anomaly:?}: {seeds:?}");
        }
        if !self.wrong.is_empty() {
            println!("wrong: {:?}", self.wrong);
        }
    }
}

fn tell(report: &Report, is_race: bool) {
    println!("seed {}: {:?}", report.seed, report.profile);
    for finding in &report.findings {
        println!("    {finding}");
    }
    if report.undecided > 0 {
        println!("    {} files were too hard to judge", report.undecided);
    }
    if !report.findings.is_empty() {
        println!(
            "    replay: cargo run -p dataverse-simulation -- replay {}{}",
            report.seed,
            if is_race { " --race" } else { "" }
        );
    }
}

fn code(good: bool) -> ExitCode {
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
