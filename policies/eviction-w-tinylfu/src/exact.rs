//! W-TinyLFU for objects of one size, directly from the paper: every count is exact.
//!
//! The sketch and the queues of this crate have to come close to it.

use std::collections::{BTreeMap, HashMap};

/// The paper's sample size per object that fits.
const SAMPLE: usize = 10;
/// The maximum of a counter of four bits.
const COUNT_MAX: u32 = 15;

const WINDOW: usize = 0;
const PROBATION: usize = 1;
const PROTECTED: usize = 2;

/// Misses of a cache with space for `capacity` objects.
pub(crate) fn misses(capacity: usize, trace: &[u64]) -> usize {
    let mut cache = Exact::new(capacity);
    trace
        .iter()
        .filter(|&&object| !cache.request(object))
        .count()
}

struct Exact {
    limits: [usize; 3],
    capacity: usize,
    /// Objects by the time of their last read.
    queues: [BTreeMap<usize, u64>; 3],
    /// The queue of an object and its time.
    places: HashMap<u64, (usize, usize)>,
    counts: HashMap<u64, u32>,
    counted: usize,
    now: usize,
}

impl Exact {
    fn new(capacity: usize) -> Self {
        let window = (capacity / 100).max(1);
        let main = capacity - window;
        Self {
            limits: [window, main, main * 8 / 10],
            capacity,
            queues: Default::default(),
            places: HashMap::new(),
            counts: HashMap::new(),
            counted: 0,
            now: 0,
        }
    }

    fn request(&mut self, object: u64) -> bool {
        self.count(object);
        match self.places.get(&object).copied() {
            Some((WINDOW, _)) => self.put(WINDOW, object),
            Some(_) => {
                self.put(PROTECTED, object);
                if self.queues[PROTECTED].len() > self.limits[PROTECTED] {
                    let oldest = self.oldest(PROTECTED).expect("the queue is too long");
                    self.put(PROBATION, oldest);
                }
            }
            None => {
                self.put(WINDOW, object);
                self.settle();
                return false;
            }
        }
        true
    }

    fn settle(&mut self) {
        if self.queues[WINDOW].len() <= self.limits[WINDOW] {
            return;
        }
        let candidate = self.oldest(WINDOW).expect("the queue is too long");
        if self.places.len() > self.capacity {
            let victim = self.oldest(PROBATION).or(self.oldest(PROTECTED));
            let wins = victim.is_some_and(|victim| self.counted(candidate) > self.counted(victim));
            let loser = victim.filter(|_| wins).unwrap_or(candidate);
            self.take_out(loser);
            if !wins {
                return;
            }
        }
        self.put(PROBATION, candidate);
    }

    fn count(&mut self, object: u64) {
        let sample = SAMPLE * self.places.len().max(1);
        let count = self.counts.entry(object).or_default();
        *count = (*count + 1).min(COUNT_MAX);
        self.counted += 1;
        if self.counted >= sample {
            self.counted = sample / 2;
            self.counts.values_mut().for_each(|count| *count /= 2);
            self.counts.retain(|_, count| *count > 0);
        }
    }

    fn counted(&self, object: u64) -> u32 {
        self.counts.get(&object).copied().unwrap_or(0)
    }

    fn oldest(&self, queue: usize) -> Option<u64> {
        self.queues[queue].values().next().copied()
    }

    fn put(&mut self, queue: usize, object: u64) {
        self.take_out(object);
        self.now += 1;
        self.queues[queue].insert(self.now, object);
        self.places.insert(object, (queue, self.now));
    }

    fn take_out(&mut self, object: u64) {
        if let Some((queue, time)) = self.places.remove(&object) {
            self.queues[queue].remove(&time);
        }
    }
}
