//! Runs the cells: every repetition of every cell, on several threads, until done or told to stop.
//!
//! What is run does not depend on the threads: every run has its scenario and its seed and shares nothing that
//! changes. The first repetition of all cells goes before the second of any, so that an experiment that is stopped
//! early has pairs to compare.

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

/// Something that runs a scenario under a seed: [`world::run`], or what stands in for it.
pub type RunCell<'a> =
    dyn Fn(&Scenario, u64, &(dyn Fn(u64) -> bool + Sync)) -> Result<Measures, RunError> + Sync + 'a;

/// Whoever is told how far an experiment has come; from several threads at once.
pub trait Watch: Sync {
    /// So many more requests were carried out.
    fn advanced(&self, requests: u64);
    /// One more run is over.
    fn ended(&self, run: &EndedRun<'_>);
}

/// A run that is over.
#[derive(Debug)]
pub struct EndedRun<'a> {
    /// The compare entry.
    pub compare: &'a str,
    /// The point of the sweep, in one line.
    pub point: &'a str,
    /// Which repetition.
    pub repetition: u32,
    /// Requests that it was to carry out and did not: it failed, or a trace ended before.
    pub left_out: u64,
    /// Why it failed, if it did.
    pub error: Option<&'a str>,
}

/// Nobody is told.
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
    /// Once true, no run begins any more, and those under way are given up.
    pub stop: &'a AtomicBool,
    /// Who is told of the progress.
    pub watch: &'a dyn Watch,
    /// What runs a scenario.
    pub world: &'a RunCell<'a>,
}

impl<'a> Running<'a> {
    /// On so many threads in the simulated world, until `stop` is true.
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

/// A run that came to an end: where it belongs, what came of it and how long it took.
struct Done {
    cell: usize,
    run: Repetition,
    seconds: f64,
}

/// Why no thread could be had.
#[derive(Debug, thiserror::Error)]
#[error("can't start {jobs} threads: {reason}; choose fewer with --jobs")]
pub struct NoThreads {
    jobs: usize,
    reason: String,
}

impl Experiment {
    /// The seed of a repetition, the same for all cells. It has 53 bits, which every reader of JSON can hold.
    fn repetition_seed(&self, repetition: u32) -> u64 {
        const EXACT_IN_JSON: u32 = 64 - 53;
        seed::derive(self.seed, &["repetition", &repetition.to_string()]) >> EXACT_IN_JSON
    }

    /// Runs all cells. A run that fails or panics is told in the results and stops nothing else.
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

    /// The task at a place in the queue: a cell and one of its repetitions.
    fn task(&self, place: usize) -> Option<(usize, u32)> {
        let repetition = u32::try_from(place / self.cells.len()).ok()?;
        (repetition < self.plan.repetitions).then_some((place % self.cells.len(), repetition))
    }

    /// One run; none when it was given up.
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

/// A number that is none can't be written, and no mean holds with it.
fn finite(mut measures: Measures) -> Measures {
    measures.numbers.retain(|_, number| number.is_finite());
    measures
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("it did not say why")
}
