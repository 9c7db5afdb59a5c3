//! `Scenario`: everything that a run depends on except its seed; and the run itself.

use std::sync::Arc;

use super::simulation::{SimulatedNetwork, check_nodes};
use super::{Event, Nodes, What, Zones, ZonesFrom};
use crate::library::Chosen;
use crate::limits;
use crate::measures::Measures;
use crate::quantity::{Moment, Portion};
use crate::seed::derive;
use crate::topology::{Network, Topology, TopologyError};
use crate::workload::{Op, Request, Workload, WorkloadError};
use crate::wrong::Wrong;

/// Requests between two progress reports.
const PROGRESS_EVERY: u64 = 1024;

/// The policies that decide.
#[derive(Clone, Debug)]
pub struct ChosenPolicies {
    /// Where the copies of a new file go.
    pub placement: Chosen,
    /// Which cached copies are evicted.
    pub eviction: Chosen,
    /// Whether data moves towards its readers.
    pub relocation: Chosen,
}

/// Everything that a run depends on except its seed.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The network.
    pub network: Arc<Network>,
    /// The workload.
    pub workload: Arc<Workload>,
    /// The nodes.
    pub nodes: Nodes,
    /// The policies.
    pub policies: ChosenPolicies,
    /// The events, in any order.
    pub events: Vec<Event>,
    /// The number of requests; fewer if a trace ends earlier.
    pub requests: u64,
    /// Requests at the start that no measure counts.
    pub warm_up: Portion,
}

/// Why a run has no results.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The network can't be generated.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The requests can't be generated.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// The scenario is impossible.
    #[error(transparent)]
    Wrong(#[from] Wrong),
    /// The progress callback stopped the run.
    #[error("the run was stopped")]
    Stopped,
}

impl Scenario {
    /// Refuses an impossible scenario before anything runs.
    ///
    /// # Errors
    /// The key with an impossible value.
    pub fn check(&self) -> Result<(), Wrong> {
        let run = |key: &str, reason: String| Err(Wrong::new(format!("run.{key}"), reason));
        if !(1..=limits::LAB_REQUESTS_MAX).contains(&self.requests) {
            let max = limits::LAB_REQUESTS_MAX;
            return run("requests", format!("a run has 1 to {max} requests"));
        }
        if self.warm_up.of(self.requests) >= self.requests {
            return run(
                "warm_up",
                "the warm-up leaves no request to count".to_owned(),
            );
        }
        check_nodes(self)?;
        let drawn = self.network.topology(0);
        let topology = drawn.map_err(|error| Wrong::new("topology.kind", error.to_string()))?;
        if self.nodes.zones == Zones::Named(ZonesFrom::Country)
            && topology.nodes.iter().all(|node| node.country.is_none())
        {
            let reason = "the topology gives no node's country; set a number of zones";
            return Err(Wrong::new("nodes.zones", reason));
        }
        self.readers_in(&topology)?;
        self.check_events(&topology)
    }

    /// The nodes of the readers that the workload names; none if it names none.
    fn readers_in(&self, topology: &Topology) -> Result<Option<Vec<u32>>, Wrong> {
        let Some(names) = self.workload.named_readers() else {
            return Ok(None);
        };
        let find = |name: &String| {
            let reason = format!("there is no node `{name}`");
            topology
                .find(name)
                .ok_or_else(|| Wrong::new("workload.readers", reason))
        };
        names.iter().map(find).collect::<Result<_, _>>().map(Some)
    }

    /// Checks that events name only nodes that exist or will join.
    fn check_events(&self, topology: &Topology) -> Result<(), Wrong> {
        if self.events.len() > limits::LAB_EVENTS_MAX {
            let max = limits::LAB_EVENTS_MAX;
            return Err(Wrong::new(
                "event",
                format!("at most {max} events can be simulated"),
            ));
        }
        let joining = self.events.iter().filter_map(|event| match &event.what {
            What::Join { node, .. } => Some(node.as_str()),
            _ => None,
        });
        let joining: Vec<&str> = joining.collect();
        let is_known = |name: &str| topology.find(name).is_some() || joining.contains(&name);
        for (number, event) in self.events.iter().enumerate() {
            let wrong = |key: &str, reason: String| {
                Err(Wrong::new(format!("event.{number}.{key}"), reason))
            };
            let (key, names): (&str, Vec<&String>) = match &event.what {
                What::Join { node, links } => {
                    let namesakes = joining.iter().filter(|it| **it == node.as_str()).count();
                    if topology.find(node).is_some() || namesakes > 1 {
                        return wrong("node", format!("there is already a node `{node}`"));
                    }
                    (
                        "links",
                        links.iter().filter(|other| *other != node).collect(),
                    )
                }
                What::Leave(node) | What::Fail(node) | What::Return(node) => ("node", vec![node]),
                What::Cut(a, b) | What::Link(a, b) => {
                    if a == b {
                        return wrong("link", "a node can't be linked with itself".to_owned());
                    }
                    ("link", vec![a, b])
                }
                What::Swap(_) => continue,
            };
            if let Some(name) = names.into_iter().find(|name| !is_known(name)) {
                return wrong(key, format!("there is no node `{name}`"));
            }
            if let What::Cut(a, b) = &event.what
                && !self.may_be_linked(topology, a, b)
            {
                return wrong(key, format!("there is no link between {a} and {b} to cut"));
            }
        }
        Ok(())
    }
}

impl Scenario {
    /// Whether two nodes are linked at some time: by the topology (unknown for a random one until it is generated)
    /// or by an event.
    fn may_be_linked(&self, topology: &Topology, a: &str, b: &str) -> bool {
        let made = self.events.iter().any(|event| match &event.what {
            What::Join { node, links } => {
                (node == a && links.iter().any(|it| it == b))
                    || (node == b && links.iter().any(|it| it == a))
            }
            What::Link(one, other) => (one == a && other == b) || (one == b && other == a),
            _ => false,
        });
        made || self.network.is_random() || topology.are_linked(a, b)
    }
}

/// Runs a scenario with a seed. The same two give the same measures, to the bit.
///
/// Now and then reports to `progress` how many requests have been carried out; the run stops if it returns
/// `false`.
///
/// # Errors
/// [`RunError`]. [`RunError`].
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
    requests: crate::workload::Requests,
    writers: Box<dyn FnMut() -> u32>,
    /// Events with a time, in order, and those at a share of the requests.
    timed: std::collections::VecDeque<(u64, usize)>,
    counted: std::collections::VecDeque<(u64, usize)>,
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
            self.world.repair_what_is_due(at_us);
            self.world.now_us = at_us;
            self.world.happen(number)?;
        }
        self.world.repair_what_is_due(request.at_us);
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
        Ok(())
    }
}
