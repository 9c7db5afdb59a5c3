//! Che's approximation: LRU's miss ratio if each request is independent of the requests before it.
//!
//! H. Che, Y. Tung and Z. Wang, "Hierarchical Web caching systems: modeling, design and experimental results",
//! IEEE JSAC 20(7), 2002. An object stays cached for the *characteristic time* T after each request, the same for
//! all objects. A request for an object of popularity p is then a hit with probability 1 - exp(-p T), and T is
//! such that the expected number of cached objects is the capacity. Why it is so accurate: C. Fricker, P. Robert
//! and J. Roberts, "A versatile and accurate approximation for LRU cache performance", ITC 24, 2012.

/// Maximum difference between the expected number of cached objects and the capacity.
const TOLERANCE: f64 = 1e-9;

/// Popularity by Zipf's law with exponent 1: the share of requests for each object.
#[must_use]
pub fn zipf(objects: u32) -> Vec<f64> {
    let sum: f64 = (1..=objects).map(|rank| 1.0 / f64::from(rank)).sum();
    let share = |rank: u32| 1.0 / (f64::from(rank) * sum);
    (1..=objects).map(share).collect()
}

/// LRU's long-run miss ratio with space for `capacity` of these objects, which have the same size. `popularity` is
/// each object's share of the requests.
///
/// ```
/// use dataverse_lab::single::che;
///
/// let even = vec![0.01; 100];
/// assert!((che::lru_miss(&even, 25) - 0.75).abs() < 1e-6);
/// ```
#[must_use]
pub fn lru_miss(popularity: &[f64], capacity: u64) -> f64 {
    if capacity >= popularity.len() as u64 {
        return 0.0;
    }
    let time = characteristic_time(popularity, capacity as f64);
    let missed = popularity
        .iter()
        .map(|&share| share * libm::exp(-share * time));
    missed.sum()
}

/// The time, in requests, for which an object stays cached.
fn characteristic_time(popularity: &[f64], capacity: f64) -> f64 {
    let cached = |time: f64| -> f64 {
        let shares = popularity.iter();
        shares.map(|&share| -libm::expm1(-share * time)).sum()
    };
    // A request caches at most one object, so the time is at least the capacity.
    let (mut low, mut high) = (0.0, capacity.max(1.0));
    while cached(high) < capacity && high < f64::MAX / 2.0 {
        (low, high) = (high, 2.0 * high);
    }
    loop {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high || high - low < TOLERANCE {
            return middle;
        }
        match cached(middle) < capacity {
            true => low = middle,
            false => high = middle,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_never_takes_no_room() {
        let mut popularity = vec![0.25; 4];
        popularity.extend([0.0; 96]);
        // Only four objects are ever requested, so space for five is never full.
        assert!(lru_miss(&popularity, 5) < 1e-9);
        assert!((lru_miss(&popularity, 2) - 0.5).abs() < 1e-6);
    }

    #[test]
    fn no_room_misses_all_and_room_for_all_nothing() {
        let popularity = zipf(50);
        assert!((popularity.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!((lru_miss(&popularity, 0) - 1.0).abs() < 1e-6);
        assert_eq!(lru_miss(&popularity, 50), 0.0);
    }
}
