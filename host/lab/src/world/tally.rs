//! `Tally`: counters of a run. Never decides anything.

use rustc_hash::FxHashSet;

use super::histogram::Histogram;

/// The number of parts of a run, which make up curves over time.
pub(super) const WINDOWS: u64 = 50;

/// How a read was answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    pub(super) node: u32,
    pub(super) file: u32,
    pub(super) size: u64,
    /// The node whose copy it was.
    pub(super) by: u32,
    /// Whether that copy was a cached one.
    pub(super) cached: bool,
    /// Whether it was not the newest, and no reachable node could tell.
    pub(super) outdated: bool,
    pub(super) hops: u32,
    /// Links to the nearest reachable replica, if any.
    pub(super) replica_hops: Option<u32>,
    pub(super) latency_us: u64,
}

/// What is counted after the warm-up.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    pub(super) reads: u64,
    pub(super) read_bytes: u64,
    pub(super) hits: u64,
    pub(super) hit_bytes: u64,
    pub(super) compulsory: u64,
    /// Reads answered by a cached copy, on the node itself or on another.
    pub(super) by_cached: u64,
    pub(super) unavailable: u64,
    pub(super) outdated: u64,
    pub(super) absent: u64,
    pub(super) not_asked: u64,
    pub(super) hops: Histogram,
    pub(super) latency_us: Histogram,
    /// Links crossed and links to the nearest replica, over reads with a reachable replica.
    pub(super) taken: u64,
    pub(super) to_replica: u64,
    pub(super) searches: u64,
    pub(super) probes: u64,
    pub(super) search_us: u64,
    pub(super) writes: u64,
    pub(super) writes_refused: u64,
    pub(super) writes_degraded: u64,
    pub(super) copies: u64,
    pub(super) evictions: u64,
    pub(super) moves: u64,
    pub(super) relocated_bytes: u64,
    pub(super) repaired_bytes: u64,
    /// Bytes of content, by link.
    pub(super) link_bytes: Vec<u64>,
    /// Reads answered by its copies, by node.
    pub(super) served: Vec<u64>,
    /// Reads, by file.
    pub(super) asked_for: Vec<u64>,
}

/// One part of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    pub(super) ends_us: u64,
    pub(super) reads: u64,
    pub(super) hits: u64,
    pub(super) answered: u64,
    pub(super) hops: u64,
}

/// All counters.
pub(super) struct Tally {
    pub(super) counts: Counts,
    pub(super) windows: Vec<Window>,
    /// Events that were not due before the last request.
    pub(super) events_missed: usize,
    window_requests: u64,
    requests: u64,
    /// Files that each node has requested since the start.
    asked_before: FxHashSet<(u32, u32)>,
}

impl Tally {
    pub(super) fn new(requests: u64) -> Self {
        Self {
            counts: Counts::default(),
            windows: Vec::new(),
            events_missed: 0,
            window_requests: requests.div_ceil(WINDOWS).max(1),
            requests: 0,
            asked_before: FxHashSet::default(),
        }
    }

    /// Starts counting anew: the files are placed, or the warm-up is over.
    pub(super) fn begin(&mut self) {
        self.counts = Counts::default();
    }

    /// Counts a request.
    pub(super) fn request(&mut self, at_us: u64) {
        if self.requests.is_multiple_of(self.window_requests) {
            self.windows.push(Window::default());
        }
        self.requests += 1;
        self.window().ends_us = at_us;
    }

    pub(super) fn answered(&mut self, read: Answered) {
        let is_first = self.asked_before.insert((read.node, read.file));
        let is_hit = read.by == read.node;
        let window = self.window();
        window.reads += 1;
        window.hits += u64::from(is_hit);
        window.answered += 1;
        window.hops += u64::from(read.hops);
        let counts = &mut self.counts;
        counts.reads += 1;
        counts.read_bytes += read.size;
        if is_hit {
            counts.hits += 1;
            counts.hit_bytes += read.size;
        } else if is_first {
            counts.compulsory += 1;
        }
        counts.by_cached += u64::from(read.cached);
        counts.outdated += u64::from(read.outdated);
        counts.hops.add(u64::from(read.hops));
        counts.latency_us.add(read.latency_us);
        if let Some(replica_hops) = read.replica_hops {
            counts.taken += u64::from(read.hops);
            counts.to_replica += u64::from(replica_hops);
        }
        *at(&mut counts.served, read.by) += 1;
        *at(&mut counts.asked_for, read.file) += 1;
    }

    /// Counts a read of an existing file that found no copy.
    pub(super) fn unavailable(&mut self, node: u32, file: u32, size: u64) {
        self.asked_before.insert((node, file));
        self.window().reads += 1;
        self.counts.reads += 1;
        self.counts.read_bytes += size;
        self.counts.unavailable += 1;
        *at(&mut self.counts.asked_for, file) += 1;
    }

    pub(super) fn searched(&mut self, probes: usize, elapsed_us: u64) {
        self.counts.searches += 1;
        self.counts.probes += probes as u64;
        self.counts.search_us += elapsed_us;
    }

    pub(super) fn carried(&mut self, link: u32, bytes: u64) {
        *at(&mut self.counts.link_bytes, link) += bytes;
    }

    fn window(&mut self) -> &mut Window {
        if self.windows.is_empty() {
            self.windows.push(Window::default());
        }
        self.windows.last_mut().expect("a window was just added")
    }
}

/// The entry of a list, which is extended as needed.
fn at(list: &mut Vec<u64>, index: u32) -> &mut u64 {
    let index = index as usize;
    if list.len() <= index {
        list.resize(index + 1, 0);
    }
    &mut list[index]
}
