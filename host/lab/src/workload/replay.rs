//! Replays recorded requests: converts those of a trace into those of the simulated network.
//!
//! Files get indices in the order of their first appearance. A reader that the trace names is always mapped to the
//! same random node; if the trace names none, each request gets a random node. Times count from the first request;
//! if the trace has none, they are generated.

use std::collections::BTreeMap;

use dataverse_core::limits::FILE_BYTES_MAX;

use super::synthetic::{Askers, Times};
use super::{Op, Request, WorkloadError};
use crate::limits;
use crate::single::OnResize;
use crate::trace::{self, TraceError};

/// What a trace contains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Requests.
    pub requests: u64,
    /// Objects.
    pub objects: u64,
    /// Their bytes, each with its first size.
    pub bytes: u64,
    /// Reads of an object with a different size than before.
    pub resized: u64,
    /// Requests of a recording that are not replayed, because there was no such file or nothing was done.
    pub left_out: u64,
}

/// Whether a request is replayed. A recording also contains requests for files that did not exist, which replaying
/// must not create, and requests that failed.
fn is_replayed(request: &trace::Request) -> bool {
    request
        .outcome
        .is_none_or(trace::RequestOutcome::is_of_a_file)
}

impl Footprint {
    /// Reads a whole trace.
    pub(super) fn of(requests: trace::Requests) -> Result<Self, WorkloadError> {
        // The first and the last size of each object; 0 until a request gives one.
        let mut sizes = BTreeMap::<u64, (u64, u64)>::new();
        let mut footprint = Self::default();
        for request in requests {
            let request = request.map_err(wrong)?;
            if !is_replayed(&request) {
                footprint.left_out += 1;
                continue;
            }
            footprint.requests += 1;
            let size = request.size.min(FILE_BYTES_MAX);
            let (first, last) = sizes.entry(request.id).or_default();
            if size > 0 {
                let changed = *last > 0 && *last != size;
                footprint.resized += u64::from(changed && request.op == trace::Op::Read);
                if *first == 0 {
                    *first = size;
                }
                *last = size;
            }
            few_enough(sizes.len())?;
        }
        footprint.objects = sizes.len() as u64;
        let bytes = sizes.values().map(|(first, _)| (*first).max(1));
        footprint.bytes = bytes.fold(0, u64::saturating_add);
        Ok(footprint)
    }
}

fn wrong(error: TraceError) -> WorkloadError {
    WorkloadError::Trace(error.to_string())
}

fn few_enough(objects: usize) -> Result<(), WorkloadError> {
    match objects {
        ..=limits::LAB_FILES_MAX => Ok(()),
        _ => {
            let max = limits::LAB_FILES_MAX;
            Err(WorkloadError::Trace(format!(
                "it has more than {max} objects"
            )))
        }
    }
}

struct Known {
    index: u32,
    /// 0 until a request gives it.
    size: u64,
}

/// Recorded requests, until the trace ends.
pub(super) struct Replay {
    recorded: trace::Requests,
    on_resize: OnResize,
    askers: Askers,
    /// Times for the requests, if the trace has none.
    drawn_times: Option<Times>,
    began_ms: Option<u64>,
    last_us: u64,
    known: BTreeMap<u64, Known>,
}

impl Replay {
    /// `drawn_times` is for a trace without times.
    pub(super) fn new(
        recorded: trace::Requests,
        on_resize: OnResize,
        askers: Askers,
        drawn_times: Option<Times>,
    ) -> Self {
        Self {
            recorded,
            on_resize,
            askers,
            drawn_times,
            began_ms: None,
            last_us: 0,
            known: BTreeMap::new(),
        }
    }

    pub(super) fn next(&mut self) -> Option<Result<Request, WorkloadError>> {
        let mut replayed = (self.recorded)
            .by_ref()
            .filter(|recorded| recorded.as_ref().map_or(true, is_replayed));
        let recorded = replayed.next()?.map_err(wrong);
        Some(recorded.and_then(|recorded| self.request(&recorded)))
    }

    fn request(&mut self, recorded: &trace::Request) -> Result<Request, WorkloadError> {
        let index = self.known.len() as u32;
        let size = recorded.size.min(FILE_BYTES_MAX);
        let known = self
            .known
            .entry(recorded.id)
            .or_insert(Known { index, size });
        // If a trace has no size for a request, the previous size holds.
        let is_resized = size > 0 && known.size > 0 && size != known.size;
        if known.size == 0 {
            known.size = size;
        }
        let op = match recorded.op {
            trace::Op::Read if is_resized && self.on_resize == OnResize::Write => Op::Write,
            trace::Op::Read => Op::Read,
            trace::Op::Write => Op::Write,
            trace::Op::Delete => Op::Delete,
        };
        if op == Op::Write && is_resized {
            known.size = size;
        }
        let (file, size) = (known.index, known.size.max(1));
        few_enough(self.known.len())?;
        let drawn = self.askers.next();
        let node = match recorded.reader {
            0 => drawn,
            reader => self.askers.of(reader),
        };
        Ok(Request {
            at_us: self.time_us(recorded.time),
            node,
            file,
            size,
            op,
        })
    }

    /// Never before the previous request: some traces are not quite in order.
    fn time_us(&mut self, time_ms: u64) -> u64 {
        let at_us = match &mut self.drawn_times {
            Some(times) => times.next_us(),
            None => {
                let began_ms = *self.began_ms.get_or_insert(time_ms);
                time_ms.saturating_sub(began_ms).saturating_mul(1_000)
            }
        };
        self.last_us = self.last_us.max(at_us);
        self.last_us
    }
}
