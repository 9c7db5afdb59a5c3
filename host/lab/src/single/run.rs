//! The second pass over a trace: gives every request to every cache.
//!
//! The trace is read once, in chunks; each chunk is given to all caches in parallel while the next is being read.
//! A cache depends only on its policy, its capacity and the seed, so its numbers are the same for any number of
//! threads, except for the time it took.

use std::time::{Duration, Instant};

use dataverse_core::content::Digest;
use rayon::prelude::*;

use super::SingleError;
use super::access::{Access, Accesses, OnResize, Unit};
use super::belady::{BELADY, Belady};
use super::cache::{Counts, Faults, SingleCache};
use super::survey::Survey;
use crate::library::Chosen;
use crate::limits;
use crate::seed;
use crate::trace::{Trace, TraceError};

/// What decides what a cache keeps.
#[derive(Clone, Debug)]
pub enum Contender {
    /// A policy, and its name in the results.
    Policy(String, Chosen),
    /// The optimum, which knows the future.
    Belady,
}

impl Contender {
    /// Its name in the results.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Policy(name, _) => name,
            Self::Belady => BELADY,
        }
    }

    /// BLAKE3 of its file, if it has one.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        match self {
            Self::Policy(_, chosen) => chosen.digest(),
            Self::Belady => None,
        }
    }
}

/// The part of a trace that is not counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WarmUp {
    /// This many requests.
    Requests(u64),
    /// This share of them.
    Share(f64),
}

impl WarmUp {
    /// The number of requests, for a trace of `requests`.
    fn of(self, requests: u64) -> u64 {
        match self {
            Self::Requests(first) => first,
            Self::Share(share) => (requests as f64 * share) as u64,
        }
    }
}

/// What to compare, on which trace.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The requests.
    pub trace: Trace,
    /// The unit of the capacities.
    pub unit: Unit,
    /// How to treat objects that change their size.
    pub on_resize: OnResize,
    /// The part that is not counted.
    pub warm_up: WarmUp,
    /// What decides, one entry per curve.
    pub contenders: Vec<Contender>,
    /// The capacities, each of which is combined with each contender.
    pub capacities: Vec<u64>,
    /// The seed from which the policies' seeds derive.
    pub seed: u64,
    /// Threads.
    pub jobs: usize,
}

/// The results of one cache.
#[derive(Clone, Debug)]
pub struct Row {
    /// The name of the contender.
    pub policy: String,
    /// BLAKE3 of the policy's file, if it has one.
    pub digest: Option<Digest>,
    /// Its capacity.
    pub capacity: u64,
    /// Its results, or why the policy did not start.
    pub figures: Result<Figures, String>,
}

/// The results of a cache.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// The results of the reads after the warm-up.
    pub counts: Counts,
    /// The faults of the policy, including the warm-up.
    pub faults: Faults,
    /// The policy failed so often that it was no longer asked, and the cache's own order decided the rest.
    pub given_up: bool,
    /// Fuel that the policy used, including the warm-up.
    pub fuel: u64,
    /// Requests given to the cache, including the warm-up.
    pub put: u64,
    /// How long that took, excluding reading the trace.
    pub elapsed: Duration,
}

impl Figures {
    /// Requests per second.
    #[must_use]
    pub fn requests_per_second(&self) -> f64 {
        self.put as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// Gives the trace to every cache of the plan. Rows are ordered by contender and then by capacity. Reports to
/// `watch` how many requests every cache has processed.
///
/// # Errors
/// [`SingleError`] when the plan makes no sense or the trace can no longer be read.
pub fn run(
    plan: &Plan,
    survey: &Survey,
    watch: &mut (dyn FnMut(u64) + Send),
) -> Result<Vec<Row>, SingleError> {
    let warm_up = check(plan, survey)?;
    let threads = rayon::ThreadPoolBuilder::new()
        .num_threads(plan.jobs.max(1))
        .thread_name(|number| format!("lab-{number}"))
        .build()
        .map_err(|error| SingleError::Threads(error.to_string()))?;
    let mut cells: Vec<Cell> = cells(plan);
    let accesses = Accesses::new(plan.trace.requests()?, plan.unit, plan.on_resize);
    let mut chunks = Chunks {
        accesses,
        survey,
        read: 0,
    };
    threads.install(|| -> Result<(), TraceError> {
        let (mut chunk, mut put) = (chunks.next(Vec::new())?, 0);
        let mut spare = Vec::new();
        while !chunk.is_empty() {
            let cold = usize::try_from(warm_up.saturating_sub(put)).unwrap_or(usize::MAX);
            let (_, next) = rayon::join(
                || {
                    cells
                        .par_iter_mut()
                        .for_each(|cell| cell.advance(&chunk, cold))
                },
                || chunks.next(spare),
            );
            put += chunk.len() as u64;
            watch(put);
            (spare, chunk) = (chunk, next?);
        }
        Ok(())
    })?;
    Ok(cells.into_iter().map(Cell::row).collect())
}

/// Checks the plan and returns the length of the warm-up.
fn check(plan: &Plan, survey: &Survey) -> Result<u64, SingleError> {
    let caches = plan.contenders.len().saturating_mul(plan.capacities.len());
    if caches > limits::TRACE_CACHES_MAX {
        let most = limits::TRACE_CACHES_MAX;
        return Err(SingleError::Plan(format!(
            "this makes {caches} caches; at most {most} can run together"
        )));
    }
    let (warm_up, requests) = (plan.warm_up.of(survey.requests), survey.requests);
    if warm_up >= requests {
        return Err(SingleError::Plan(format!(
            "a warm-up of {warm_up} requests leaves none of the {requests} requests to count"
        )));
    }
    Ok(warm_up)
}

/// A trace in chunks, with what the survey found.
struct Chunks<'a> {
    accesses: Accesses,
    survey: &'a Survey,
    read: u64,
}

impl Chunks<'_> {
    /// The next chunk, in reused memory; empty at the end.
    fn next(&mut self, mut chunk: Vec<Access>) -> Result<Vec<Access>, TraceError> {
        chunk.clear();
        while chunk.len() < limits::TRACE_CHUNK_REQUESTS
            && let Some(access) = self.accesses.next()
        {
            let access = access?;
            if self.read >= self.survey.requests {
                return Err(self.accesses.changed());
            }
            let next = self.survey.next_of(self.read);
            self.read += 1;
            chunk.push(Access { next, ..access });
        }
        if chunk.is_empty() && self.read < self.survey.requests {
            return Err(self.accesses.changed());
        }
        Ok(chunk)
    }
}

/// One cache and its results so far.
struct Cell {
    row: Row,
    cache: Option<AnyCache>,
    put: u64,
    elapsed: Duration,
}

enum AnyCache {
    Policy(Box<SingleCache>),
    Belady(Belady),
}

fn cells(plan: &Plan) -> Vec<Cell> {
    let of = |contender: &Contender| {
        let capacities = plan.capacities.iter();
        let cells: Vec<Cell> = capacities
            .map(|&capacity| Cell::new(contender, capacity, plan.seed))
            .collect();
        cells
    };
    plan.contenders.iter().flat_map(of).collect()
}

impl Cell {
    fn new(contender: &Contender, capacity: u64, seed: u64) -> Self {
        let cache = match contender {
            Contender::Belady => Ok(AnyCache::Belady(Belady::new(capacity))),
            Contender::Policy(_, chosen) => {
                let seed = seed::derive(seed, &["single", &capacity.to_string()]);
                let cache = SingleCache::new(chosen, capacity, seed);
                cache.map(|cache| AnyCache::Policy(Box::new(cache)))
            }
        };
        let (cache, figures) = match cache {
            Ok(cache) => (Some(cache), Ok(Figures::default())),
            Err(refusal) => (None, Err(refusal.to_string())),
        };
        Self {
            row: Row {
                policy: contender.name().to_owned(),
                digest: contender.digest(),
                capacity,
                figures,
            },
            cache,
            put: 0,
            elapsed: Duration::ZERO,
        }
    }

    /// Gives a chunk to the cache; the first `cold` accesses are not counted.
    fn advance(&mut self, chunk: &[Access], cold: usize) {
        let Some(cache) = &mut self.cache else {
            return;
        };
        let (before, after) = chunk.split_at(cold.min(chunk.len()));
        let begun = Instant::now();
        if !before.is_empty() {
            cache.advance(before);
            cache.forget_counts();
        }
        cache.advance(after);
        self.elapsed += begun.elapsed();
        self.put += chunk.len() as u64;
    }

    fn row(self) -> Row {
        let mut row = self.row;
        if let (Ok(figures), Some(cache)) = (&mut row.figures, self.cache) {
            (figures.put, figures.elapsed) = (self.put, self.elapsed);
            match cache {
                AnyCache::Belady(cache) => figures.counts = cache.counts(),
                AnyCache::Policy(cache) => {
                    figures.counts = cache.counts();
                    figures.faults = cache.faults();
                    figures.given_up = cache.is_given_up();
                    figures.fuel = cache.fuel();
                }
            }
        }
        row
    }
}

impl AnyCache {
    fn advance(&mut self, accesses: &[Access]) {
        match self {
            Self::Policy(cache) => cache.advance(accesses),
            Self::Belady(cache) => cache.advance(accesses),
        }
    }

    fn forget_counts(&mut self) {
        match self {
            Self::Policy(cache) => cache.forget_counts(),
            Self::Belady(cache) => cache.forget_counts(),
        }
    }
}
