//! Generated requests.

use super::law::Law;
use super::spec::{Arrivals, Popularity, Readers, ReadersKind, Spec};
use super::{Op, Request};
use crate::quantity::Moment;
use crate::sample::Draw;
use crate::seed::derive;

/// The nodes that receive requests, by a law over the nodes.
#[derive(Debug)]
pub(super) struct Askers {
    nodes: Vec<u32>,
    law: Law,
    draw: Draw,
    seed: u64,
}

impl Askers {
    /// The sampler for `nodes` nodes under this seed, for the random stream of this name. `listed` are the nodes
    /// that the table names, if any.
    pub(super) fn new(
        spec: &Spec,
        nodes: u32,
        listed: Option<&[u32]>,
        seed: u64,
        name: &str,
    ) -> Self {
        let mut among: Vec<u32> = match listed {
            Some(listed) => listed.to_vec(),
            None => (0..nodes).collect(),
        };
        let exponent = match spec.readers {
            Readers::All(ReadersKind::Zipf) => spec.reader_exponent.value(),
            _ => 0.0,
        };
        // The ranks are shuffled once, for readers and writers alike.
        Draw::new(derive(seed, &["workload", "ranks of readers"])).shuffle(&mut among);
        Self {
            law: Law::zipf(among.len(), exponent),
            nodes: among,
            draw: Draw::new(derive(seed, &["workload", name])),
            seed,
        }
    }

    /// The node that this reader of a trace always uses; all nodes have equally many readers.
    pub(super) fn of(&self, reader: u64) -> u32 {
        let drawn = derive(self.seed, &["workload", "reader", &reader.to_string()]);
        self.nodes[(drawn % self.nodes.len() as u64) as usize]
    }

    /// Samples the next node.
    pub(super) fn next(&mut self) -> u32 {
        self.nodes[self.law.choose(&mut self.draw)]
    }
}

/// The times of the requests.
#[derive(Debug)]
pub(super) struct Times {
    arrivals: Arrivals,
    pause_s: f64,
    now_s: f64,
    draw: Draw,
}

impl Times {
    pub(super) fn new(spec: &Spec, seed: u64) -> Self {
        Self {
            arrivals: spec.arrivals,
            pause_s: 1.0 / spec.rate.value(),
            now_s: 0.0,
            draw: Draw::new(derive(seed, &["workload", "arrivals"])),
        }
    }

    /// The time of the next request, in microseconds.
    pub(super) fn next_us(&mut self) -> u64 {
        self.now_s += self.pause_s
            * match self.arrivals {
                Arrivals::Regular => 1.0,
                Arrivals::Poisson => self.draw.exponential(),
            };
        libm::round(self.now_s * 1e6) as u64
    }
}

/// An infinite stream of generated requests.
#[derive(Debug)]
pub(super) struct Synthetic {
    law: Law,
    sizes: Vec<u64>,
    /// Ranks by which popularity shifts per microsecond.
    drift_per_us: f64,
    change_at: Option<Moment>,
    /// The file that replaces each file once all ranks are reassigned.
    dealt: Vec<u32>,
    writes: f64,
    deletes: f64,
    /// The total number of requests, for moments given as shares of them.
    requests: u64,
    made: u64,
    times: Times,
    askers: Askers,
    files: Draw,
    kinds: Draw,
}

impl Synthetic {
    pub(super) fn new(
        spec: &Spec,
        sizes: Vec<u64>,
        askers: Askers,
        requests: u64,
        seed: u64,
    ) -> Self {
        let exponent = match spec.popularity {
            Popularity::Zipf => spec.exponent.value(),
            Popularity::Uniform => 0.0,
        };
        let stream = |name| Draw::new(derive(seed, &["workload", name]));
        let mut dealt = Vec::new();
        if spec.change_at.is_some() {
            dealt = (0..spec.files).collect();
            stream("ranks dealt anew").shuffle(&mut dealt);
        }
        Self {
            law: Law::zipf(sizes.len(), exponent),
            sizes,
            drift_per_us: spec.drift.value() / 1e6,
            change_at: spec.change_at,
            dealt,
            writes: spec.writes.value(),
            deletes: spec.deletes.value(),
            requests,
            made: 0,
            times: Times::new(spec, seed),
            askers,
            files: stream("files"),
            kinds: stream("kinds"),
        }
    }

    pub(super) fn next(&mut self) -> Request {
        let at_us = self.times.next_us();
        let node = self.askers.next();
        let rank = self.law.choose(&mut self.files);
        let file = self.file_of(rank, at_us);
        let kind = self.kinds.unit();
        let op = match kind {
            _ if kind < self.writes => Op::Write,
            _ if kind < self.writes + self.deletes => Op::Delete,
            _ => Op::Read,
        };
        self.made += 1;
        Request {
            at_us,
            node,
            file,
            size: self.sizes[file as usize],
            op,
        }
    }

    /// The file of this rank, counted from 0, at this time.
    fn file_of(&self, rank: usize, at_us: u64) -> u32 {
        let files = self.sizes.len();
        let moved = libm::floor(self.drift_per_us * at_us as f64) as usize % files;
        let file = (rank + files - moved) % files;
        let has_changed = self.change_at.is_some_and(|moment| match moment {
            Moment::Seconds(seconds) => at_us as f64 >= seconds * 1e6,
            Moment::OfRequests(share) => self.made as f64 >= share * self.requests as f64,
        });
        match has_changed {
            true => self.dealt[file],
            false => file as u32,
        }
    }
}
