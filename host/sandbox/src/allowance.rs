//! `Allowance`: how much memory and how many tables and core instances one policy instance may have.

use wasmtime::ResourceLimiter;

use crate::limits;

/// Counts what an instance uses and denies what exceeds the limit. Remembers a denial, because the trap that
/// usually follows is caused by it.
pub(crate) struct Allowance {
    memory_bytes_max: usize,
    memory_bytes: usize,
    table_elements: usize,
    denied: bool,
}

impl Allowance {
    pub(crate) fn new(memory_mib: u64) -> Self {
        let bytes = memory_mib.saturating_mul(1 << 20);
        Self {
            memory_bytes_max: usize::try_from(bytes).unwrap_or(usize::MAX),
            memory_bytes: 0,
            table_elements: 0,
            denied: false,
        }
    }

    /// Whether anything was denied since the last call of [`Allowance::forget_denial`].
    pub(crate) fn denied(&self) -> bool {
        self.denied
    }

    pub(crate) fn forget_denial(&mut self) {
        self.denied = false;
    }
}

/// `held` after growing from `current` to `desired`; `None` if that exceeds `most`.
fn grown(held: usize, current: usize, desired: usize, most: usize) -> Option<usize> {
    let more = desired.saturating_sub(current);
    held.checked_add(more).filter(|&sum| sum <= most)
}

impl ResourceLimiter for Allowance {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // A memory never grows beyond its own maximum, whatever the answer, so such growth must not be counted.
        let within = maximum.is_none_or(|maximum| desired <= maximum);
        let grown = grown(self.memory_bytes, current, desired, self.memory_bytes_max);
        self.denied |= grown.is_none();
        if let (Some(sum), true) = (grown, within) {
            self.memory_bytes = sum;
        }
        Ok(grown.is_some())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let within = maximum.is_none_or(|maximum| desired <= maximum);
        let most = limits::POLICY_TABLE_ELEMENTS_MAX;
        let grown = grown(self.table_elements, current, desired, most);
        self.denied |= grown.is_none();
        if let (Some(sum), true) = (grown, within) {
            self.table_elements = sum;
        }
        Ok(grown.is_some())
    }

    fn instances(&self) -> usize {
        limits::POLICY_INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        limits::POLICY_INSTANCES_MAX
    }

    fn memories(&self) -> usize {
        limits::POLICY_INSTANCES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn all_memories_together_stay_within_the_limit() {
        let mut allowance = Allowance::new(2);
        assert!(allowance.memory_growing(0, MIB, None).expect("it answers"));
        assert!(allowance.memory_growing(0, MIB, None).expect("it answers"));
        assert!(!allowance.denied());
        assert!(
            !allowance
                .memory_growing(MIB, MIB + 1, None)
                .expect("it answers")
        );
        assert!(allowance.denied());
    }

    #[test]
    fn what_a_memory_may_not_grow_to_anyway_is_not_counted() {
        let mut allowance = Allowance::new(2);
        allowance
            .memory_growing(0, 2 * MIB, Some(MIB))
            .expect("it answers");
        assert!(
            allowance
                .memory_growing(0, 2 * MIB, None)
                .expect("it answers")
        );
    }

    #[test]
    fn a_table_grows_to_the_limit_and_no_further() {
        let mut allowance = Allowance::new(1);
        let most = limits::POLICY_TABLE_ELEMENTS_MAX;
        assert!(allowance.table_growing(0, most, None).expect("it answers"));
        assert!(
            !allowance
                .table_growing(most, most + 1, None)
                .expect("it answers")
        );
        assert!(allowance.denied());
    }
}
