//! `lab run`: runs an experiment, writes its results and reports them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use dataverse_core::plural::{form, plural};
use dataverse_lab::experiment::{Experiment, NoThreads, Reading, ResultsFolder, Running, table};
use dataverse_lab::report;
use dataverse_lab::results::{self, Expectation, Results};

use super::run_progress::RunProgress;
use super::{jobs, output, policy_library};
use crate::commands::failure::{Exit, Failure};
use crate::commands::interruption::Interruption;
use crate::commands::screen::{Screen, printable};
use crate::limits::EXPERIMENT_JOBS_MAX;

/// Run an experiment
///
/// Everything is checked before anything runs. Ctrl-C stops it early and keeps the finished runs. Exits with 1 if
/// an assertion of the experiment does not hold or a run failed, with 2 if the experiment is invalid, and with 130
/// if it was stopped early.
#[derive(Debug, clap::Args)]
pub(super) struct Run {
    /// The experiment; `lab new` writes one
    #[arg(value_name = "EXPERIMENT.toml")]
    file: PathBuf,
    /// Where to write results.json, results.csv and report.html [default: the experiment's name and -results]
    #[arg(long, value_name = "DIR", value_parser = output::results)]
    out: Option<PathBuf>,
    /// Number of runs at a time [default: the number of processors]
    #[arg(long, value_name = "N", value_parser = jobs)]
    jobs: Option<usize>,
    /// The seed, instead of the experiment's own
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Print the results as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Run {
    pub(super) async fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let policy_library = policy_library()?;
        let reading = Reading {
            default_policy: dataverse_builtin::default_name,
            seed: self.seed,
            ..Reading::new(&policy_library)
        };
        let experiment = Experiment::read(&self.file, &reading)
            .map_err(|malformed| Failure::Usage(malformed.to_string()))?;
        let out = match &self.out {
            Some(out) => out.clone(),
            None => Path::new(&format!("{}-results", experiment.stem())).to_owned(),
        };
        let folder = ResultsFolder::claim(&out).map_err(Failure::refused)?;
        let results = carry_out(experiment, self.jobs(), screen).await?;
        folder
            .write(&results, Some(&report::html(&results)))
            .map_err(Failure::refused)?;
        if self.json {
            let json = serde_json::to_string_pretty(&results).context("the results")?;
            screen.line(&json)?;
        } else {
            show(&results, screen)?;
        }
        let shown = printable(&folder.path().display().to_string());
        screen.note(&format!("results are in {shown}"));
        judge(&results, screen)
    }

    fn jobs(&self) -> usize {
        self.jobs.unwrap_or_else(|| {
            let processors = std::thread::available_parallelism().map_or(1, usize::from);
            processors.min(EXPERIMENT_JOBS_MAX)
        })
    }
}

/// Runs the experiment on threads of its own until it ends or a signal arrives. A second signal exits at once.
async fn carry_out(
    experiment: Experiment,
    jobs: usize,
    screen: &mut Screen<'_>,
) -> Result<Results, Failure> {
    let mut interruption = Interruption::listen()?;
    let stop = Arc::new(AtomicBool::new(false));
    let progress = Arc::new(RunProgress::of(&experiment, screen.bars));
    let mut running = tokio::task::spawn_blocking({
        let (stop, progress) = (Arc::clone(&stop), Arc::clone(&progress));
        move || experiment.run(&Running::new(jobs, &stop, &*progress))
    });
    loop {
        let ended: Result<Result<Results, NoThreads>, _> = tokio::select! {
            ended = &mut running => ended,
            () = interruption.heard() => {
                leave_or_stop(&stop, &progress, screen)?;
                continue;
            }
        };
        progress.finish();
        let results = ended.context("running the experiment")?;
        return results.map_err(Failure::refused);
    }
}

fn leave_or_stop(
    stop: &AtomicBool,
    progress: &RunProgress,
    screen: &mut Screen<'_>,
) -> Result<(), Failure> {
    if stop.swap(true, Ordering::Relaxed) {
        progress.finish();
        screen.note("stopped at once; nothing was written");
        return Err(Failure::Interrupted);
    }
    screen.note("stopping; finished runs are kept (press Ctrl-C again to stop at once)");
    Ok(())
}

fn show(results: &Results, screen: &mut Screen<'_>) -> Result<(), Failure> {
    let table = table(results);
    let header: Vec<&str> = table.header.iter().map(String::as_str).collect();
    screen.table(&header, table.rows)?;
    for note in &results.notes {
        screen.note(note);
    }
    Ok(())
}

/// Reports failures and unmet assertions, and returns the matching exit code.
fn judge(results: &Results, screen: &mut Screen<'_>) -> Result<(), Failure> {
    let failed: u32 = results.table.iter().map(|row| row.failed).sum();
    if failed > 0 {
        screen.note(&format!(
            "error: {} failed; results.csv says why",
            plural(failed, "run", "runs")
        ));
    }
    if !results.complete {
        let planned = results.cells.len() * results.plan.repetitions as usize;
        let done: usize = results
            .cells
            .iter()
            .map(|cell| cell.repetitions.len())
            .sum();
        let planned = plural(planned as u64, "run", "runs");
        screen.note(&format!("error: stopped after {done} of {planned}"));
    }
    let (optional, needed): (Vec<_>, Vec<_>) =
        results.expectations.iter().partition(|it| it.optional);
    let broken = tell_assertions(results, &needed, "", screen);
    tell_assertions(results, &optional, "optional ", screen);
    match results.complete {
        false => Err(Failure::Told(Exit::Interrupted)),
        true if failed == 0 && broken == 0 => Ok(()),
        true => Err(Failure::Told(Exit::Refused)),
    }
}

/// Reports which of these assertions do not hold, and how many do. Returns the number that do not.
fn tell_assertions(
    results: &Results,
    assertions: &[&Expectation],
    kind: &str,
    screen: &mut Screen<'_>,
) -> usize {
    let broken: Vec<_> = assertions.iter().filter(|it| !it.holds).collect();
    for expectation in &broken {
        let at = match results::shown_point(&expectation.point) {
            point if point.is_empty() => point,
            point => format!(" at {point}"),
        };
        let severity = if expectation.optional {
            "note"
        } else {
            "error"
        };
        screen.note(&format!(
            "{severity}: {}:{}: expected that {}{at}; found {}",
            results.experiment.file, expectation.line, expectation.expected, expectation.found
        ));
    }
    let all = assertions.len();
    if all > 0 {
        let hold = all - broken.len();
        let verb = form(hold as u64, "holds", "hold");
        let all = form(
            all as u64,
            &format!("1 {kind}assertion"),
            &format!("{all} {kind}assertions"),
        )
        .to_owned();
        screen.note(&format!("{hold} of {all} {verb}"));
    }
    broken.len()
}
