//! Answers another node's comparison with this one. Changes nothing here, except that copies which the other node
//! confirms count as verified.

use std::sync::Arc;
use std::time::Duration;

use dataverse_core::filter::Filter;
use dataverse_core::id::NodeId;
use dataverse_core::reconcile::{
    BucketRange, Comparison, DigestEntry, ReconcileAnswer, ReconcileAsk,
};
use dataverse_overlay::transport::Refusal;

use super::reconcile::MadeFilter;
use crate::driver::Driver;
use crate::limits;

impl Driver {
    /// Compares the holdings here with what `asker` sent about its own.
    pub(in crate::driver) async fn compare_for(
        &self,
        asker: NodeId,
        ask: ReconcileAsk,
    ) -> Result<ReconcileAnswer, Refusal> {
        if let ReconcileAsk::Root(root) = ask {
            let node = self.state.node();
            return Ok(if node.shared_root(asker) == root {
                ReconcileAnswer::Agreed
            } else {
                ReconcileAnswer::Sums(node.shared_with(asker).sums())
            });
        }
        let Ok(_permit) = self.reconciling.answering.try_acquire() else {
            return Err(Refusal::Busy(format!(
                "node {} is answering as many comparisons as it can; try again",
                self.me.name
            )));
        };
        Ok(match ask {
            ReconcileAsk::Compare { range, entries } => {
                self.answer_comparison(asker, range, entries).await
            }
            ReconcileAsk::Filter { known } => self.answer_filter(known).await,
            ReconcileAsk::Root(_) => unreachable!("it was answered above"),
        })
    }

    async fn answer_comparison(
        &self,
        asker: NodeId,
        range: Option<BucketRange>,
        entries: Vec<DigestEntry>,
    ) -> ReconcileAnswer {
        // Entries of a range are of verified replicas, so they confirm the same copies here.
        let confirms = range.is_some();
        let mut comparison = Comparison::new(asker, range, entries);
        let mut confirmed = Vec::new();
        let mut after = None;
        while !comparison.is_empty() {
            after = {
                let node = self.state.node();
                node.compare(&mut comparison, &mut confirmed, after)
            };
            if after.is_none() {
                break;
            }
            tokio::task::yield_now().await;
        }
        if confirms {
            let mut node = self.state.node();
            for (key, version) in confirmed {
                node.trust(&key, version);
            }
        }
        ReconcileAnswer::Compared(comparison.finish())
    }

    async fn answer_filter(&self, known: u128) -> ReconcileAnswer {
        let (filter, tag) = match self.recent_filter() {
            Some(recent) => recent,
            None => self.make_filter().await,
        };
        match known == tag {
            true => ReconcileAnswer::Agreed,
            false => ReconcileAnswer::Filter(Filter::clone(&filter)),
        }
    }

    /// The last filter, if nothing has changed since it was built or it is younger than
    /// [`limits::FILTER_KEPT_MS`].
    fn recent_filter(&self) -> Option<(Arc<Filter>, u128)> {
        let changes = self.state.node().changes();
        let age_max = Duration::from_millis(limits::FILTER_KEPT_MS);
        let running = self.running();
        let memory = self.reconciling.memory.lock();
        let made = memory.filter.as_ref()?;
        let recent = running.saturating_sub(made.made) < age_max;
        (recent || made.changes == changes).then(|| (Arc::clone(&made.filter), made.tag))
    }

    async fn make_filter(&self) -> (Arc<Filter>, u128) {
        let (changes, held) = {
            let node = self.state.node();
            (node.changes(), node.held())
        };
        let mut filter = Filter::with_room_for(held);
        let mut after = None;
        loop {
            after = self.state.node().filter(&mut filter, after);
            if after.is_none() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let (tag, filter) = (filter.tag(), Arc::new(filter));
        let made = MadeFilter {
            filter: Arc::clone(&filter),
            tag,
            changes,
            made: self.running(),
        };
        self.reconciling.memory.lock().filter = Some(made);
        (filter, tag)
    }
}
