//! Seeds: one for the run, from which the seed of everything random in it is derived by name.
//!
//! A derived seed depends only on the run's seed and the name. All policies of an experiment therefore see the
//! same requests (paired runs), and a single repetition can be run again.

/// Derives the seed of the thing with these names from `seed`.
///
/// ```
/// use dataverse_lab::seed::derive;
/// assert_ne!(derive(7, &["workload", "0"]), derive(7, &["workload", "1"]));
/// assert_ne!(derive(7, &["ab", "c"]), derive(7, &["a", "bc"]));
/// ```
#[must_use]
pub fn derive(seed: u64, names: &[&str]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    for name in names {
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
    }
    let hash = hasher.finalize();
    let (first, _) = hash.as_bytes().split_at(8);
    u64::from_le_bytes(first.try_into().expect("a digest has at least eight bytes"))
}
