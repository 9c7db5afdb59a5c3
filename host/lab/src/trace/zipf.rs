//! The generated trace: a few objects are requested often, most hardly ever.
//!
//! Zipf's law with exponent 1, the same on every machine and in every language: no `pow`, a single splitmix64
//! (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014), sums from left to
//! right.

use super::{Op, Request};
use crate::limits;

/// The prefix of its description.
pub(super) const PREFIX: &str = "zipf:";

/// The parameters of a generated trace, which determine it completely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spec {
    pub(super) objects: u32,
    pub(super) requests: u64,
    pub(super) seed: u64,
}

impl Spec {
    /// Parses `OBJECTS,REQUESTS,SEED`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split(',').collect();
        let [objects, requests, seed] = fields[..] else {
            return Err("write a generated trace as zipf:OBJECTS,REQUESTS,SEED".to_owned());
        };
        let bounded = |text: &str, what: &str, most: u64| match text.trim().parse() {
            Ok(number) if (1..=most).contains(&number) => Ok(number),
            _ => Err(format!(
                "`{text}` is not a number of {what} from 1 to {most}"
            )),
        };
        let most = u64::from(limits::TRACE_ZIPF_OBJECTS_MAX);
        Ok(Self {
            objects: bounded(objects, "objects", most)? as u32,
            requests: bounded(requests, "requests", limits::TRACE_REQUESTS_MAX)?,
            seed: seed.trim().parse().map_err(|_| {
                format!(
                    "`{seed}` is not a seed; give a number from 0 to {}",
                    u64::MAX
                )
            })?,
        })
    }
}

/// An infinite stream of ids from 1; the `k`-th is requested in proportion to `1 / k`.
///
/// ```
/// use dataverse_lab::trace::{Zipf, file_size};
///
/// let ids: Vec<u64> = Zipf::new(10_000, 7).take(4).collect();
/// assert_eq!(ids, [25, 1, 3786, 169]);
/// assert_eq!(file_size(25), 131_072);
/// ```
#[derive(Clone, Debug)]
pub struct Zipf {
    /// The share of requests for the object of this index + 1 and all objects before it.
    cumulative: Vec<f64>,
    random: SplitMix,
}

impl Zipf {
    /// Requests for this many objects.
    ///
    /// # Panics
    /// When `objects` is 0.
    #[must_use]
    pub fn new(objects: u32, seed: u64) -> Self {
        assert!(objects > 0, "there must be an object to request");
        let mut sum = 0.0;
        let mut cumulative: Vec<f64> = (1..=objects)
            .map(|rank| {
                sum += 1.0 / f64::from(rank);
                sum
            })
            .collect();
        cumulative.iter_mut().for_each(|share| *share /= sum);
        Self {
            cumulative,
            random: SplitMix(seed),
        }
    }
}

impl Iterator for Zipf {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let point = (self.random.next() >> 11) as f64 / (1u64 << 53) as f64;
        let index = self.cumulative.partition_point(|&share| share < point);
        Some(index as u64 + 1)
    }
}

/// The bytes of an object as a file: a power of two from 1 KiB to 1 MiB that depends only on its id.
#[must_use]
pub fn file_size(id: u64) -> u64 {
    1024 << (SplitMix(id ^ 0xF11E5).next() % 11)
}

#[derive(Clone, Debug)]
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

/// The requests of a generated trace, one per millisecond.
pub(super) struct ZipfRequests {
    ids: Zipf,
    sizes: Vec<u64>,
    asked: u64,
    of: u64,
}

impl ZipfRequests {
    pub(super) fn new(spec: Spec) -> Self {
        Self {
            ids: Zipf::new(spec.objects, spec.seed),
            sizes: (1..=u64::from(spec.objects)).map(file_size).collect(),
            asked: 0,
            of: spec.requests,
        }
    }
}

impl Iterator for ZipfRequests {
    type Item = Request;

    fn next(&mut self) -> Option<Request> {
        if self.asked == self.of {
            return None;
        }
        self.asked += 1;
        let id = self.ids.next()?;
        Some(Request {
            time: self.asked,
            reader: 0,
            id,
            size: self.sizes[id as usize - 1],
            op: Op::Read,
            hops: 1,
            outcome: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trace_is_the_published_one() {
        let spec = Spec::parse("10000,1000000,7").expect("it is valid");
        let requests: Vec<Request> = ZipfRequests::new(spec).take(10).collect();
        let ids: Vec<u64> = requests.iter().map(|request| request.id).collect();
        assert_eq!(ids, [25, 1, 3786, 169, 47, 6, 55, 14, 2, 32]);
        let sizes: Vec<u64> = requests.iter().map(|request| request.size).collect();
        let published = [
            131_072, 1024, 65_536, 8192, 8192, 262_144, 2048, 8192, 1024, 262_144,
        ];
        assert_eq!(sizes, published);
    }

    #[test]
    fn it_has_as_many_requests_as_were_asked_for() {
        let spec = Spec::parse("3,17,1").expect("it is valid");
        assert_eq!(ZipfRequests::new(spec).count(), 17);
    }

    #[test]
    fn what_can_not_be_generated_is_refused() {
        for wrong in [
            "",
            "1,2",
            "1,2,3,4",
            "0,2,3",
            "1,0,3",
            "1,2,-3",
            "x,2,3",
            "99999999999,1,1",
        ] {
            assert!(Spec::parse(wrong).is_err(), "{wrong}");
        }
    }
}
