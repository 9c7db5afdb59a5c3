//! Draining: a node moves its replicas elsewhere and can then be stopped. Nothing is placed on it meanwhile.
//!
//! `rereplication` moves the replicas; here it is decided whether the node may be drained. That is refused if the
//! other nodes lack space, or if a file would be left with fewer copies; the error says how much is missing.
//! Draining is durable and continues after a restart.

use std::sync::Arc;

use dataverse_core::key::Key;
use dataverse_core::plural::plural;
use dataverse_core::record::Record;
use dataverse_core::relayout;

use crate::driver::Driver;
use crate::driver::client::api::{DrainError, DrainStatus};

/// Why this node can't be drained.
#[derive(Default)]
struct Lack {
    /// Bytes that the other nodes would have to take.
    bytes: u64,
    /// Files for which there are too few other nodes.
    stuck: u64,
    /// One of them.
    example: Option<Key>,
    /// A file that fits on none of its candidates, and how many bytes the one with the most space is short of.
    too_large: Option<(Key, u64)>,
}

impl Driver {
    /// Starts draining this node, or continues.
    ///
    /// # Errors
    /// [`DrainError`], with what is missing.
    pub async fn drain(&self) -> Result<DrainStatus, DrainError> {
        if !self.lifetime.now().draining {
            self.check_space_elsewhere().await?;
            self.set_draining(true).await?;
            tracing::info!("draining this node");
        }
        Ok(self.drain_status())
    }

    /// Stops draining: the node takes replicas again. What has moved stays where it is.
    ///
    /// # Errors
    /// [`DrainError::Failed`].
    pub async fn undrain(&self) -> Result<DrainStatus, DrainError> {
        if self.lifetime.now().draining {
            self.set_draining(false).await?;
            tracing::info!("draining was cancelled; this node takes replicas again");
        }
        Ok(self.drain_status())
    }

    /// Progress of draining.
    #[must_use]
    pub fn drain_status(&self) -> DrainStatus {
        let left = self.state.node().replicas();
        let draining = self.lifetime.now().draining;
        DrainStatus {
            draining,
            drained: draining && left.files == 0 && self.rereplication.found_this_node_empty(),
            left,
        }
    }

    async fn set_draining(&self, draining: bool) -> Result<(), DrainError> {
        let changed = self
            .change_life(|lifetime| lifetime.draining = draining)
            .await;
        changed.map_err(|error| DrainError::Failed(error.to_string()))?;
        self.rereplication.drain_changed();
        self.publish_status();
        self.rereplication.look_soon();
        Ok(())
    }

    async fn check_space_elsewhere(&self) -> Result<(), DrainError> {
        let others = self.candidates(0).into_iter();
        let others: Vec<_> = others.filter(|other| other.id != self.me.id).collect();
        let free = others
            .iter()
            .fold(0u64, |free, other| free.saturating_add(other.view.free));
        let mut lack = Lack::default();
        let mut after = None;
        loop {
            let page = self.state.node().replicas_after(after.as_ref());
            // A tombstone has to stay on some other node; a single one suffices.
            let alone = others.is_empty();
            let matters = |record: &&Arc<Record>| alone || !record.deleted;
            for record in page.items.iter().filter(matters) {
                let standing = |id| self.standing_of(id);
                let Some(need) = relayout::need(record, self.me.id, true, standing) else {
                    continue;
                };
                let without = others.iter().filter(|other| !record.layout.names(other.id));
                let most_free = without.clone().map(|other| other.view.free).max();
                let takers = without.filter(|other| other.view.free >= record.size);
                let takers = takers.take(need.wanted).count();
                lack.bytes = lack
                    .bytes
                    .saturating_add(record.size.saturating_mul(takers as u64));
                if need.keep.len() + takers >= need.holders_min {
                    continue;
                }
                match most_free.map(|free| record.size.saturating_sub(free)) {
                    Some(short) if short > 0 => {
                        lack.too_large.get_or_insert((record.key.clone(), short));
                    }
                    _ => {
                        lack.stuck += 1;
                        lack.example.get_or_insert_with(|| record.key.clone());
                    }
                }
            }
            after = page.resume_after;
            if after.is_none() {
                break;
            }
            tokio::task::yield_now().await;
        }
        if let Some(example) = lack.example {
            return Err(DrainError::Refused(format!(
                "{}, {example} among them, would be left with fewer copies: {} take replicas; add a node within placement.radius, then drain again",
                plural(lack.stuck, "file", "files"),
                plural(others.len() as u64, "other node can", "other nodes can")
            )));
        }
        if let Some((key, short)) = lack.too_large {
            return Err(DrainError::Refused(format!(
                "no other node has space for {key}: on the one with the most space {} missing; add a node or space, then drain again",
                plural(short, "byte is", "bytes are")
            )));
        }
        if lack.bytes > free {
            return Err(DrainError::Refused(format!(
                "the other nodes have too little space: {} to move, {} free, {} missing; add a node or space, then drain again",
                plural(lack.bytes, "byte is", "bytes are"),
                plural(free, "is", "are"),
                plural(lack.bytes - free, "is", "are")
            )));
        }
        Ok(())
    }
}
