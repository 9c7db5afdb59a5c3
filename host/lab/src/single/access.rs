//! What the requests of a trace mean to a cache: which are told of at all, how large each object is, whether it
//! has been seen before, and whether a copy of it that is cached is still the right one.

use std::collections::hash_map::Entry;

use dataverse_core::version::Millis;
use rustc_hash::FxHashMap;

use crate::limits;
use crate::trace::{Op, Request, Requests, TraceError};

/// The position of no access.
pub(super) const NEVER: u32 = u32::MAX;

/// What a cache has room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// So many objects: each counts as one, whatever its size, in every number.
    #[default]
    Objects,
    /// So many bytes.
    Bytes,
}

impl Unit {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Objects => "objects",
            Self::Bytes => "bytes",
        }
    }
}

/// What to make of a read of an object whose size is not the one that it had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnResize {
    /// It keeps the size that it had first; a write may change it.
    #[default]
    Keep,
    /// It was written meanwhile: the copy that is cached is no longer right, so this read is a miss, and the new
    /// content is offered to the cache.
    Write,
}

/// What happens to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It is read.
    Read,
    /// It is read, and its content is new, so that a copy of the old one is dropped first: a miss.
    ReadChanged,
    /// It is written: a copy of the old content is dropped, and the new one offered. Counts as no request.
    Write,
    /// It is deleted: its copy is dropped. Counts as no request.
    Delete,
}

/// One request, as a cache sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// The object.
    pub id: u64,
    /// Its bytes, or 1.
    pub size: u64,
    /// When; never earlier than the one before.
    pub now: Millis,
    /// Hops that its content comes over when it is not cached.
    pub hops: u32,
    /// What happens to it.
    pub kind: Kind,
    /// Nothing had happened to it before: no cache can have it.
    pub first: bool,
    /// The position of the read that would find a copy cached now, if no earlier one is dropped; the highest
    /// number if there is none. Known in the second pass only.
    pub next: u32,
}

struct Known {
    size: u64,
    /// The last access from which on a copy might have been cached.
    last: u32,
    resized: bool,
}

/// The accesses of a trace, one after the other.
pub struct Accesses {
    requests: Requests,
    unit: Unit,
    on_resize: OnResize,
    objects: FxHashMap<u64, Known>,
    /// How many there were so far.
    position: u32,
    latest: Millis,
}

/// What else the survey learns of an access.
pub(super) struct Aside {
    /// The access whose copy this read would find.
    pub(super) found: u32,
    /// The size that the object had, and the one that it is read with, when that is another one.
    pub(super) resized: Option<(u64, u64)>,
    /// This is the first time that it changed.
    pub(super) first_resize: bool,
    /// It says an earlier time than one before it.
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

    /// The next request; none when it has nothing to do with a cache.
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
                "it has more than {} objects; cut it",
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
    /// The trace is not the one that was surveyed.
    pub(super) fn changed(&self) -> TraceError {
        self.requests
            .unusable("it changed while it was read".to_owned())
    }
}
