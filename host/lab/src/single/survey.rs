//! `Survey`: the first pass over a trace, before anything runs.

use super::SingleError;
use super::access::{Accesses, Kind, NEVER, OnResize, Unit};
use crate::limits;
use crate::trace::{Trace, TraceError};

/// The contents of a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Requests that concern a cache: reads, writes and deletions.
    pub requests: u64,
    /// Reads among them.
    pub reads: u64,
    /// Writes among them.
    pub writes: u64,
    /// Deletions among them.
    pub deletes: u64,
    /// Requests of a node's recording that did not concern its cache and are left out.
    pub left_out: u64,
    /// Requests with an earlier time than one before them; they are treated as simultaneous with it.
    pub goes_back: u64,
    /// First reads of objects: no cache can avoid these misses.
    pub first_reads: u64,
    /// Objects.
    pub objects: u64,
    /// Bytes of all objects, each with its first size; the number of objects when each counts as one.
    pub object_bytes: u128,
    /// Objects that changed their size from one read to the next.
    pub resized: Resized,
    /// By access, the position of the read that would find its copy.
    next: Vec<u32>,
}

/// Objects that changed their size from one read to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resized {
    /// How many objects.
    pub objects: u64,
    /// How many reads.
    pub reads: u64,
    /// The first few: the object, its previous size, and the size with which it was read.
    pub examples: Vec<(u64, u64, u64)>,
}

impl Survey {
    /// Reads a whole trace. Now and then reports to `watch` how many requests have been read.
    ///
    /// # Errors
    /// [`SingleError`] when the trace is invalid, or has no read for a cache.
    pub fn of(
        trace: &Trace,
        unit: Unit,
        on_resize: OnResize,
        watch: &mut dyn FnMut(u64),
    ) -> Result<Self, SingleError> {
        let mut survey = Self::default();
        let mut accesses = Accesses::new(trace.requests()?, unit, on_resize);
        while let Some(access) = accesses.next_aside() {
            let Some((access, aside)) = access? else {
                survey.left_out += 1;
                continue;
            };
            if survey
                .next
                .len()
                .is_multiple_of(limits::TRACE_CHUNK_REQUESTS)
            {
                watch(survey.next.len() as u64);
            }
            // A read of unchanged content finds the copy of the access before.
            if access.kind == Kind::Read && aside.found != NEVER {
                survey.next[aside.found as usize] = survey.next.len() as u32;
            }
            survey.next.push(NEVER);
            survey.goes_back += u64::from(aside.goes_back);
            if access.first {
                survey.objects += 1;
                survey.object_bytes += u128::from(access.size);
            }
            match access.kind {
                Kind::Read | Kind::ReadChanged => {
                    survey.reads += 1;
                    survey.first_reads += u64::from(access.first);
                }
                Kind::Write => survey.writes += 1,
                Kind::Delete => survey.deletes += 1,
            }
            if let Some((before, after)) = aside.resized {
                let change = (access.id, before, after);
                survey.resized.note(change, aside.first_resize);
            }
        }
        survey.requests = survey.next.len() as u64;
        if survey.reads == 0 {
            let reason = match survey.left_out {
                0 => "it has no reads".to_owned(),
                left_out => {
                    format!("none of its {left_out} requests had to do with the node's cache")
                }
            };
            let file = trace.name().to_owned();
            return Err(TraceError::Whole { file, reason }.into());
        }
        Ok(survey)
    }

    /// The position of the read that would find the copy cached at this access.
    pub(super) fn next_of(&self, access: u64) -> u32 {
        self.next[access as usize]
    }
}

impl Resized {
    fn note(&mut self, change: (u64, u64, u64), first: bool) {
        self.reads += 1;
        self.objects += u64::from(first);
        if first && self.examples.len() < limits::TRACE_RESIZED_TOLD_MAX {
            self.examples.push(change);
        }
    }
}
