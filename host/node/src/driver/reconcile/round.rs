//! A round: compares the files that this node and another should both hold, and acts on what differs. It sends at
//! most [`MESSAGES_MAX`] messages; the rest waits for the next round.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dataverse_core::id::FileId;
use dataverse_core::limits::RECONCILE_ENTRIES_MAX;
use dataverse_core::reconcile::{BucketRange, Compared, DigestEntry};
use dataverse_core::record::Record;
use dataverse_core::search::Peer;
use dataverse_overlay::transport::{CallError, ReconcileAnswer, ReconcileAsk};

use super::{LAST_FILE, RoundOutcome, out_of_protocol};
use crate::driver::Driver;
use crate::limits;

/// Messages in one round; what is left is compared in the next.
const MESSAGES_MAX: usize = 256;

type Listed = Vec<(DigestEntry, Arc<Record>)>;

impl Driver {
    /// Compares the shared files with another node and acts on what differs.
    pub(super) async fn round_with(&self, peer: &Peer) -> Result<RoundOutcome, CallError> {
        let root = self.state.node().shared_root(peer.id);
        let answer = self
            .ask_to_reconcile(peer, ReconcileAsk::Root(root))
            .await?;
        let sums = match answer {
            ReconcileAnswer::Agreed => return Ok(RoundOutcome::default()),
            ReconcileAnswer::Sums(sums) => sums,
            _ => return Err(out_of_protocol(peer, "the answer is not one to a root")),
        };
        let buckets = self.buckets_to_compare(peer, &sums);
        self.metrics.buckets_differ(buckets.len());
        let mut outcome = RoundOutcome {
            differed: true,
            ..RoundOutcome::default()
        };
        if !buckets.is_empty() {
            outcome.add(self.compare_buckets(peer, buckets).await?);
        }
        Ok(outcome)
    }

    /// The buckets that differ, as many as fit into one round.
    fn buckets_to_compare(&self, peer: &Peer, sums: &[u128]) -> BTreeSet<u16> {
        let shared = self.state.node().shared_with(peer.id);
        let mut files = 0;
        let mut differing = shared.differing(sums);
        // If there are too many for one round, start at a random one, so that none waits every time.
        if !differing.is_empty() {
            let first = self.entropy.seed() as usize % differing.len();
            differing.rotate_left(first);
        }
        differing
            .into_iter()
            .take_while(|bucket| {
                let before = files;
                files += shared.files_in(*bucket);
                before == 0 || files <= limits::RECONCILE_ENTRIES_A_ROUND_MAX as u64
            })
            .collect()
    }

    async fn compare_buckets(
        &self,
        peer: &Peer,
        buckets: BTreeSet<u16>,
    ) -> Result<RoundOutcome, CallError> {
        let mut range = BucketRange {
            buckets,
            after: None,
            until: LAST_FILE,
        };
        let listed = self.list_shared(peer, &range).await;
        let records: BTreeMap<FileId, Arc<Record>> = listed
            .iter()
            .map(|(entry, record)| (entry.file, Arc::clone(record)))
            .collect();
        let mut outcome = RoundOutcome::default();
        for _ in 0..MESSAGES_MAX {
            let from = listed.partition_point(|(entry, _)| Some(entry.file) <= range.after);
            let rest = &listed[from..];
            let now = &rest[..rest.len().min(RECONCILE_ENTRIES_MAX)];
            range.until = match now.last() {
                Some((last, _)) if now.len() < rest.len() => last.file,
                _ => LAST_FILE,
            };
            let entries = now.iter().map(|(entry, _)| *entry).collect();
            let compared = self.compare(peer, Some(range.clone()), entries).await?;
            let is_on = Some(compared.until) > range.after && compared.until <= range.until;
            if !is_on {
                return Err(out_of_protocol(
                    peer,
                    "it compared files outside the range asked for",
                ));
            }
            range.after = Some(compared.until);
            outcome.add(self.act_on(peer, compared, &records).await);
            if range.after == Some(LAST_FILE) {
                return Ok(outcome);
            }
        }
        outcome.left += 1;
        Ok(outcome)
    }

    /// The files shared with another node in this range, in the order of the file ids.
    async fn list_shared(&self, peer: &Peer, range: &BucketRange) -> Listed {
        let mut listed = Listed::new();
        let mut after = None;
        loop {
            after = {
                let node = self.state.node();
                node.list_shared(peer.id, range, &mut listed, after)
            };
            if after.is_none() {
                break;
            }
            tokio::task::yield_now().await;
        }
        listed.sort_unstable_by_key(|(entry, _)| entry.file);
        listed
    }

    pub(super) async fn compare(
        &self,
        peer: &Peer,
        range: Option<BucketRange>,
        entries: Vec<DigestEntry>,
    ) -> Result<Compared, CallError> {
        let ask = ReconcileAsk::Compare { range, entries };
        match self.ask_to_reconcile(peer, ask).await? {
            ReconcileAnswer::Compared(compared) => Ok(compared),
            _ => Err(out_of_protocol(
                peer,
                "the answer is not one to a comparison",
            )),
        }
    }
}
