//! `lab trace`: one cache, many policies and capacities, side by side.

mod answer;
mod ask;

use std::path::PathBuf;
use std::thread::available_parallelism;

use dataverse_core::policy::Kind;
use dataverse_lab::shelf::{Chosen, Shelf};
use dataverse_lab::single::{
    BELADY, Capacity, Contender, OnResize, Plan, SingleError, Survey, Unit, WarmUp, plot, run,
};
use dataverse_lab::trace::{Columns, Format, Options, TimeUnit, TraceError};

use ask::Config;

use crate::cli::destination::Destination;
use crate::cli::failure::Failure;
use crate::cli::offered::{evictions, policy_text};
use crate::cli::progress::Progress;
use crate::cli::screen::Screen;

/// What is always there, for scale, beside the optimum.
const RANDOM: &str = "random";

/// Tell what share of a trace's requests a cache misses under each policy
///
/// Puts every request of a trace to one cache, for each policy and each capacity: the node's own cache, driven by
/// the very file that a node runs. `random`, and `belady`, which knows the future and decides best when objects
/// are counted, are always there for scale.
#[derive(Debug, clap::Args)]
pub(super) struct Trace {
    /// The requests: a file, plain or packed with gzip or zstd, or zipf:OBJECTS,REQUESTS,SEED
    #[arg(long, value_name = "FILE|zipf:OBJECTS,REQUESTS,SEED")]
    trace: String,
    /// How the file is laid out: csv, oracle-general or dataverse (a node's recording) [default: told by its
    /// content]
    #[arg(long)]
    format: Option<Format>,
    /// Which column of a table holds what, such as time=ts,id=key,size=bytes,reader=user,op=verb; an empty name
    /// says that there is none [default: each goes by its own name]
    #[arg(long, value_name = "WHAT=NAME,…", value_parser = Columns::parse)]
    columns: Option<Columns>,
    /// What the times of a table count: s, ms, us or ns
    #[arg(long, value_name = "UNIT", default_value = "s", value_parser = ask::time_unit)]
    time_unit: TimeUnit,
    /// A policy: the name of one that comes with the program, a .wasm file, or `baseline`; with its configuration
    /// after a colon if you like, as `s3-fifo:{"small": 0.2}`
    #[arg(long = "policy", value_name = "NAME|FILE.wasm[:JSON]", required = true, num_args = 1.., value_parser = policy_text(evictions), hide_possible_values = true)]
    policies: Vec<String>,
    /// The configuration of the policy with this name, a JSON object; may be given several times
    #[arg(long, value_name = "NAME=JSON", value_parser = Config::parse)]
    config: Vec<Config>,
    /// How much room there is; several with commas: a number of the unit, bytes such as 64MiB, or a share of the
    /// trace such as 1%
    #[arg(long, value_name = "LIST", required = true, value_delimiter = ',', value_parser = ask::capacity)]
    capacity: Vec<Capacity>,
    /// What capacities count: objects, each of which counts as one, or bytes [default: objects, unless every
    /// capacity is said in bytes]
    #[arg(long, value_parser = ask::unit)]
    unit: Option<Unit>,
    /// What to make of an object that changes its size: keep the first, or take it as a write
    #[arg(long, value_name = "keep|write", default_value = "keep", value_parser = ask::on_resize)]
    on_resize: OnResize,
    /// How much goes by before anything is counted: requests, or a share such as 20%
    #[arg(long, value_name = "N|SHARE", default_value = "0", value_parser = ask::warm_up)]
    warm_up: WarmUp,
    /// What policies draw at random derives from this number
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Caches driven at once [default: one a core]
    #[arg(long, value_name = "N", value_parser = super::jobs)]
    jobs: Option<usize>,
    /// Draw the object miss ratio over the capacity
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Overwrite the drawing if it is there
    #[arg(long, requires = "plot")]
    force: bool,
    /// Print what was found, as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Trace {
    pub(super) fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let unit = self.unit()?;
        let contenders = self.contenders()?;
        // Not after hours of work.
        let plot = match &self.plot {
            Some(file) => Some(Destination::claim(file, self.force, screen)?),
            None => None,
        };
        let options = Options {
            format: self.format,
            columns: self.columns.clone().unwrap_or_default(),
            time_unit: self.time_unit,
        };
        let trace = dataverse_lab::trace::Trace::open(&self.trace, options).map_err(no_trace)?;
        let survey = {
            let mut progress = Progress::of_steps("reading the trace", None, screen.bars);
            let watch = &mut |read| progress.reach(read);
            Survey::of(&trace, unit, self.on_resize, watch).map_err(failed)?
        };
        let resolve = |capacity: &Capacity| capacity.resolve(unit, &survey);
        let capacities: Result<Vec<u64>, String> = self.capacity.iter().map(resolve).collect();
        let plan = Plan {
            trace,
            unit,
            on_resize: self.on_resize,
            warm_up: self.warm_up,
            contenders,
            capacities: distinct(capacities.map_err(Failure::Usage)?),
            seed: self.seed,
            jobs: self
                .jobs
                .unwrap_or_else(|| available_parallelism().map_or(1, Into::into)),
        };
        let rows = {
            let total = Some(survey.requests);
            let mut progress = Progress::of_steps("filling caches", total, screen.bars);
            run(&plan, &survey, &mut |put| progress.reach(put)).map_err(failed)?
        };
        if let Some(destination) = plot {
            let svg = plot::curves_svg(&rows, unit).map_err(Failure::refused)?;
            destination.write(svg.as_bytes(), screen)?;
        }
        answer::tell(&plan, &survey, &rows, self.json, screen)
    }

    /// The policies that were asked for, and what is always there.
    fn contenders(&self) -> Result<Vec<Contender>, Failure> {
        let shelf = super::shelf()?;
        let always = [RANDOM, BELADY].map(str::to_owned);
        let missing = always
            .iter()
            .filter(|name| !self.policies.contains(name))
            .cloned();
        let asked: Vec<String> = self.policies.iter().cloned().chain(missing).collect();
        if let Some(config) = self
            .config
            .iter()
            .find(|config| !asked.contains(&config.name))
        {
            return Err(Failure::Usage(format!(
                "--config {}: no --policy goes by this name",
                config.name
            )));
        }
        if self.config.iter().any(|config| config.name == BELADY) {
            let reason =
                format!("--config {BELADY}: it knows the future and takes no configuration");
            return Err(Failure::Usage(reason));
        }
        let mut contenders: Vec<Contender> = Vec::new();
        for policy in &asked {
            let contender = match policy.as_str() {
                BELADY => Contender::Belady,
                policy => self.policy(&shelf, policy, &contenders)?,
            };
            if contenders.iter().any(|it| it.name() == contender.name()) {
                let twice = format!("--policy {policy}: it is given twice");
                return Err(Failure::Usage(twice));
            }
            contenders.push(contender);
        }
        Ok(contenders)
    }

    fn policy(
        &self,
        shelf: &Shelf,
        asked: &str,
        before: &[Contender],
    ) -> Result<Contender, Failure> {
        let (policy, own) = ask::named(asked);
        let config = match own {
            Some(own) => own,
            None => {
                let mut configs = self.config.iter();
                let config = configs.find(|config| config.name == asked);
                config.map_or("", |config| config.json.as_str())
            }
        };
        let chosen: Chosen = shelf
            .choose(Kind::Eviction, policy, config)
            .map_err(Failure::refused)?;
        let taken = before.iter().any(|it| it.name() == chosen.name);
        let name = match own {
            // Another file of the same name, or another configuration.
            None if !taken => chosen.name.clone(),
            _ => asked.to_owned(),
        };
        Ok(Contender::Policy(name, chosen))
    }

    fn unit(&self) -> Result<Unit, Failure> {
        let is_bytes = |capacity: &Capacity| matches!(capacity, Capacity::Bytes(_));
        let is_plain = |capacity: &Capacity| matches!(capacity, Capacity::Plain(_));
        let bytes = self.capacity.iter().any(is_bytes);
        match self.unit {
            Some(unit) => Ok(unit),
            None if bytes && self.capacity.iter().any(is_plain) => Err(Failure::Usage(
                "--capacity has numbers with and without a unit: say --unit objects or --unit bytes"
                    .to_owned(),
            )),
            None if bytes => Ok(Unit::Bytes),
            None => Ok(Unit::Objects),
        }
    }
}

/// Each once, in the order in which they were given.
fn distinct(capacities: Vec<u64>) -> Vec<u64> {
    let mut distinct = Vec::new();
    for capacity in capacities {
        if !distinct.contains(&capacity) {
            distinct.push(capacity);
        }
    }
    distinct
}

fn no_trace(error: TraceError) -> Failure {
    match error {
        TraceError::Spec { .. } => Failure::Usage(format!("--trace {error}")),
        error => Failure::refused(error),
    }
}

fn failed(error: SingleError) -> Failure {
    match error {
        SingleError::Plan(_) => Failure::Usage(error.to_string()),
        SingleError::Trace(error) => no_trace(error),
        SingleError::Threads(_) => Failure::refused(error),
    }
}
