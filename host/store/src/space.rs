//! `Space`: accounts for the bytes that a store uses, has reserved and may still take.
//!
//! Every byte is counted once: as a replica, as a cached copy, or in a [`Reservation`]. Bytes are reserved before
//! they are written, so a write that would not fit is refused before anything is lost. One hundredth of the
//! capacity is never handed out: deletions and the index need space on a full disk, too.

use std::path::PathBuf;
use std::sync::Arc;

use dataverse_core::holdings::{Holding, Role};
use dataverse_core::limits::STORE_RESERVE_DIVISOR;
use dataverse_core::plural::plural;
use parking_lot::Mutex;

use super::{StoreError, Usage};
use crate::limits;

/// The space account of one store.
#[derive(Debug)]
pub(super) struct Space {
    capacity: Option<u64>,
    /// The folder whose disk must have the space as well.
    folder: Option<PathBuf>,
    used: Mutex<Used>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Used {
    replicas: u64,
    cached: u64,
    reserved: u64,
    /// The part of `reserved` that already takes up disk space.
    written: u64,
}

impl Used {
    fn on_disk(self) -> u64 {
        self.replicas + self.cached + self.written
    }

    fn promised(self) -> u64 {
        self.replicas + self.cached + self.reserved
    }

    fn of(&mut self, role: Role) -> &mut u64 {
        match role {
            Role::Replica => &mut self.replicas,
            Role::Cached => &mut self.cached,
        }
    }
}

impl Space {
    /// An account over this many bytes, or over what the disk of `folder` offers.
    pub(super) fn new(capacity: Option<u64>, folder: Option<PathBuf>) -> Arc<Self> {
        Arc::new(Self {
            capacity,
            folder,
            used: Mutex::default(),
        })
    }

    /// Reserves this many bytes.
    pub(super) fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Reservation, StoreError> {
        let mut reservation = Reservation {
            space: Arc::clone(self),
            bytes: 0,
            written: 0,
        };
        reservation.grow(bytes)?;
        Ok(reservation)
    }

    /// Accounts for a change of a holding.
    pub(super) fn changed(&self, before: Option<&Holding>, after: Option<&Holding>) {
        let mut used = self.used.lock();
        if let Some(after) = after.filter(|holding| !holding.record.deleted) {
            *used.of(after.role) += after.record.size;
        }
        if let Some(before) = before.filter(|holding| !holding.record.deleted) {
            *used.of(before.role) -= before.record.size;
        }
    }

    /// What is used.
    pub(super) fn usage(&self) -> Usage {
        let used = *self.used.lock();
        Usage {
            capacity: self.capacity_with(used).0,
            replicas: used.replicas,
            cached: used.cached,
            reserved: used.reserved,
        }
    }

    /// The bytes that the store may use, and whether the disk is what limits them.
    fn capacity_with(&self, used: Used) -> (u64, bool) {
        let on_disk = self.disk_free().map(|free| used.on_disk() + free);
        match (self.capacity, on_disk) {
            (Some(capacity), Some(disk)) => (capacity.min(disk), disk < capacity),
            (Some(capacity), None) => (capacity, false),
            (None, Some(disk)) => (disk, false),
            (None, None) => (u64::MAX, false),
        }
    }

    fn disk_free(&self) -> Option<u64> {
        let disk = rustix::fs::statvfs(self.folder.as_ref()?).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    fn promise(&self, bytes: u64) -> Result<(), StoreError> {
        let mut used = self.used.lock();
        let (capacity, disk_bound) = self.capacity_with(*used);
        let limit = capacity - capacity / STORE_RESERVE_DIVISOR;
        let short = used.promised().saturating_add(bytes).saturating_sub(limit);
        if short == 0 {
            used.reserved += bytes;
            return Ok(());
        }
        // Evicting helps as long as there is something to evict.
        match &self.folder {
            Some(_) if disk_bound && used.cached == 0 => Err(StoreError::DiskFull(format!(
                "the data folder has {} too few",
                plural(short, "byte", "bytes")
            ))),
            _ => Err(StoreError::NoSpace { short }),
        }
    }
}

/// Bytes reserved for one write; freed when dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    space: Arc<Space>,
    bytes: u64,
    written: u64,
}

impl Reservation {
    /// Extends the reservation to `total` bytes. For an unknown size it grows in steps, so that not every write has
    /// to ask. A step is at most as large as what is there already, so that little content reserves little.
    pub(super) fn cover(&mut self, total: u64) -> Result<(), StoreError> {
        if total <= self.bytes {
            return Ok(());
        }
        let needed = total - self.bytes;
        // Close to the limit a whole step may not fit where the bytes themselves do.
        let step = total.min(limits::SPOOL_SPACE_STEP_BYTES);
        self.grow(needed.max(step)).or_else(|_| self.grow(needed))
    }

    /// Notes that `total` bytes of the reservation take up disk space by now.
    pub(super) fn wrote(&mut self, total: u64) {
        let total = total.min(self.bytes);
        self.space.used.lock().written += total - self.written;
        self.written = total;
    }

    /// Frees what exceeds `total` bytes.
    pub(super) fn shrink(&mut self, total: u64) {
        self.space.used.lock().reserved -= self.bytes.saturating_sub(total);
        self.bytes = self.bytes.min(total);
    }

    fn grow(&mut self, bytes: u64) -> Result<(), StoreError> {
        self.space.promise(bytes)?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut used = self.space.used.lock();
        used.reserved -= self.bytes;
        used.written -= self.written;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundredth_is_never_promised() {
        let space = Space::new(Some(1_000), None);
        assert!(matches!(
            space.reserve(991),
            Err(StoreError::NoSpace { short: 1 })
        ));
        let all = space.reserve(990).expect("all but a hundredth fits");
        assert!(space.reserve(1).is_err());
        drop(all);
        assert_eq!(space.usage().reserved, 0);
    }

    #[test]
    fn a_promise_grows_in_steps_and_by_the_bytes_when_the_step_does_not_fit() {
        let space = Space::new(Some(100 << 20), None);
        let mut one = space.reserve(0).expect("nothing fits");
        one.cover(1).expect("a byte fits");
        assert_eq!(space.usage().reserved, 1, "a byte reserves no whole step");
        one.cover(limits::SPOOL_SPACE_STEP_BYTES)
            .expect("a step fits");
        assert_eq!(space.usage().reserved, limits::SPOOL_SPACE_STEP_BYTES + 1);
        let mut rest = space.reserve(90 << 20).expect("it fits");
        rest.cover((90 << 20) + 5).expect("five bytes fit");
        assert_eq!(
            space.usage().reserved,
            limits::SPOOL_SPACE_STEP_BYTES + 1 + (90 << 20) + 5
        );
        one.shrink(1);
        assert_eq!(space.usage().reserved, (90 << 20) + 6);
    }
}
