//! `Sketch`: estimates how often each file was requested recently, with half a byte for each of four guesses.
//!
//! A count-min sketch with conservative update (G. Cormode and S. Muthukrishnan, "An improved data stream summary:
//! the count-min sketch and its applications", 2005) whose counters are halved after each sample (G. Einziger, R.
//! Friedman and B. Manes, "TinyLFU: a highly efficient cache admission policy", ACM Transactions on Storage 13(4),
//! 2017, section 3.3). Except for halving, an estimate is never too low.
//!
//! A sample is ten requests per cached copy, whatever the size of the table. A longer sample remembers files too
//! long after they became unpopular, and then a larger cache has more misses than a small one.

use dataverse_sdk::mix;

/// The maximum of a counter.
pub(crate) const COUNT_MAX: u8 = 15;
/// Initial number of words; always a power of two. A word holds sixteen counters: four per guess.
const WORDS_MIN: usize = 64;
/// Maximum number of words, 8 MiB. In a larger cache the estimates get worse.
const WORDS_MAX: usize = 1 << 20;
/// The number of guesses, each with its own hash; the lowest is the estimate.
const GUESSES: u32 = 4;
/// Requests per cached copy in a sample, after which all counts are halved. A file that takes a larger share of
/// such a sample than its place in the cache is worth needs no higher count than the maximum (section 3.4.1), so
/// half a byte is enough.
const SAMPLE: usize = 10;
/// A table with this many times the words needed is too long.
const NARROW_TIMES: usize = 4;

/// How often each file was requested recently.
pub(crate) struct Sketch {
    words: Vec<u64>,
    /// Requests since the last halving, plus half a sample from before it.
    counted: usize,
}

impl Sketch {
    pub(crate) fn new() -> Self {
        Self {
            words: vec![0; WORDS_MIN],
            counted: 0,
        }
    }

    /// Grows the table for this many cached copies. The sample does not change.
    ///
    /// A file's words in a table of twice the length are at the same positions, or at those positions in the
    /// second half. So the contents are duplicated, and every estimate stays the same.
    pub(crate) fn widen(&mut self, copies: usize) {
        while self.words.len() < copies.min(WORDS_MAX) {
            self.words.extend_from_within(..);
        }
    }

    /// Counts a request to a cache of this many copies.
    ///
    /// If copies differ in size, their number changes with what is cached, and the sample with it. A sample that
    /// became shorter ends immediately and the next one is complete, so nothing is halved twice.
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

    /// Shrinks the table if it is far too long for this many cached copies, for example after many small files
    /// gave way to a few large ones. Halvings are then only a few requests per copy apart, and each would have to
    /// process a long table. A table that is only a few times too long is kept, so that it does not shrink and
    /// grow repeatedly.
    ///
    /// Each half holds what the other does not, and a file's words in the short table are those that it had in
    /// either half. The larger of two counters is kept, so no estimate falls.
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

    /// The estimated number of requests for this file, at most [`COUNT_MAX`].
    pub(crate) fn estimate(&self, file: u64) -> u8 {
        let guesses = places(file, self.words.len());
        let counts = guesses.map(|(word, shift)| counter(self.words[word], shift));
        counts.min().unwrap_or(0)
    }
}

/// The word and the shift of each guess.
fn places(file: u64, words: usize) -> impl Iterator<Item = (usize, u32)> {
    let even = mix(file);
    // Two hashes are enough for four (A. Kirsch and M. Mitzenmacher, "Less hashing, same performance", 2006).
    let (first, step) = (even as u32, (even >> 32) as u32 | 1);
    (0..GUESSES).map(move |guess| {
        let hash = first.wrapping_add(guess.wrapping_mul(step));
        // The length is a power of two. The guess's counter among four is chosen by bits that the word index does
        // not use.
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

/// The larger of each pair of counters in these words, eight at a time.
const fn larger(one: u64, other: u64) -> u64 {
    const EVERY_OTHER: u64 = 0x0f0f_0f0f_0f0f_0f0f;
    let odd = larger_bytes((one >> 4) & EVERY_OTHER, (other >> 4) & EVERY_OTHER);
    larger_bytes(one & EVERY_OTHER, other & EVERY_OTHER) | (odd << 4)
}

/// The larger of each pair of bytes, none of which exceeds [`COUNT_MAX`].
const fn larger_bytes(one: u64, other: u64) -> u64 {
    const HIGHEST_BITS: u64 = 0x8080_8080_8080_8080;
    // A byte keeps its highest bit unless the other byte is larger, and never borrows from the next byte.
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
        // As many files as words; file n is requested n mod 5 times.
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
            // A counter that is at its maximum changes only the sample.
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
        // Many more requests were counted than are in a sample for so few copies.
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
