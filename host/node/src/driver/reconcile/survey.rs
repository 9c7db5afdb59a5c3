//! A survey: finds files that this node and another both hold although no layout names both.
//!
//! The other node sends a filter of the files it holds as replicas or remembers as deleted. Everything held here,
//! replica or cached copy, that seems to be in the filter is compared. A filter costs ten bits a file, and nothing
//! if neither side has changed since the last survey.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataverse_core::filter::Filter;
use dataverse_core::limits;
use dataverse_core::reconcile::DigestEntry;
use dataverse_core::record::Record;
use dataverse_core::search::Peer;
use dataverse_overlay::transport::{CallError, ReconcileAnswer, ReconcileAsk};

use super::turns::Surveyed;
use super::{LAST_FILE, RoundOutcome, out_of_protocol};
use crate::driver::Driver;

impl Driver {
    /// Compares what both nodes hold and acts on what differs.
    pub(super) async fn survey(
        &self,
        peer: &Peer,
        seen: Option<Surveyed>,
    ) -> Result<RoundOutcome, CallError> {
        let changes = self.state.node().changes();
        let unchanged = seen.filter(|(_, seen)| *seen == changes);
        let known = unchanged.map_or(0, |(tag, _)| tag);
        let answer = self.ask_to_reconcile(peer, ReconcileAsk::Filter { known });
        let filter = match answer.await? {
            ReconcileAnswer::Agreed if known != 0 => return Ok(RoundOutcome::default()),
            ReconcileAnswer::Filter(filter) => filter,
            _ => {
                return Err(out_of_protocol(
                    peer,
                    "the answer is not one to a request for a filter",
                ));
            }
        };
        let outcome = self.compare_met(peer, &filter).await?;
        Ok(RoundOutcome {
            surveyed: Some((filter.tag(), changes)),
            ..outcome
        })
    }

    async fn compare_met(&self, peer: &Peer, filter: &Filter) -> Result<RoundOutcome, CallError> {
        let mut outcome = RoundOutcome::default();
        let mut met = Vec::new();
        let mut after = None;
        loop {
            after = {
                let node = self.state.node();
                node.mark_met(peer.id, filter, &mut met, after)
            };
            let is_last = after.is_none();
            // A page is shorter than a message, so the rest always fits into the next one.
            while met.len() > limits::RECONCILE_ENTRIES_MAX || (is_last && !met.is_empty()) {
                let now = met.len().min(limits::RECONCILE_ENTRIES_MAX);
                let listed: Vec<(DigestEntry, Arc<Record>)> = met.drain(..now).collect();
                outcome.add(self.compare_marked(peer, listed).await?);
            }
            if is_last {
                return Ok(outcome);
            }
            tokio::task::yield_now().await;
        }
    }

    async fn compare_marked(
        &self,
        peer: &Peer,
        listed: Vec<(DigestEntry, Arc<Record>)>,
    ) -> Result<RoundOutcome, CallError> {
        let mut outcome = RoundOutcome::default();
        let mut entries: Vec<DigestEntry> = listed.into_iter().map(|(entry, _)| entry).collect();
        entries.sort_unstable();
        while !entries.is_empty() {
            let mut compared = self.compare(peer, None, entries.clone()).await?;
            let before = entries.len();
            let until = compared.until;
            entries.retain(|entry| entry.file > until);
            if entries.len() == before && until != LAST_FILE {
                return Err(out_of_protocol(
                    peer,
                    "it compared none of the files asked for",
                ));
            }
            // A filter has false positives, so a file unknown to the other node is nothing to act on.
            compared.unknown.clear();
            outcome.add(self.act_on(peer, compared, &BTreeMap::new()).await);
            if until == LAST_FILE {
                break;
            }
        }
        Ok(outcome)
    }
}
