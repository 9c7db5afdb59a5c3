//! Requests that were recorded: what a trace says, in the words of the simulated network.
//!
//! Files get indices in the order in which they turn up. A reader that the trace names is always the same node, drawn
//! for it; where it names none, one is drawn for each request. Times count from the first request; where the trace has
//! none, they are drawn.

use std::collections::BTreeMap;

use dataverse_core::limits;

use super::synthetic::{Askers, Times};
use super::{Op, Request, WorkloadError};
use crate::seed::derive;

/// What a trace says of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Recorded {
    /// Milliseconds since a moment that the trace chose.
    pub(super) time_ms: u64,
    /// Who asked; 0 when it does not say.
    pub(super) reader: u64,
    /// The object.
    pub(super) id: u64,
    /// Its bytes.
    pub(super) size: u64,
    /// What was asked.
    pub(super) op: Op,
}

/// What is taken from a size that changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum OnResize {
    /// Nothing: the first size stays.
    First,
    /// The file was written anew.
    Write,
}

struct Known {
    index: u32,
    size: u64,
}

/// Recorded requests, until they end.
pub(super) struct Replay<T> {
    recorded: T,
    on_resize: OnResize,
    nodes: u32,
    seed: u64,
    askers: Askers,
    times: Times,
    began_ms: Option<u64>,
    has_times: bool,
    last_us: u64,
    known: BTreeMap<u64, Known>,
}

impl<T: Iterator<Item = Result<Recorded, String>>> Replay<T> {
    /// `has_times` says whether the trace does.
    pub(super) fn new(
        recorded: T,
        has_times: bool,
        on_resize: OnResize,
        nodes: u32,
        askers: Askers,
        times: Times,
        seed: u64,
    ) -> Self {
        Self {
            recorded,
            on_resize,
            nodes,
            seed,
            askers,
            times,
            began_ms: None,
            has_times,
            last_us: 0,
            known: BTreeMap::new(),
        }
    }

    pub(super) fn next(&mut self) -> Option<Result<Request, WorkloadError>> {
        let recorded = match self.recorded.next()? {
            Ok(recorded) => recorded,
            Err(reason) => return Some(Err(WorkloadError::Trace(reason))),
        };
        Some(self.request(recorded))
    }

    fn request(&mut self, recorded: Recorded) -> Result<Request, WorkloadError> {
        let count = self.known.len();
        if count >= limits::LAB_FILES_MAX && !self.known.contains_key(&recorded.id) {
            return Err(WorkloadError::Trace(format!(
                "it has more than {} objects",
                limits::LAB_FILES_MAX
            )));
        }
        let known = self.known.entry(recorded.id).or_insert(Known {
            index: count as u32,
            size: recorded.size.clamp(1, limits::FILE_BYTES_MAX),
        });
        let mut op = recorded.op;
        // Where a trace has no size for a request, the one before stands.
        let resized = recorded.size > 0 && recorded.size != known.size;
        if op == Op::Write || (resized && self.on_resize == OnResize::Write) {
            if recorded.size > 0 {
                known.size = recorded.size.min(limits::FILE_BYTES_MAX);
            }
            op = match op {
                Op::Read => Op::Write,
                other => other,
            };
        }
        let (file, size) = (known.index, known.size);
        let drawn = self.askers.next();
        let node = match recorded.reader {
            0 => drawn,
            reader => {
                let drawn = derive(self.seed, &["workload", "reader", &reader.to_string()]);
                (drawn % u64::from(self.nodes)) as u32
            }
        };
        Ok(Request {
            at_us: self.time_us(recorded.time_ms),
            node,
            file,
            size,
            op,
        })
    }

    /// Never before the request before: some traces are not quite in order.
    fn time_us(&mut self, time_ms: u64) -> u64 {
        let at_us = match self.has_times {
            false => self.times.next_us(),
            true => {
                let began_ms = *self.began_ms.get_or_insert(time_ms);
                time_ms.saturating_sub(began_ms).saturating_mul(1_000)
            }
        };
        self.last_us = self.last_us.max(at_us);
        self.last_us
    }
}
