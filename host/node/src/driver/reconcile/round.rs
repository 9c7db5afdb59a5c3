//! One round: what this node and another are both to hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dataverse_core::id::FileId;
use dataverse_core::limits::RECONCILE_MARKS_MAX;
use dataverse_core::reconcile::{Compared, Mark, Span};
use dataverse_core::record::Record;
use dataverse_core::search::Peer;
use dataverse_overlay::transport::{CallError, ReconcileAnswer, ReconcileAsk};

use super::{LAST_FILE, Outcome, out_of_protocol};
use crate::driver::Driver;
use crate::limits;

/// Messages of one round at most; what is left is compared in the next.
const MESSAGES_MAX: usize = 256;

type Marked = Vec<(Mark, Arc<Record>)>;

impl Driver {
    /// Compares what is shared with another node and acts on what differs.
    pub(super) async fn round_with(&self, peer: &Peer) -> Result<Outcome, CallError> {
        let root = self.state.node().shared_root(peer.id);
        let answer = self
            .ask_to_reconcile(peer, ReconcileAsk::Root(root))
            .await?;
        let sums = match answer {
            ReconcileAnswer::Agreed => return Ok(Outcome::default()),
            ReconcileAnswer::Sums(sums) => sums,
            _ => return Err(out_of_protocol(peer, "it was asked about a root")),
        };
        let buckets = self.buckets_to_compare(peer, &sums);
        self.metrics.buckets_differ(buckets.len());
        let mut outcome = Outcome {
            differed: true,
            ..Outcome::default()
        };
        if !buckets.is_empty() {
            outcome.add(self.compare_buckets(peer, buckets).await?);
        }
        Ok(outcome)
    }

    /// The buckets that differ, as many as may be compared in one round.
    fn buckets_to_compare(&self, peer: &Peer, sums: &[u128]) -> BTreeSet<u16> {
        let shared = self.state.node().shared_with(peer.id);
        let mut files = 0;
        let mut differing = shared.differing(sums);
        // Where there are too many for one round, none is always among those that wait.
        if !differing.is_empty() {
            let first = self.entropy.seed() as usize % differing.len();
            differing.rotate_left(first);
        }
        differing
            .into_iter()
            .take_while(|bucket| {
                let before = files;
                files += shared.files_in(*bucket);
                before == 0 || files <= limits::RECONCILE_MARKS_A_ROUND_MAX as u64
            })
            .collect()
    }

    async fn compare_buckets(
        &self,
        peer: &Peer,
        buckets: BTreeSet<u16>,
    ) -> Result<Outcome, CallError> {
        let mut span = Span {
            buckets,
            after: None,
            until: LAST_FILE,
        };
        let marked = self.mark_shared(peer, &span).await;
        let records: BTreeMap<FileId, Arc<Record>> = marked
            .iter()
            .map(|(mark, record)| (mark.file, Arc::clone(record)))
            .collect();
        let mut outcome = Outcome::default();
        for _ in 0..MESSAGES_MAX {
            let from = marked.partition_point(|(mark, _)| Some(mark.file) <= span.after);
            let rest = &marked[from..];
            let now = &rest[..rest.len().min(RECONCILE_MARKS_MAX)];
            span.until = match now.last() {
                Some((last, _)) if now.len() < rest.len() => last.file,
                _ => LAST_FILE,
            };
            let marks = now.iter().map(|(mark, _)| *mark).collect();
            let compared = self.compare(peer, Some(span.clone()), marks).await?;
            let is_on = Some(compared.until) > span.after && compared.until <= span.until;
            if !is_on {
                return Err(out_of_protocol(peer, "it compared other files than asked"));
            }
            span.after = Some(compared.until);
            outcome.add(self.act_on(peer, compared, &records).await);
            if span.after == Some(LAST_FILE) {
                return Ok(outcome);
            }
        }
        outcome.left += 1;
        Ok(outcome)
    }

    /// What is shared with another node in this span, in the order of the file ids.
    async fn mark_shared(&self, peer: &Peer, span: &Span) -> Marked {
        let mut marked = Marked::new();
        let mut after = None;
        loop {
            after = {
                let node = self.state.node();
                node.mark_shared(peer.id, span, &mut marked, after.as_ref())
            };
            if after.is_none() {
                break;
            }
            tokio::task::yield_now().await;
        }
        marked.sort_unstable_by_key(|(mark, _)| mark.file);
        marked
    }

    pub(super) async fn compare(
        &self,
        peer: &Peer,
        span: Option<Span>,
        marks: Vec<Mark>,
    ) -> Result<Compared, CallError> {
        let ask = ReconcileAsk::Compare { span, marks };
        match self.ask_to_reconcile(peer, ask).await? {
            ReconcileAnswer::Compared(compared) => Ok(compared),
            _ => Err(out_of_protocol(peer, "it was asked to compare files")),
        }
    }
}
