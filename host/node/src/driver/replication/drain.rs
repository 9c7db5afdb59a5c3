//! Emptying a node: it moves its replicas elsewhere, then it can be stopped. Meanwhile nothing is placed on it.
//!
//! The moving itself is repair's. A node is only drained when the others have room for what it holds and no file would be left
//! with fewer copies; it says how much is missing otherwise. That it drains is durable, so a restart
//! goes on with it.

use std::sync::Arc;

use dataverse_core::key::Key;
use dataverse_core::plural::plural;
use dataverse_core::record::Record;
use dataverse_core::relayout;

use crate::driver::Driver;
use crate::driver::client::api::{DrainError, DrainStatus};

/// What stands in the way of emptying this node.
#[derive(Default)]
struct Lack {
    /// Bytes that the others would have to take.
    bytes: u64,
    /// Files for which there are too few other nodes.
    stuck: u64,
    /// One of them.
    example: Option<Key>,
    /// A file for which no node that could take it has room, and how much the roomiest is short of.
    too_large: Option<(Key, u64)>,
}

impl Driver {
    /// Begins to empty this node, or goes on with it.
    ///
    /// # Errors
    /// [`DrainError`], with what is missing.
    pub async fn drain(&self) -> Result<DrainStatus, DrainError> {
        if !self.lifetime.now().draining {
            self.check_room_elsewhere().await?;
            self.set_draining(true).await?;
            tracing::info!("this node is being emptied");
        }
        Ok(self.drain_status())
    }

    /// Ends the emptying: the node takes replicas again. What has moved stays where it is.
    ///
    /// # Errors
    /// [`DrainError::Failed`].
    pub async fn undrain(&self) -> Result<DrainStatus, DrainError> {
        if self.lifetime.now().draining {
            self.set_draining(false).await?;
            tracing::info!("this node takes replicas again");
        }
        Ok(self.drain_status())
    }

    /// How far the emptying is.
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
        self.rereplication.drain_begins();
        self.publish_status();
        self.rereplication.look_soon();
        Ok(())
    }

    async fn check_room_elsewhere(&self) -> Result<(), DrainError> {
        let others = self.candidates(0).into_iter();
        let others: Vec<_> = others.filter(|other| other.id != self.me.id).collect();
        let free = others
            .iter()
            .fold(0u64, |free, other| free.saturating_add(other.view.free));
        let mut lack = Lack::default();
        let mut after = None;
        loop {
            let page = self.state.node().replicas_after(after.as_ref());
            // Somebody has to remember what is deleted, too; one who does suffices.
            let alone = others.is_empty();
            let matters = |record: &&Arc<Record>| alone || !record.deleted;
            for record in page.records.iter().filter(matters) {
                let standing = |id| self.standing_of(id);
                let Some(need) = relayout::need(record, self.me.id, true, standing) else {
                    continue;
                };
                let without = others.iter().filter(|other| !record.layout.names(other.id));
                let roomiest = without.clone().map(|other| other.view.free).max();
                let takers = without.filter(|other| other.view.free >= record.size);
                let takers = takers.take(need.wanted).count();
                lack.bytes = lack
                    .bytes
                    .saturating_add(record.size.saturating_mul(takers as u64));
                if need.keep.len() + takers >= need.holders_min {
                    continue;
                }
                match roomiest.map(|free| record.size.saturating_sub(free)) {
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
                "{}, {example} among them, would be left with fewer copies: {} take replicas; add a node within reach, then drain again",
                plural(lack.stuck, "file", "files"),
                plural(others.len() as u64, "other node can", "other nodes can")
            )));
        }
        if let Some((key, short)) = lack.too_large {
            return Err(DrainError::Refused(format!(
                "no other node has room for {key}: {} missing where there is most; add a node or room, then drain again",
                plural(short, "byte is", "bytes are")
            )));
        }
        if lack.bytes > free {
            return Err(DrainError::Refused(format!(
                "the other nodes have no room: {} to move, {} free, {} missing; add a node or room, then drain again",
                plural(lack.bytes, "byte is", "bytes are"),
                plural(free, "is", "are"),
                plural(lack.bytes - free, "is", "are")
            )));
        }
        Ok(())
    }
}
