//! `lab trace`: simulates one cache under many policies and capacities, for one trace or several.

mod answer;
mod ask;
mod contenders;
mod several;

use std::path::PathBuf;
use std::thread::available_parallelism;

use dataverse_lab::single::{
    Capacity, Contender, OnResize, Plan, SingleError, Survey, Unit, WarmUp, plot, run,
};
use dataverse_lab::trace::{Columns, Format, Options, TimeUnit, Trace as TraceSource, TraceError};

use super::output;
use super::steps::Steps;
use crate::commands::destination::Destination;
use crate::commands::failure::Failure;
use crate::commands::offered::{evictions, policy_text};
use crate::commands::screen::Screen;
use answer::Answer;
use ask::Config;

/// Compare the miss ratios of eviction policies on a trace
///
/// Sends every request of a trace to one cache, for each policy and each capacity. It is the node's own cache,
/// driven by the same policy file that a node runs. `random`, and `belady`, which knows the future and is optimal
/// when objects are counted, are always included for scale.
///
/// Invalid arguments are reported before anything runs, and the command exits with 2. If one of several traces
/// can't be read, the others are still processed, and the command exits with 1.
#[derive(Debug, clap::Args)]
pub(super) struct Trace {
    /// The requests: a file, optionally compressed with gzip or zstd, `-` for standard input, or
    /// zipf:OBJECTS,REQUESTS,SEED; several are processed one after the other
    #[arg(long = "trace", value_name = "FILE|zipf:OBJECTS,REQUESTS,SEED", required = true, num_args = 1..)]
    traces: Vec<String>,
    /// The format of a file: csv, oracle-general or dataverse (a node's recording) [default: detected from the
    /// content]
    #[arg(long)]
    format: Option<Format>,
    /// The columns of a table, by name or by number from 1, such as time=ts,id=key,size=bytes,reader=user,op=verb
    /// or time=1,id=3; an empty name means that there is no such column [default: the columns named time, id,
    /// size, reader and op; without a header, these in this order, or a single column that is the id]
    #[arg(long, value_name = "WHAT=NAME|PLACE,…", value_parser = Columns::parse)]
    columns: Option<Columns>,
    /// The unit of a table's times: s, ms, us or ns [default: s]
    #[arg(long, value_name = "UNIT", value_parser = ask::time_unit)]
    time_unit: Option<TimeUnit>,
    /// A policy: the name of a built-in one, a .wasm file, or `baseline`; optionally followed by a colon and its
    /// configuration, as in `s3-fifo:{"small": 0.2}`
    #[arg(long = "policy", value_name = "NAME|FILE.wasm[:JSON]", required = true, num_args = 1.., value_parser = policy_text(evictions), hide_possible_values = true)]
    policies: Vec<String>,
    /// The configuration of the policy with this name, a JSON object; may be given several times
    #[arg(long, value_name = "NAME=JSON", value_parser = Config::parse)]
    config: Vec<Config>,
    /// The capacity of the cache: a number in the unit, bytes such as 64MiB, or a share of the trace such as 1%; a
    /// comma-separated list
    #[arg(long, value_name = "LIST", required = true, value_delimiter = ',', value_parser = ask::capacity)]
    capacity: Vec<Capacity>,
    /// The unit of capacities: objects, each of which counts as one, or bytes [default: objects, unless every
    /// capacity is given in bytes]
    #[arg(long, value_parser = ask::unit)]
    unit: Option<Unit>,
    /// How to treat an object whose size changes: keep its first size, or count the change as a write
    #[arg(long, value_name = "keep|write", default_value = "keep", value_parser = ask::on_resize)]
    on_resize: OnResize,
    /// How much to skip before counting starts: a number of requests, or a share such as 20%
    #[arg(long, value_name = "N|SHARE", default_value = "0", value_parser = ask::warm_up)]
    warm_up: WarmUp,
    /// The seed of the policies' random choices
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Number of caches simulated at a time [default: one per core]
    #[arg(long, value_name = "N", value_parser = super::jobs)]
    jobs: Option<usize>,
    /// Plot the object miss ratio over the capacity, for a single trace
    #[arg(long, value_name = "FILE.svg", value_parser = output::svg)]
    plot: Option<PathBuf>,
    /// Overwrite the plot if it exists
    #[arg(long, requires = "plot")]
    force: bool,
    /// Print the results as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Trace {
    pub(super) fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let unit = self.unit()?;
        for capacity in &self.capacity {
            capacity.check(unit).map_err(Failure::Usage)?;
        }
        let contenders = self.contenders()?;
        let traces = several::open(&self.traces, &self.options())?;
        self.check_tables(&traces)?;
        // Fail now, and not after hours of work.
        let plot = self.plot(screen)?;
        let mut answer = Answer::new(traces.len(), self.json);
        for (name, trace) in traces {
            let found = trace
                .map_err(no_trace)
                .and_then(|trace| self.go_through(trace, unit, &contenders, plot.as_ref(), screen));
            match found {
                Ok((plan, survey, rows)) => answer.take(&plan, &survey, rows),
                Err(failure) => answer.fail(&name, failure)?,
            }
        }
        answer.tell(screen)
    }

    fn options(&self) -> Options {
        Options {
            format: self.format,
            columns: self.columns.clone().unwrap_or_default(),
            time_unit: self.time_unit.unwrap_or_default(),
        }
    }

    /// Where to plot the curves of the only trace.
    fn plot(&self, screen: &mut Screen<'_>) -> Result<Option<Destination>, Failure> {
        let Some(file) = &self.plot else {
            return Ok(None);
        };
        if self.traces.len() > 1 {
            return Err(Failure::Usage(
                "--plot draws the curves of a single trace; run the traces one by one".to_owned(),
            ));
        }
        Destination::claim(file, self.force, screen).map(Some)
    }

    /// Options for tables require that a trace is one.
    fn check_tables(&self, traces: &[several::Opened]) -> Result<(), Failure> {
        let is_table = |format| format == Some(Format::Csv);
        let mut opened = traces.iter().filter_map(|(_, trace)| trace.as_ref().ok());
        if opened.clone().next().is_none() || opened.any(|trace| is_table(trace.format())) {
            return Ok(());
        }
        let given = [
            ("--columns", self.columns.is_some()),
            ("--time-unit", self.time_unit.is_some()),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((option, _)) => Err(Failure::Usage(format!(
                "{option} applies to CSV tables, but no --trace is one"
            ))),
        }
    }

    /// Processes one trace: checks that it is complete, then simulates the caches.
    fn go_through(
        &self,
        trace: TraceSource,
        unit: Unit,
        contenders: &[Contender],
        plot: Option<&Destination>,
        screen: &mut Screen<'_>,
    ) -> Result<answer::Found, Failure> {
        if let Some(assumed) = trace.assumed() {
            screen.note(&format!("{}: {assumed}", trace.name()));
        }
        let survey = {
            let steps = Steps::of("reading the trace", None, screen.bars);
            let watch = &mut |read| steps.reach(read);
            Survey::of(&trace, unit, self.on_resize, watch).map_err(failed)?
        };
        let resolve = |capacity: &Capacity| capacity.resolve(unit, &survey);
        let capacities: Result<Vec<u64>, String> = self.capacity.iter().map(resolve).collect();
        let plan = Plan {
            trace,
            unit,
            on_resize: self.on_resize,
            warm_up: self.warm_up,
            contenders: contenders.to_vec(),
            capacities: distinct(capacities.map_err(Failure::Usage)?),
            seed: self.seed,
            jobs: self
                .jobs
                .unwrap_or_else(|| available_parallelism().map_or(1, Into::into)),
        };
        let rows = {
            let steps = Steps::of("filling caches", Some(survey.requests), screen.bars);
            run(&plan, &survey, &mut |put| steps.reach(put)).map_err(failed)?
        };
        if let Some(destination) = plot {
            let svg = plot::curves_svg(&rows, unit).map_err(Failure::refused)?;
            destination.write(svg.as_bytes(), screen)?;
        }
        Ok((plan, survey, rows))
    }

    fn unit(&self) -> Result<Unit, Failure> {
        let is_bytes = |capacity: &Capacity| matches!(capacity, Capacity::Bytes(_));
        let is_plain = |capacity: &Capacity| matches!(capacity, Capacity::Plain(_));
        let bytes = self.capacity.iter().any(is_bytes);
        match self.unit {
            Some(unit) => Ok(unit),
            None if bytes && self.capacity.iter().any(is_plain) => Err(Failure::Usage(
                "--capacity mixes numbers with and without a unit; use --unit objects or --unit bytes"
                    .to_owned(),
            )),
            None if bytes => Ok(Unit::Bytes),
            None => Ok(Unit::Objects),
        }
    }
}

/// Removes duplicates and keeps the order.
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
