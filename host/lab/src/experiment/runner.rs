//! Runs the cells: every repetition of every cell, on several threads, until done or stopped.
//!
//! The results do not depend on the threads: every run has its own scenario and seed and shares no mutable state.
//! The first repetition of all cells runs before the second of any, so that an experiment that is stopped early
//! has pairs to compare.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use super::{Experiment, table};
use crate::measures::Measures;
use crate::results::{AssertionOutcome, Cell, Repetition, Results, Timings};
use crate::seed;
use crate::world::{self, RunError, Scenario};

/// Runs a scenario under a seed: [`world::run`], or a fake in tests.
pub type RunCell<'a> =
    dyn Fn(&Scenario, u64, &(dyn Fn(u64) -> bool + Sync)) -> Result<Measures, RunError> + Sync + 'a;

/// Receives the progress of an experiment, from several threads concurrently.
pub trait Watch: Sync {
    /// `requests` more requests were carried out.
    fn advanced(&self, requests: u64);
    /// One more run has ended.
    fn ended(&self, run: &EndedRun<'_>);
}

/// A run that has ended.
#[derive(Debug)]
pub struct EndedRun<'a> {
    /// The compare entry.
    pub compare: &'a str,
    /// The point of the sweep, in one line.
    pub point: &'a str,
    /// Which repetition.
    pub repetition: u32,
    /// Requests that it should have carried out and did not: it failed, or its trace ended early.
    pub left_out: u64,
    /// Why it failed, if it did.
    pub error: Option<&'a str>,
}

/// Ignores all progress.
#[derive(Clone, Copy, Debug)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn advanced(&self, _requests: u64) {}
    fn ended(&self, _run: &EndedRun<'_>) {}
}

/// How to run.
pub struct Running<'a> {
    /// Threads.
    pub jobs: usize,
    /// Once true, no new run starts, and running ones are abandoned.
    pub stop: &'a AtomicBool,
    /// Receives the progress.
    pub watch: &'a dyn Watch,
    /// What runs a scenario.
    pub world: &'a RunCell<'a>,
}

impl<'a> Running<'a> {
    /// On `jobs` threads in the simulated world, until `stop` is true.
    #[must_use]
    pub fn new(jobs: usize, stop: &'a AtomicBool, watch: &'a dyn Watch) -> Self {
        Self {
            jobs,
            stop,
            watch,
            world: &world::run,
        }
    }
}

/// A run that has ended: its cell and repetition, its outcome, and how long it took.
struct Done {
    cell: usize,
    run: Repetition,
    seconds: f64,
}

/// The threads could not be started.
#[derive(Debug, thiserror::Error)]
#[error("can't start {jobs} threads: {reason}; choose fewer with --jobs")]
pub struct NoThreads {
    jobs: usize,
    reason: String,
}

impl Experiment {
    /// The seed of a repetition, the same for all cells. It has 53 bits, which every JSON reader can represent.
    fn repetition_seed(&self, repetition: u32) -> u64 {
        const EXACT_IN_JSON: u32 = 64 - 53;
        seed::derive(self.seed, &["repetition", &repetition.to_string()]) >> EXACT_IN_JSON
    }

    /// Runs all cells. A run that fails or panics is recorded in the results and does not stop the others.
    ///
    /// # Errors
    /// [`NoThreads`] when the threads can't be started.
    pub fn run(&self, running: &Running<'_>) -> Result<Results, NoThreads> {
        let jobs = running.jobs.max(1);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(jobs)
            .build()
            .map_err(|error| NoThreads {
                jobs,
                reason: error.to_string(),
            })?;
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::new());
        let began = Instant::now();
        pool.broadcast(|_| {
            while !running.stop.load(Ordering::Relaxed) {
                let Some((cell, repetition)) = self.task(next.fetch_add(1, Ordering::Relaxed))
                else {
                    break;
                };
                if let Some(ended) = self.run_one(cell, repetition, running) {
                    let mut done = done.lock();
                    done.push(ended);
                }
            }
        });
        let done = done.into_inner();
        Ok(self.results(done, jobs, began.elapsed().as_secs_f64()))
    }

    /// The task at a position in the queue: a cell and one of its repetitions.
    fn task(&self, place: usize) -> Option<(usize, u32)> {
        let repetition = u32::try_from(place / self.cells.len()).ok()?;
        (repetition < self.plan.repetitions).then_some((place % self.cells.len(), repetition))
    }

    /// One run; none if it was abandoned.
    fn run_one(&self, cell: usize, repetition: u32, running: &Running<'_>) -> Option<Done> {
        let planned = &self.cells[cell];
        let seed = self.repetition_seed(repetition);
        let reported = AtomicUsize::new(0);
        let progress = |requests: u64| {
            let now = usize::try_from(requests).unwrap_or(usize::MAX);
            let before = reported.fetch_max(now, Ordering::Relaxed);
            running.watch.advanced(now.saturating_sub(before) as u64);
            !running.stop.load(Ordering::Relaxed)
        };
        let began = Instant::now();
        let ran = catch_unwind(AssertUnwindSafe(|| {
            (running.world)(&planned.scenario, seed, &progress)
        }));
        let seconds = began.elapsed().as_secs_f64();
        let outcome = match ran {
            Ok(Err(RunError::Stopped)) => return None,
            Ok(Ok(measures)) => AssertionOutcome::Measures(finite(measures)),
            Ok(Err(error)) => AssertionOutcome::Error(error.to_string()),
            Err(panic) => {
                AssertionOutcome::Error(format!("the lab itself failed: {}", said(&*panic)))
            }
        };
        let carried_out = reported.into_inner() as u64;
        running.watch.ended(&EndedRun {
            compare: &planned.compare,
            point: &planned.point_shown,
            repetition,
            left_out: planned.scenario.requests.saturating_sub(carried_out),
            error: match &outcome {
                AssertionOutcome::Error(error) => Some(error),
                AssertionOutcome::Measures(_) => None,
            },
        });
        let run = Repetition {
            repetition,
            seed,
            outcome,
        };
        Some(Done { cell, run, seconds })
    }

    fn results(&self, mut done: Vec<Done>, jobs: usize, seconds: f64) -> Results {
        done.sort_by_key(|done| (done.cell, done.run.repetition));
        let mut cells: Vec<Cell> = self
            .cells
            .iter()
            .map(|planned| Cell {
                compare: planned.compare.clone(),
                point: planned.point.clone(),
                repetitions: Vec::new(),
            })
            .collect();
        let mut runs = vec![Vec::new(); cells.len()];
        let complete = done.len() == cells.len() * self.plan.repetitions as usize;
        for ended in done {
            cells[ended.cell].repetitions.push(ended.run);
            runs[ended.cell].push(ended.seconds);
        }
        let mut results = Results {
            versions: self.versions.clone(),
            experiment: self.written.clone(),
            seed: self.seed,
            complete,
            digests: self.digests.clone(),
            plan: self.plan.clone(),
            notes: self.notes.clone(),
            cells,
            timings: Timings {
                seconds,
                jobs: u32::try_from(jobs).unwrap_or(u32::MAX),
                runs,
            },
            ..Results::default()
        };
        results.table = table::rows(&results);
        let judged = self.expects.iter().flat_map(|it| it.policy(&results));
        results.expectations = judged.collect();
        results
    }
}

/// Drops numbers that are not finite: JSON can't represent them, and no mean could include them.
fn finite(mut measures: Measures) -> Measures {
    measures.numbers.retain(|_, number| number.is_finite());
    measures
}

/// The message of a panic.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("it did not say why")
}
