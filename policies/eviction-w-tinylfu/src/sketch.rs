//! `Sketch`: how often each file was asked for lately, roughly, in half a byte for each of four guesses.
//!
//! A count-min sketch with conservative update (G. Cormode and S. Muthukrishnan, "An improved data stream
//! summary: the count-min sketch and its applications", 2005) whose counters are halved once a sample has been
//! counted (G. Einziger, R. Friedman and B. Manes, "TinyLFU: a highly efficient cache admission policy", ACM
//! Transactions on Storage 13(4), 2017, section 3.3). An estimate is never too low, but for what was halved.
//!
//! A sample is ten requests for each cached copy, whatever the length of the table: a longer one remembers what
//! is out of fashion for too long, and then a larger cache misses more than a small one.

use dataverse_sdk::mix;

/// Counters go up to this.
pub(crate) const COUNT_MAX: u8 = 15;
/// Words at first, a power of two as ever. A word holds sixteen counters: four for each guess.
const WORDS_MIN: usize = 64;
/// Words at most, 8 MiB. A larger cache gets worse estimates.
const WORDS_MAX: usize = 1 << 20;
/// Guesses, each with a hash of its own; the lowest is the estimate.
const GUESSES: u32 = 4;
/// Requests of a sample for each cached copy, after which all counts are halved. What takes a larger share of
/// such a sample than its place in the cache is worth needs no higher count than this (section 3.4.1), so half a
/// byte holds it.
const SAMPLE: usize = 10;
/// So many times the words that are needed is too long a table.
const NARROW_TIMES: usize = 4;

/// How often each file was asked for lately.
pub(crate) struct Sketch {
    words: Vec<u64>,
    /// Requests since the last halving, and half a sample from before it.
    counted: usize,
}

impl Sketch {
    pub(crate) fn new() -> Self {
        Self {
            words: vec![0; WORDS_MIN],
            counted: 0,
        }
    }

    /// Makes it wide enough for so many cached copies. That changes no sample.
    ///
    /// A file's words in a table twice as long are those in the short one, or as far behind its end. So what is
    /// known is written twice, and every estimate stays what it was.
    pub(crate) fn widen(&mut self, copies: usize) {
        while self.words.len() < copies.min(WORDS_MAX) {
            self.words.extend_from_within(..);
        }
    }

    /// Counts a request to a cache of so many copies.
    ///
    /// Where copies differ in size, their number changes with what is cached, and the sample with it. A sample
    /// that became shorter ends at once and the next one is whole, so nothing is halved twice for it.
    pub(crate) fn count(&mut self, file: u64, copies: usize) {
        let estimate = self.estimate(file);
        if estimate < COUNT_MAX {
            for (word, shift) in places(file, self.words.len()) {
                if counter(self.words[word], shift) == estimate {
                    self.words[word] += 1 << shift;
                }
            }
        }
        self.counted += 1;
        let sample = SAMPLE.saturating_mul(copies.max(1));
        if self.counted >= sample {
            self.counted = sample / 2;
            self.narrow(copies);
            self.words.iter_mut().for_each(|word| *word = halved(*word));
        }
    }

    /// Makes it shorter if it is far too long for so many cached copies, as when many small files made way for a few
    /// large ones. The next halving is a few requests for each copy away, and a table that stayed long would make each
    /// of them pay for many words. What is a few times as long stays, so that nothing is folded and widened in turn.
    ///
    /// Each half holds what the other does not, and a file's words in the short table are those that it had in either.
    /// The larger of two counters stands for both, so no estimate falls.
    fn narrow(&mut self, copies: usize) {
        let needed = copies.clamp(WORDS_MIN, WORDS_MAX).next_power_of_two();
        if self.words.len() <= NARROW_TIMES * needed {
            return;
        }
        while self.words.len() > needed {
            let behind = self.words.split_off(self.words.len() / 2);
            for (word, other) in self.words.iter_mut().zip(behind) {
                *word = larger(*word, other);
            }
        }
        self.words.shrink_to_fit();
    }

    /// How often this file was asked for, [`COUNT_MAX`] at most.
    pub(crate) fn estimate(&self, file: u64) -> u8 {
        let guesses = places(file, self.words.len());
        let counts = guesses.map(|(word, shift)| counter(self.words[word], shift));
        counts.min().unwrap_or(0)
    }
}

/// The word and the shift of each guess.
fn places(file: u64, words: usize) -> impl Iterator<Item = (usize, u32)> {
    let even = mix(file);
    // Two hashes make four (A. Kirsch and M. Mitzenmacher, "Less hashing, same performance", 2006).
    let (first, step) = (even as u32, (even >> 32) as u32 | 1);
    (0..GUESSES).map(move |guess| {
        let hash = first.wrapping_add(guess.wrapping_mul(step));
        // The length is a power of two. Which of the guess's four counters: bits that no word number uses.
        let word = hash as usize & (words - 1);
        let counter = guess * 4 + (mix(u64::from(hash)) >> 62) as u32;
        (word, counter * 4)
    })
}

const fn counter(word: u64, shift: u32) -> u8 {
    (word >> shift) as u8 & COUNT_MAX
}

const fn halved(word: u64) -> u64 {
    (word >> 1) & 0x7777_7777_7777_7777
}

/// Of each two counters of these words the larger, eight at a time.
const fn larger(one: u64, other: u64) -> u64 {
    const EVERY_OTHER: u64 = 0x0f0f_0f0f_0f0f_0f0f;
    let odd = larger_bytes((one >> 4) & EVERY_OTHER, (other >> 4) & EVERY_OTHER);
    larger_bytes(one & EVERY_OTHER, other & EVERY_OTHER) | (odd << 4)
}

/// Of each two bytes the larger, where none is over [`COUNT_MAX`].
const fn larger_bytes(one: u64, other: u64) -> u64 {
    const HIGHEST_BITS: u64 = 0x8080_8080_8080_8080;
    // A byte keeps its highest bit unless the other byte is larger, and borrows nothing from the next.
    let kept = ((one | HIGHEST_BITS) - other) & HIGHEST_BITS;
    let of_one = (kept >> 7) * COUNT_MAX as u64;
    (one & of_one) | (other & !of_one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_counted_up_to_fifteen() {
        let mut sketch = Sketch::new();
        let counts: Vec<u8> = (0..20)
            .map(|_| {
                sketch.count(7, 100);
                sketch.estimate(7)
            })
            .collect();
        assert_eq!(counts[..3], [1, 2, 3]);
        assert_eq!(counts[14..], [15; 6]);
        assert_eq!(sketch.estimate(8), 0);
    }

    #[test]
    fn estimates_are_hardly_ever_too_high_and_never_too_low() {
        let mut sketch = Sketch::new();
        sketch.widen(1024);
        // As many files as words, the file n asked for n mod 5 times.
        for file in 0..1024 {
            (0..file % 5).for_each(|_| sketch.count(file, 1024));
        }
        let above = |file: u64| i64::from(sketch.estimate(file)) - (file % 5) as i64;
        assert!((0..1024).all(|file| above(file) >= 0));
        let wrong = (0..1024).filter(|&file| above(file) > 0).count();
        assert!(wrong < 20, "{wrong} of 1024");
    }

    #[test]
    fn a_sample_is_ten_requests_for_each_copy_and_then_all_are_halved() {
        for copies in [1, 3, 10, 64, 65, 100, 1_000, 6_400, 100_000] {
            let mut sketch = Sketch::new();
            sketch.widen(copies);
            let estimates = |sketch: &Sketch| (sketch.estimate(1), sketch.estimate(2));
            (0..8).for_each(|_| sketch.count(1, copies));
            // What is counted fifteen times changes nothing but the sample.
            (8..10 * copies - 1).for_each(|_| sketch.count(2, copies));
            let last = (10 * copies - 9).min(15) as u8;
            assert_eq!(estimates(&sketch), (8, last), "{copies} copies");
            sketch.count(2, copies);
            let last = (last + 1).min(15);
            assert_eq!(estimates(&sketch), (4, last / 2), "{copies} copies");
            // The next halving is half a sample away.
            (1..5 * copies).for_each(|_| sketch.count(2, copies));
            assert_eq!(sketch.estimate(1), 4, "{copies} copies");
            sketch.count(2, copies);
            assert_eq!(sketch.estimate(1), 2, "{copies} copies");
        }
    }

    #[test]
    fn a_cache_that_shrinks_halves_once_and_not_over_and_over() {
        let mut sketch = Sketch::new();
        (0..900).for_each(|_| sketch.count(1, 100));
        sketch.count(1, 10);
        assert_eq!(sketch.estimate(1), 7);
        (0..49).for_each(|_| sketch.count(2, 10));
        assert_eq!(sketch.estimate(1), 7);
        sketch.count(2, 10);
        assert_eq!(sketch.estimate(1), 3);
    }

    #[test]
    fn a_wider_sketch_knows_the_same() {
        let mut sketch = Sketch::new();
        (0..200).for_each(|file| sketch.count(file % 50, 50));
        let known =
            |sketch: &Sketch| -> Vec<u8> { (0..60).map(|file| sketch.estimate(file)).collect() };
        let before = known(&sketch);
        sketch.widen(1000);
        assert_eq!((sketch.words.len(), known(&sketch)), (1024, before));
    }

    #[test]
    fn of_two_words_the_larger_counters_stay() {
        assert_eq!(larger(0xf0_12, 0x0f_21), 0xff_22);
        assert_eq!(larger(u64::MAX, 0), u64::MAX);
        assert_eq!(larger(0, u64::MAX), u64::MAX);
        for (one, other) in [(mix(1), mix(2)), (mix(3), mix(4))] {
            for shift in (0..u64::BITS).step_by(4) {
                let expected = counter(one, shift).max(counter(other, shift));
                assert_eq!(counter(larger(one, other), shift), expected);
            }
        }
    }

    #[test]
    fn a_table_that_is_far_too_long_is_folded_at_a_halving_and_no_estimate_falls() {
        let mut sketch = Sketch::new();
        sketch.widen(4096);
        (0..2000_u64).for_each(|file| (0..file % 5).for_each(|_| sketch.count(file, 4096)));
        let known =
            |sketch: &Sketch| -> Vec<u8> { (0..2000).map(|file| sketch.estimate(file)).collect() };
        let before = known(&sketch);
        // Far more requests were counted than a sample of so few copies has.
        sketch.count(0, 100);
        assert_eq!(sketch.words.len(), 128);
        let mut kept = known(&sketch).into_iter().zip(before);
        assert!(kept.all(|(now, before)| now >= before / 2));
    }

    #[test]
    fn a_table_that_is_a_few_times_too_long_stays_as_it_is() {
        let mut sketch = Sketch::new();
        sketch.widen(512);
        (0..5_000).for_each(|_| sketch.count(1, 100));
        assert_eq!(sketch.words.len(), 512);
    }

    #[test]
    fn it_is_bounded() {
        let mut sketch = Sketch::new();
        sketch.widen(usize::MAX);
        assert_eq!(sketch.words.len(), WORDS_MAX);
    }
}
