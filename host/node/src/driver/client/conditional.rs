//! Conditional writes and deletions: whether one may go on, decided once its content is ready.
//!
//! `dataverse-replication` decides; here its rounds are asked and its versions stamped. Every write and deletion,
//! conditional or not, holds a [`Pending`] from before it is stamped until its outcome is known, so that a
//! conditional one elsewhere waits for it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use dataverse_core::backoff::Backoff;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::search::{Answer, Peer, Question};
use dataverse_core::version::{Stamp, Version};
use dataverse_overlay::transport::{CommitAsk, TransportExt};
use dataverse_replication::{
    Condition, ConditionalWrite, Next, PendingWrites, Round, Surveyed, Ticket, Undecided, Unmet,
};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::preparing::Ready;
use crate::driver::Driver;
use crate::driver::client::api::{ConditionFailed, WriteError};
use crate::limits;

/// Pauses before a round is asked again because another write is pending.
const ASK_AGAIN_MIN: Duration = Duration::from_millis(5);
const ASK_AGAIN_MAX: Duration = Duration::from_millis(200);

/// Pause before a node is asked again to abandon what it has prepared.
const ASK_AGAIN_SETTLED: Duration = Duration::from_secs(1);

/// A write or deletion through this node whose outcome is not known yet.
pub(in crate::driver) struct Pending {
    writes: Arc<Mutex<PendingWrites>>,
    ticket: Ticket,
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.writes.lock().leave(&self.ticket);
    }
}

impl Pending {
    pub(in crate::driver) fn stamped(&self, version: Version) {
        self.writes.lock().stamped(&self.ticket, version);
    }
}

/// A condition that holds.
pub(in crate::driver) enum Granted {
    /// Commit under this version, which replaces that record, on nodes that were asked.
    Commit {
        version: Version,
        replaces: Option<Arc<Record>>,
        asked: BTreeSet<NodeId>,
    },
    /// The file already has the content.
    Unchanged(Arc<Record>),
}

impl Driver {
    /// Takes note of a write or a deletion, before it is stamped.
    pub(in crate::driver) fn begin_write(&self, key: &Key) -> Pending {
        let writes = Arc::clone(&self.pending_writes);
        let ticket = writes.lock().enter(key);
        Pending { writes, ticket }
    }

    /// Refuses a write while so many others are not settled that no more could be remembered.
    pub(in crate::driver) fn refuse_with_many_pending(&self) -> Result<(), WriteError> {
        let pending = self.pending_writes.lock().count();
        match pending >= limits::PENDING_WRITES_MAX {
            true => Err(WriteError::Unavailable(format!(
                "{pending} writes wait for nodes that did not answer; try again when these are back"
            ))),
            false => Ok(()),
        }
    }

    /// Ends a write that failed. It stays pending while a commit may still be carried out on one of the nodes that did
    /// not answer theirs: until each has confirmed that nothing of it is prepared there any more, is gone, or it has
    /// expired.
    pub(in crate::driver) fn leave_pending(&self, pending: Pending, unanswered: Vec<Ready>) {
        if unanswered.is_empty() {
            return;
        }
        let driver = self.shared();
        let settled = async move {
            for ready in unanswered {
                while driver.is_unsettled(&ready).await {
                    tokio::time::sleep(ASK_AGAIN_SETTLED).await;
                }
            }
            drop(pending);
        };
        let (driver, expired) = (self.shared(), self.settings.write_prepared);
        self.spawn(async move {
            let settled = tokio::time::timeout(expired, settled);
            driver.still_runs(settled).await;
        });
    }

    async fn is_unsettled(&self, ready: &Ready) -> bool {
        // Once it is unlinked, no round asks it any more.
        let is_linked = self.links.peer(ready.peer.id).is_some();
        if !is_linked && !self.is_alive(ready.peer.id) {
            return false;
        }
        let preparation = ready.preparation.unwrap_or_default();
        let ask = self.message(CommitAsk::Abandon { preparation });
        let answer = self.transport.ask(&ready.peer, ask).await;
        answer
            .and_then(|answer| self.answer_of(&ready.peer, answer))
            .is_err()
    }

    /// This node's answer to a question of a round for a write of this version, which may hold a ticket here itself.
    pub(in crate::driver) fn answer_in_round(
        &self,
        key: &Key,
        version: Version,
        own: Option<&Ticket>,
    ) -> Answer {
        // Before what is held: a write that ends in between is seen there.
        let pending = self.pending_writes.lock().any_before(key, version, own);
        let neighbours = self.links.staying_peers();
        let (now, load) = (self.now(), self.load.per_second());
        let node = self.state.node();
        Answer {
            pending,
            ..node.answer_surely(key, now, load, neighbours)
        }
    }

    /// Whether a condition holds now. It may no longer hold once the content has arrived, so it is decided again
    /// then. Asked before the body, this saves taking it in for nothing. Returns the present version.
    ///
    /// # Errors
    /// When it does not hold, or nobody can tell.
    pub(in crate::driver) async fn check_condition(
        &self,
        key: &Key,
        condition: &Condition,
        size: Option<u64>,
    ) -> Result<Option<Arc<Record>>, WriteError> {
        if *condition == Condition::Always {
            return Ok(None);
        }
        // Nothing is stamped yet, and nothing comes before that.
        let first = Version {
            stamp: Stamp::default(),
            writer: self.me.id,
        };
        let mut round = self.ask_round(key, first, None).await;
        if matches!(round.current, Err(Undecided::Missing(_))) {
            // It may have been committed on nodes that were asked before that.
            round = self.ask_round(key, first, None).await;
        }
        let current = round.current.map_err(|reason| undecided(key, &reason))?;
        let may_be_same = *condition == Condition::Absent
            && current
                .as_ref()
                .is_some_and(|it| size.is_none_or(|size| size == it.size));
        match condition.judge(current.as_deref()) {
            Ok(()) => Ok(current),
            // It may be the content that is being sent: the client asks again, and nothing changes.
            Err(_) if may_be_same => Ok(current),
            Err(unmet) => Err(failed(key, unmet)),
        }
    }

    /// Decides a conditional write or deletion. As long as `pending` is held, no other conditional one of this file
    /// is granted anywhere.
    ///
    /// # Errors
    /// When the condition does not hold, or nobody can tell; nothing may be written then.
    pub(in crate::driver) async fn decide(
        &self,
        key: &Key,
        condition: &Condition,
        same_before: Option<Version>,
        pending: &Pending,
    ) -> Result<Granted, WriteError> {
        let mut write = ConditionalWrite::new(condition.clone(), same_before);
        let deadline = Instant::now() + self.settings.write_deadline;
        let mut pause = Backoff::new(ASK_AGAIN_MIN, ASK_AGAIN_MAX);
        let mut version = self.next_version(pending).await?;
        loop {
            let round = self.ask_round(key, version, Some(&pending.ticket)).await;
            let asked = round.reached.clone();
            match write.after(round, version) {
                Next::Commit(replaces) => {
                    return Ok(Granted::Commit {
                        version,
                        replaces,
                        asked,
                    });
                }
                Next::Unchanged(record) => return Ok(Granted::Unchanged(record)),
                Next::Refuse(unmet) => return Err(failed(key, unmet)),
                Next::Undecided(reason) => return Err(undecided(key, &reason)),
                Next::Restamp(above) => {
                    self.surpass(above)?;
                    version = self.next_version(pending).await?;
                }
                Next::Wait => {
                    let pause = self.entropy.jittered(pause.next_pause());
                    tokio::time::sleep(pause).await;
                }
            }
            if Instant::now() >= deadline {
                return Err(WriteError::Unavailable(format!(
                    "{key} was not written: other writes of it were pending for longer than write.deadline; try again"
                )));
            }
        }
    }

    /// A version stamped for a pending write.
    async fn next_version(&self, pending: &Pending) -> Result<Version, WriteError> {
        let version = Version {
            stamp: self.stamp().await?,
            writer: self.me.id,
        };
        pending.stamped(version);
        Ok(version)
    }

    /// Asks every node of the graph about a file, for a write of this version.
    async fn ask_round(&self, key: &Key, version: Version, own: Option<&Ticket>) -> Surveyed {
        let answer = self.answer_in_round(key, version, own);
        let mut round = Round::new(
            self.me.id,
            answer,
            self.living_members(),
            self.settings.search_fanout,
            self.settings.search_budget,
        );
        let question = Question::Exact {
            key: key.clone(),
            floor: None,
            pending_before: Some(version),
        };
        let mut asked = FuturesUnordered::new();
        while !round.is_over() {
            while let Some(peer) = round.poll() {
                asked.push(self.ask_in_round(peer, question.clone()));
            }
            match asked.next().await {
                Some((peer, Some((run, answer)))) => round.answered(peer.id, run, answer),
                Some((peer, None)) => round.failed(&peer),
                None => break,
            }
        }
        let mut surveyed = round.finish();
        // Links requested at start: what is behind them belongs to this network too.
        let wanted = self.links.wanted.views();
        if surveyed.current.is_ok() && !wanted.is_empty() {
            let addresses = wanted.iter().map(|link| link.address.as_str().into());
            surveyed.current = Err(Undecided::Silent(addresses.collect()));
        }
        surveyed
    }

    async fn ask_in_round(&self, peer: Peer, question: Question) -> (Peer, Option<(u64, Answer)>) {
        let patience = self.settings.search_probe_deadline;
        // A node that left held nothing. But one that another still lists may be back, with a write of its own.
        let asked = self.ask_probe(&peer, question, false);
        let answer = tokio::time::timeout(patience, asked).await;
        let answer = match answer {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                tracing::debug!(node = %peer.name, %error, "a node did not say what it holds");
                None
            }
            Err(_) => None,
        };
        (peer, answer)
    }
}

fn failed(key: &Key, unmet: Unmet) -> WriteError {
    let key = key.clone();
    WriteError::Condition(ConditionFailed { key, unmet })
}

fn undecided(key: &Key, reason: &Undecided) -> WriteError {
    WriteError::Unavailable(format!(
        "whether the condition on {key} holds can't be told, so nothing was written: {reason}"
    ))
}
