//! Seeds: one for the run, and one for everything in it that draws, derived by name.
//!
//! What is derived depends on the run's seed and the name only, so that all policies of an experiment meet the
//! same requests (paired), and a repetition can be run again by itself.

/// The seed of the thing that goes by these names, under `seed`.
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
    u64::from_le_bytes(first.try_into().expect("eight bytes"))
}
