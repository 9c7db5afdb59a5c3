//! `dataverse-simulation`: runs many seeds, or replays one in detail.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use dataverse_simulation::profile::Sky;
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
    Soak {
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
    },
    /// Run one seed and print every event, and the nodes' logs according to `RUST_LOG`
    Replay {
        /// The seed
        seed: u64,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Soak {
            seeds,
            minutes,
            seed,
            all,
        } => soak(seed, seeds, Duration::from_secs(60 * minutes), all),
        Command::Replay { seed } => {
            tracing_subscriber::fmt()
                .with_env_filter(EnvFilter::from_default_env())
                .with_writer(std::io::stderr)
                .without_time()
                .init();
            let report = run(seed, true);
            tell(&report);
            code(report.findings.is_empty())
        }
    }
}

fn soak(first: u64, seeds: u64, at_most: Duration, all: bool) -> ExitCode {
    let began = Instant::now();
    let (mut done, mut simulated, mut wrong) = (0, Duration::ZERO, Vec::new());
    let (mut acknowledged, mut tried, mut calm) = (0, 0, 0);
    for seed in first..first.saturating_add(seeds) {
        let report = run(seed, false);
        done += 1;
        simulated += report.simulated;
        acknowledged += report.acknowledged.0;
        tried += report.acknowledged.1;
        calm += u64::from(report.profile.sky == Sky::Calm);
        if !report.findings.is_empty() {
            tell(&report);
            wrong.push(seed);
            if !all {
                break;
            }
        }
        if began.elapsed() >= at_most {
            break;
        }
    }
    let hours = simulated.as_secs_f64() / 3_600.0;
    println!(
        "{done} seeds ({calm} calm), {hours:.1} simulated hours, {acknowledged} of {tried} writes acknowledged, in {:.0} s",
        began.elapsed().as_secs_f64()
    );
    if !wrong.is_empty() {
        println!("wrong: {wrong:?}");
    }
    code(wrong.is_empty())
}

fn tell(report: &Report) {
    println!("seed {}: {:?}", report.seed, report.profile);
    for finding in &report.findings {
        println!("    {finding}");
    }
    if !report.findings.is_empty() {
        println!(
            "    replay: cargo run -p dataverse-simulation -- replay {}",
            report.seed
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
