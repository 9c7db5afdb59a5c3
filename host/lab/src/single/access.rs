//! What the requests of a trace mean to a cache: which of them concern it, how large each object is, whether it
//! has been requested before, and whether its cached copy is still valid.

use std::collections::hash_map::Entry;

use dataverse_core::version::Millis;
use rustc_hash::FxHashMap;

use crate::limits;
use crate::trace::{Op, Request, Requests, TraceError};

/// Stands for no access.
pub(super) const NEVER: u32 = u32::MAX;

/// The unit of a cache's capacity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// Objects: each counts as one in every number, whatever its size.
    #[default]
    Objects,
    /// Bytes.
    Bytes,
}

impl Unit {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Objects => "objects",
            Self::Bytes => "bytes",
        }
    }
}

/// How to treat a read of an object whose size has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnResize {
    /// The object keeps its first size; only a write can change it.
    #[default]
    Keep,
    /// The object was written in between: its cached copy is no longer valid, so this read is a miss, and the new
    /// content is offered to the cache.
    Write,
}

/// What happens to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It is read.
    Read,
    /// It is read, and its content is new: the old copy is dropped first, so the read is a miss.
    ReadChanged,
    /// It is written: the old copy is dropped, and the new content is offered. Does not count as a request.
    Write,
    /// It is deleted: its copy is dropped. Does not count as a request.
    Delete,
}

/// One request, as a cache sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// The object.
    pub id: u64,
    /// Its bytes, or 1.
    pub size: u64,
    /// The time; never earlier than that of the access before.
    pub now: Millis,
    /// Hops that its content crosses if it is not cached.
    pub hops: u32,
    /// What happens to it.
    pub kind: Kind,
    /// The first access to the object: no cache can have it.
    pub first: bool,
    /// The position of the read that would find a copy cached now, unless it is dropped earlier; the highest
    /// number if there is none. Known only in the second pass.
    pub next: u32,
}

struct Known {
    size: u64,
    /// The earliest access that could have cached the current copy.
    last: u32,
    resized: bool,
}

/// Iterates over the accesses of a trace.
pub struct Accesses {
    requests: Requests,
    unit: Unit,
    on_resize: OnResize,
    objects: FxHashMap<u64, Known>,
    /// The number of accesses so far.
    position: u32,
    latest: Millis,
}

/// Further facts about an access, for the survey.
pub(super) struct Aside {
    /// The access whose copy this read would find.
    pub(super) found: u32,
    /// The previous size of the object and the new one, if they differ.
    pub(super) resized: Option<(u64, u64)>,
    /// The object changed for the first time.
    pub(super) first_resize: bool,
    /// Its time is earlier than that of an access before it.
    pub(super) goes_back: bool,
}

impl Accesses {
    /// The accesses that these requests make.
    #[must_use]
    pub fn new(requests: Requests, unit: Unit, on_resize: OnResize) -> Self {
        Self {
            requests,
            unit,
            on_resize,
            objects: FxHashMap::default(),
            position: 0,
            latest: 0,
        }
    }

    /// The next access; none within `Ok` for a request that does not concern a cache.
    pub(super) fn next_aside(&mut self) -> Option<Result<Option<(Access, Aside)>, TraceError>> {
        let request = match self.requests.next()? {
            Ok(request) => request,
            Err(error) => return Some(Err(error)),
        };
        if request.outcome.is_some_and(|it| !it.is_of_the_cache()) {
            return Some(Ok(None));
        }
        Some(self.access(&request).map(Some))
    }

    fn access(&mut self, request: &Request) -> Result<(Access, Aside), TraceError> {
        if self.objects.len() >= limits::TRACE_OBJECTS_MAX {
            return Err(self.requests.unusable(format!(
                "it has more than {} objects; shorten it",
                limits::TRACE_OBJECTS_MAX
            )));
        }
        let entry = self.objects.entry(request.id);
        let first = matches!(entry, Entry::Vacant(_));
        let known = entry.or_insert(Known {
            size: request.size,
            last: NEVER,
            resized: false,
        });
        let is_resized = request.op == Op::Read && known.size != request.size;
        let aside = Aside {
            found: known.last,
            resized: is_resized.then_some((known.size, request.size)),
            first_resize: is_resized && !known.resized,
            goes_back: request.time < self.latest,
        };
        known.resized |= is_resized;
        let is_new = request.op == Op::Write || is_resized && self.on_resize == OnResize::Write;
        if is_new {
            known.size = request.size;
        }
        let kind = match request.op {
            Op::Read if is_new => Kind::ReadChanged,
            Op::Read => Kind::Read,
            Op::Write => Kind::Write,
            Op::Delete => Kind::Delete,
        };
        known.last = match kind {
            Kind::Delete => NEVER,
            _ => self.position,
        };
        self.position += 1;
        self.latest = self.latest.max(request.time);
        let access = Access {
            id: request.id,
            size: match self.unit {
                Unit::Objects => 1,
                Unit::Bytes => known.size,
            },
            now: self.latest,
            hops: request.hops.max(1),
            kind,
            first,
            next: NEVER,
        };
        Ok((access, aside))
    }
}

impl Iterator for Accesses {
    type Item = Result<Access, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.next_aside()? {
                Ok(None) => {}
                Ok(Some((access, _))) => return Some(Ok(access)),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Accesses {
    /// An error: the trace differs from the one that was surveyed.
    pub(super) fn changed(&self) -> TraceError {
        self.requests
            .unusable("it changed while it was read".to_owned())
    }
}
