//! `Run`: carries out a scenario, request by request and event by event.

use std::collections::VecDeque;

use super::scenario::{RunError, Scenario};
use super::simulation::SimulatedNetwork;
use crate::measures::Measures;
use crate::quantity::Moment;
use crate::seed::derive;
use crate::workload::{Op, Request, Requests};
use crate::wrong::Wrong;

/// Requests between two progress reports.
const PROGRESS_EVERY: u64 = 1024;

/// Runs a scenario with a seed. The same two give the same measures, to the bit.
///
/// Now and then reports to `progress` how many requests have been carried out; the run stops if it returns
/// `false`.
///
/// # Errors
/// [`RunError`].
pub fn run(
    scenario: &Scenario,
    seed: u64,
    progress: &(dyn Fn(u64) -> bool + Sync),
) -> Result<Measures, RunError> {
    let mut run = Run::begin(scenario, seed, progress)?;
    run.go_on(progress)?;
    run.world.tally.events_missed = run.timed.len() + run.counted.len();
    Ok(run.world.finish())
}

/// A run in progress.
pub(super) struct Run<'a> {
    scenario: &'a Scenario,
    pub(super) world: SimulatedNetwork<'a>,
    requests: Requests,
    writers: Box<dyn FnMut() -> u32>,
    /// Events with a time, in order, and those at a share of the requests.
    timed: VecDeque<(u64, usize)>,
    counted: VecDeque<(u64, usize)>,
    done: u64,
}

impl<'a> Run<'a> {
    /// Creates the nodes and places the files.
    pub(super) fn begin(
        scenario: &'a Scenario,
        seed: u64,
        progress: &dyn Fn(u64) -> bool,
    ) -> Result<Self, RunError> {
        scenario.check()?;
        let topology = scenario.network.topology(derive(seed, &["network"]))?;
        let listed = scenario.readers_in(&topology)?;
        let present = topology.nodes.len() as u32;
        let workload = &scenario.workload;
        let catalogue = workload.catalogue(seed);
        let bytes = match scenario.nodes.are_shares() {
            true => match workload.footprint()? {
                Some(footprint) => footprint.bytes,
                None => catalogue.iter().sum(),
            },
            false => 0,
        };
        let world = SimulatedNetwork::new(scenario, topology, bytes, seed)?;
        let nodes = world.sites.len() as u32;
        let (mut timed, mut counted) = (Vec::new(), Vec::new());
        for (number, event) in scenario.events.iter().enumerate() {
            match event.at {
                Moment::Seconds(seconds) => {
                    timed.push((libm::round(seconds * 1e6) as u64, number));
                }
                Moment::OfRequests(share) => {
                    let request = libm::round(share * scenario.requests as f64) as u64;
                    counted.push((request, number));
                }
            }
        }
        timed.sort_unstable();
        counted.sort_unstable();
        let mut run = Self {
            scenario,
            world,
            requests: workload.requests(seed, nodes, listed.as_deref(), scenario.requests)?,
            writers: Box::new(workload.writers(seed, present)),
            timed: timed.into(),
            counted: counted.into(),
            done: 0,
        };
        for (file, &size) in (0..).zip(&catalogue) {
            run.found(file, size)?;
            if u64::from(file).is_multiple_of(PROGRESS_EVERY) && !progress(0) {
                return Err(RunError::Stopped);
            }
        }
        run.world.tally.begin();
        Ok(run)
    }

    /// Writes a file for the first time.
    fn found(&mut self, file: u32, size: u64) -> Result<(), RunError> {
        // If any node has space, another writer is tried: first in random order, then each in turn, since the
        // random order may miss it.
        let nodes = self.world.sites.len() as u32;
        self.world.file(file);
        for attempt in 0..2 * nodes {
            let writer = match attempt.checked_sub(nodes) {
                None => (self.writers)(),
                Some(next) => next,
            };
            if self.world.routes.is_alive(writer) && self.world.found(writer, file, size).is_ok() {
                return Ok(());
            }
        }
        let reason = format!("no node has space for file {file} of {size} bytes");
        Err(Wrong::new("nodes.capacity", reason).into())
    }

    /// Carries out the remaining requests and events.
    fn go_on(&mut self, progress: &dyn Fn(u64) -> bool) -> Result<(), RunError> {
        while self.step()? {
            if self.done.is_multiple_of(PROGRESS_EVERY) && !progress(self.done) {
                return Err(RunError::Stopped);
            }
        }
        Ok(())
    }

    /// Carries out the next request. False if there is none.
    pub(super) fn step(&mut self) -> Result<bool, RunError> {
        let Some(request) = self.requests.next() else {
            return Ok(false);
        };
        if self.done == self.scenario.warm_up.of(self.scenario.requests) {
            self.world.tally.begin();
        }
        self.carry_out(request?)?;
        self.done += 1;
        Ok(true)
    }

    /// Carries out a request, and first everything that is due by then.
    pub(super) fn carry_out(&mut self, request: Request) -> Result<(), RunError> {
        while let Some(&(at_us, number)) = self.timed.front()
            && at_us <= request.at_us
        {
            self.timed.pop_front();
            self.world.keep_up(at_us);
            self.world.now_us = at_us;
            self.world.happen(number)?;
        }
        self.world.keep_up(request.at_us);
        self.world.now_us = request.at_us;
        while let Some(&(at, number)) = self.counted.front()
            && at <= self.done
        {
            self.counted.pop_front();
            self.world.happen(number)?;
        }
        self.world.tally.request(request.at_us);
        let Request {
            node,
            file,
            size,
            op,
            ..
        } = request;
        if !self.world.routes.is_alive(node) {
            self.world.tally.counts.not_asked += 1;
            return Ok(());
        }
        // A file that a trace reads before any write existed before the trace began.
        if self.world.file(file).record.is_none() && op == Op::Read {
            self.found(file, size)?;
        }
        match op {
            Op::Read => self.world.read(node, file),
            Op::Write => self.world.write(node, file, size),
            Op::Delete => self.world.delete(node, file),
        }
        // What follows from it at once.
        self.world.keep_up(request.at_us);
        Ok(())
    }
}
