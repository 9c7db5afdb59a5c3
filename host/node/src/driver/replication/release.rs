//! Gives up what this node holds for a greater record, or stops serving it, once the holders of that record have
//! confirmed it.
//!
//! An announcement is not proof, whoever sends it. So the nodes that the greater record names are asked; the core
//! (`release`) says whom, and judges what they answer. For a greater version they are asked what they hold. For a
//! greater layout each makes the layout and its own copy durable before it confirms (a commit without content does
//! just that), so two nodes that relayout the same file at the same time can't both drop it; a holder that lacks the
//! content is offered it. Where only one node confirms, it must show that it has the content. Until then this node
//! keeps its copy, and asks again later (`pending`).
//!
//! If no such node has it, or only the version is known and not the record, the network is searched. What no node has
//! is forgotten.

use std::sync::Arc;
use std::time::Duration;

use dataverse_core::floors::Heard;
use dataverse_core::holdings::{Holding, Role};
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::limits::GROUP_BYTES;
use dataverse_core::record::Record;
use dataverse_core::relayout::HolderState;
use dataverse_core::release::{Verdict, Word, judge, whom_to_ask, word_of};
use dataverse_core::search::SearchOutcome;
use dataverse_overlay::transport::{PullAsk, TransportExt};
use dataverse_store::crash;
use dataverse_store::{Applied, Change, StoreError};
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};

use super::commit::Held;
use super::pending::Tried;
use crate::driver::Driver;
use crate::driver::client::fetch::Groups;
use crate::driver::client::space::Occasion;
use crate::limits;

/// Pause between two deliveries of hints.
const HINTS_EVERY: Duration = Duration::from_secs(2);

/// How often one attempt goes on with a record that it has just found.
const STEPS_MAX: usize = 3;

/// What a search for something greater found.
enum Above {
    Found(Arc<Record>),
    Nothing,
    /// Not every node answered.
    Unclear,
}

impl Driver {
    /// Asks the holders of a greater record, and gives up what is held here as soon as that is safe.
    pub(in crate::driver) fn release_soon(&self, record: &Arc<Record>) {
        let greater = Some(Arc::clone(record));
        self.pending_releases
            .add(&record.key, greater, Instant::now());
    }

    /// Takes note of a version that another node has heard of. If it is greater than the one held here, it is searched
    /// for.
    pub(in crate::driver) fn hear(&self, key: &Key, heard: Heard) {
        let is_greater = self.state.node().hear(key, heard);
        if is_greater {
            self.pending_releases.add(key, None, Instant::now());
        }
    }

    /// Waits until the holders of a greater version that was heard of just now have answered, so that this node does
    /// not serve its old copy in the meantime.
    pub(in crate::driver) async fn await_first_verification(&self, key: &Key) {
        let patience = self.settings.search_probe_deadline;
        self.pending_releases.first_try(key, patience).await;
    }

    /// Verifies greater records, for as long as the node runs.
    pub(in crate::driver) async fn keep_releasing(self: Arc<Self>) {
        let pending = &self.pending_releases;
        let mut tries = FuturesUnordered::new();
        loop {
            let free = limits::RELEASES_AT_ONCE_MAX - tries.len();
            let (due, next) = pending.take_due(free, Instant::now());
            let driver = &self;
            tries.extend(due.into_iter().map(|(key, greater)| async move {
                let tried = driver.try_release(&key, greater.clone()).await;
                pending.tried(&key, &greater, tried, Instant::now());
            }));
            let is_full = tries.len() == limits::RELEASES_AT_ONCE_MAX;
            let wait = async {
                match next.filter(|_| !is_full) {
                    Some(next) => sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            let woken = async {
                tokio::select! {
                    biased;
                    Some(()) = tries.next(), if !tries.is_empty() => {}
                    () = pending.more.notified(), if !is_full => {}
                    () = wait => {}
                }
            };
            if self.still_runs(woken).await.is_none() {
                return;
            }
        }
    }

    /// Delivers hints, for as long as the node runs.
    pub(in crate::driver) async fn keep_hints_delivered(self: Arc<Self>) {
        let mut look = tokio::time::interval(HINTS_EVERY);
        while self.still_runs(look.tick()).await.is_some() {
            self.still_runs(self.deliver_hints()).await;
        }
    }

    /// Verifies one record. What is found on the way is verified next.
    async fn try_release(&self, key: &Key, greater: Option<Arc<Record>>) -> Tried {
        let mut greater = greater;
        for _ in 0..STEPS_MAX {
            let held = self.state.node().holding(key).cloned();
            let Some(held) = held else {
                return Tried::Settled;
            };
            let known = greater.take().filter(|record| self.replaces(record, &held));
            let Some(record) = known else {
                match self.look_above(&held).await {
                    Above::Found(found) => greater = Some(found),
                    Above::Nothing => return Tried::Settled,
                    Above::Unclear => return Tried::Waits,
                }
                continue;
            };
            let words = match record.version == held.record.version {
                true => self.ask_to_hold(&record).await,
                false => Ok(self.ask_who_holds(&record).await),
            };
            let words = match words {
                Ok(words) => words,
                // A holder has a greater record: that one decides.
                Err(found) => {
                    if !self.replaces(&found, &held) {
                        self.take_greater_soon(&found);
                        return Tried::Settled;
                    }
                    greater = Some(found);
                    continue;
                }
            };
            match self.verdict(&held, &record, &words).await {
                Verdict::Release => return self.replace(&held, &record).await,
                Verdict::Overtaken => {
                    self.state.node().confirm(key, Heard::of(&record));
                    return Tried::Waits;
                }
                Verdict::Wait => {
                    let anyone = words.iter().any(|(_, word)| *word == Word::Has);
                    if anyone {
                        return Tried::Waits;
                    }
                    // Nobody who answers has it. It may be made up, and hide one that exists.
                    match self.look_above(&held).await {
                        Above::Found(found) if found.version != record.version => {
                            greater = Some(found);
                        }
                        _ => return Tried::Waits,
                    }
                }
                Verdict::Nobody => {}
            }
        }
        Tried::Waits
    }

    /// Whether this record would replace what is held here.
    fn replaces(&self, record: &Record, held: &Holding) -> bool {
        if record.version != held.record.version {
            return record.version > held.record.version;
        }
        held.role == Role::Replica
            && held.record.layout < record.layout
            && !record.layout.names(self.me.id)
            && !record.deleted
    }

    /// The core's verdict, once a node that alone confirms the record has shown its content.
    async fn verdict(
        &self,
        held: &Holding,
        record: &Arc<Record>,
        words: &[(NodeId, Word)],
    ) -> Verdict {
        let others = held.record.layout.holders.iter();
        let others = others.filter(|id| **id != self.me.id);
        let left = others.filter(|id| self.standing_of(**id) != HolderState::Gone);
        let judgement = judge(held, record, self.me.id, words, left.count());
        match judgement.shown_by {
            Some(id) if !self.has_shown(id, record).await => Verdict::Wait,
            _ => judgement.verdict,
        }
    }

    /// Asks the nodes that a greater version names what they hold.
    async fn ask_who_holds(&self, record: &Arc<Record>) -> Vec<(NodeId, Word)> {
        let asked = whom_to_ask(record, self.me.id).into_iter();
        let asked = asked.map(|id| async move { (id, self.word_of(id, record).await) });
        join_all(asked).await
    }

    async fn word_of(&self, id: NodeId, record: &Record) -> Word {
        let Some(peer) = self.peer_of(id) else {
            return Word::Silent;
        };
        let answer = self.ask_version(peer, &record.key).await;
        answer.map_or(Word::Silent, |answer| word_of(&answer, record))
    }

    /// Asks each holder of a greater layout to make it durable over its copy, and offers it the content if it has
    /// none.
    ///
    /// # Errors
    /// The greatest record above this one that a holder has.
    async fn ask_to_hold(&self, record: &Arc<Record>) -> Result<Vec<(NodeId, Word)>, Arc<Record>> {
        let asked = record.layout.holders.iter().map(|id| async move {
            let held = self.commit_at(*id, record).await;
            if let Err(error) = &held {
                tracing::debug!(key = %record.key, node = %self.name_of(*id), error, "a release waits until this holder has its copy");
                self.offer(*id, record).await;
            }
            (*id, held)
        });
        let answers = join_all(asked).await;
        let greater = answers.iter().filter_map(|(_, held)| match held {
            Ok(Held::Greater(greater)) => Some(greater),
            _ => None,
        });
        if let Some(greater) = greater.max() {
            return Err(Arc::clone(greater));
        }
        let word = |held| match held {
            Ok(Held::Here) => Word::Has,
            Ok(_) => Word::Lacks,
            Err(_) => Word::Silent,
        };
        let words = answers.into_iter().map(|(id, held)| (id, word(held)));
        Ok(words.collect())
    }

    /// Whether this node has the content of the record: it sends a group of it that matches the digest.
    async fn has_shown(&self, id: NodeId, record: &Arc<Record>) -> bool {
        let Some(peer) = self.peer_of(id) else {
            return false;
        };
        if record.size == 0 {
            return true;
        }
        // Another one for every version.
        let group = record.version.stamp.0 % record.size.div_ceil(GROUP_BYTES);
        let begin = group * GROUP_BYTES;
        let mut groups = Groups::new(self.shared(), Arc::clone(record), [peer], begin, 1);
        let shown = tokio::time::timeout(self.settings.call_deadline, groups.next()).await;
        matches!(shown, Ok(Some(Ok(_))))
    }

    /// Searches for something greater than what is held here, if there is said to be something.
    async fn look_above(&self, held: &Holding) -> Above {
        let (key, version) = (&held.record.key, held.record.version);
        let known = self.state.node().known(key);
        if known.is_none_or(|known| known.version <= version) {
            return Above::Nothing;
        }
        let report = self.search_above(key, version).await;
        let hits = report.hits.iter().map(|found| &found.hit.record);
        let found = hits.chain(&report.deletion).max();
        if let Some(found) = found.filter(|record| record.version > version) {
            return Above::Found(Arc::clone(found));
        }
        if report.outcome == SearchOutcome::NotFound {
            self.forget_hearsay(&report, key);
        } else if !self.has_asked_all_recently_up(&report) {
            return Above::Unclear;
        }
        Above::Nothing
    }

    /// Takes in a greater record in a task of its own, because that may lead back to a release.
    fn take_greater_soon(&self, record: &Arc<Record>) {
        let (driver, record) = (self.shared(), Arc::clone(record));
        self.spawn(async move { driver.take_greater(&record, None).await });
    }

    /// Gives up what is held here for a record that its holders have confirmed.
    async fn replace(&self, held: &Holding, record: &Arc<Record>) -> Tried {
        crash::point("release.confirmed");
        let released = match record.version == held.record.version {
            true => self.demote(Arc::clone(record)).await.map(|()| true),
            false => {
                let effect = {
                    let mut node = self.state.node();
                    node.confirm(&record.key, Heard::of(record));
                    node.replacement(record)
                };
                match effect {
                    Some(effect) => self.perform(effect, 0, None).await.map(|()| true),
                    None => Ok(false),
                }
            }
        };
        match released {
            Ok(true) => {
                crash::point("release.done");
                Tried::Settled
            }
            Ok(false) => Tried::Waits,
            Err(error) => {
                tracing::warn!(key = %record.key, %error, "a replica could not be released; it stays until the next try");
                Tried::Waits
            }
        }
    }

    /// Offers a file to a node that should hold it, which then fetches it from here.
    pub(in crate::driver) async fn offer(&self, id: NodeId, record: &Arc<Record>) {
        let Some(peer) = self.peer_of(id).filter(|_| !record.deleted) else {
            return;
        };
        let ask = PullAsk {
            record: Arc::clone(record),
            from: self.me.clone(),
            hops: 1,
        };
        let answer = self.transport.ask(&peer, self.message(ask)).await;
        if let Err(error) = answer.and_then(|answer| self.answer_of(&peer, answer)) {
            tracing::debug!(key = %record.key, node = %peer.name, %error, "a holder could not be offered its copy");
        }
    }

    /// Turns the replica into a cached copy if the eviction policy admits it, and drops it otherwise.
    async fn demote(&self, record: Arc<Record>) -> Result<(), StoreError> {
        // Its bytes count as a replica's until it is demoted.
        let cached = !record.deleted && self.admit(&record, 1, record.size, Occasion::Other).await;
        if !cached {
            let change = Change::Release {
                record: Arc::clone(&record),
            };
            return self.store.apply(change).await.map(|_| ());
        }
        let change = Change::Demote {
            record: Arc::clone(&record),
        };
        let applied = self.store.apply(change).await;
        if !matches!(applied, Ok(Applied::Done { .. })) {
            self.not_cached(&record);
        }
        applied.map(|_| ())
    }
}
