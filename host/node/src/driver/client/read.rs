//! The read flow: locate the newest copy nearby, then stream it.
//!
//! Locating and streaming are two steps, so that a server can send headers, refuse a range or answer "not
//! modified" before any content moves. Relocation is asked once per remote read, before the content is streamed.

use std::collections::BTreeSet;
use std::sync::Arc;

use dataverse_core::floors::Heard;
use dataverse_core::holdings::{Holding, Role};
use dataverse_core::key::Key;
use dataverse_core::node::LocalRead;
use dataverse_core::record::Record;
use dataverse_core::search::{FoundHit, Peer, Report, SearchOutcome};
use dataverse_core::version::Version;
use dataverse_overlay::transport::{MoveAsk, PullAsk, TransportExt};

use super::confirm::Word;
use super::flow::Flow;
use super::origin::{Elsewhere, Origin};
use super::space::Occasion;
use super::transfer::Wanted;
use crate::driver::Driver;
use crate::driver::client::api::{Body, Consistency, Located, ReadError, Silent};
use crate::metrics::ReadFrom;
use crate::recorder::{self, Op};

impl Driver {
    /// Finds a file for a reader. Content moves only when [`Driver::body`] asks for it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn locate(&self, key: &Key, consistency: Consistency) -> Result<Located, ReadError> {
        let found = self.find(key, consistency).await;
        if let Err(error) = &found {
            let outcome = match error {
                ReadError::NotFound { .. } => recorder::RequestOutcome::Missing,
                _ => recorder::RequestOutcome::Failed,
            };
            self.take_down(Op::Read, key, 0, outcome, 0);
        }
        found
    }

    /// Finds a file without recording the request.
    pub(in crate::driver) async fn find(
        &self,
        key: &Key,
        consistency: Consistency,
    ) -> Result<Located, ReadError> {
        self.await_first_verification(key).await;
        let revalidate_after_ms = self.settings.read_revalidate_after.as_millis() as u64;
        let read = || {
            let node = self.state.node();
            node.read(key, self.now(), revalidate_after_ms)
        };
        let mut local = read();
        if let LocalRead::Confirm(holding) = &local
            && self.is_unverified(key)
        {
            if self.is_alone() {
                let stale = !self.knows_members();
                return Ok(self.here(holding.clone(), stale));
            }
            self.verify_copy(&holding.record).await;
            local = read();
        }
        let floor = match local {
            LocalRead::Serve(holding)
                if consistency == Consistency::Usual && !self.slept_through(&holding) =>
            {
                return Ok(self.here(holding, false));
            }
            LocalRead::Serve(holding) | LocalRead::Confirm(holding) => {
                let own = holding.role == Role::Replica;
                match self.confirm(&holding.record, own, consistency).await {
                    Word::Newest { by_all } => {
                        let stale = consistency == Consistency::Newest && !by_all;
                        return Ok(self.here(holding, stale));
                    }
                    Word::Unknown if consistency == Consistency::Usual => {
                        return Ok(self.here(holding, true));
                    }
                    Word::Unknown => return Err(ReadError::Unconfirmed { key: key.clone() }),
                    Word::Newer(heard) => Some(heard.version),
                }
            }
            LocalRead::Search { floor } => floor,
        };
        self.locate_elsewhere(key, floor, consistency).await
    }

    async fn locate_elsewhere(
        &self,
        key: &Key,
        mut floor: Option<Version>,
        consistency: Consistency,
    ) -> Result<Located, ReadError> {
        // The copy found may turn out to be old. The search is then repeated above it, at most three times,
        // because writers could go on forever.
        for _ in 0..3 {
            let report = self.search_elsewhere(key, floor, &BTreeSet::new()).await;
            let Some(nearest) = report.hits.first().cloned() else {
                return self.missed(key, &report, consistency);
            };
            let stale = match self.confirm_hit(&nearest, consistency).await {
                Word::Newest { by_all } => consistency == Consistency::Newest && !by_all,
                Word::Newer(heard) => {
                    floor = Some(heard.version);
                    continue;
                }
                Word::Unknown if consistency == Consistency::Newest => {
                    return Err(ReadError::Unconfirmed { key: key.clone() });
                }
                Word::Unknown => true,
            };
            return Ok(Located {
                record: Arc::clone(&nearest.hit.record),
                source: nearest.peer.name.to_string(),
                hops: nearest.hops,
                stale,
                origin: Origin::Elsewhere(Elsewhere {
                    validated: self.validated_of(&nearest, stale),
                    hits: report.hits,
                    path: report.path,
                }),
            });
        }
        Err(ReadError::Unknown {
            key: key.clone(),
            outcome: SearchOutcome::Deadline.as_str(),
            silent: Silent::default(),
        })
    }

    /// Streams the bytes `offset..offset + length` of a located file; the range must lie within it. An error in
    /// the stream means that the bytes so far are right and the rest is unavailable.
    ///
    /// # Errors
    /// [`ReadError`] when the stream can't even start.
    pub async fn body(
        &self,
        located: Located,
        offset: u64,
        length: u64,
    ) -> Result<Body, ReadError> {
        self.load.count();
        let record = Arc::clone(&located.record);
        let end = offset + length;
        assert!(end <= record.size, "callers ask for ranges within the file");
        let outcome = match &located.origin {
            Origin::Here(holding) if holding.role == Role::Replica => {
                recorder::RequestOutcome::Replica
            }
            Origin::Here(_) => recorder::RequestOutcome::Cached,
            Origin::Elsewhere(_) | Origin::Overtaken(_) => recorder::RequestOutcome::Remote,
        };
        self.take_down(Op::Read, &record.key, record.size, outcome, located.hops);
        let flow = match located.origin {
            Origin::Here(holding) => {
                self.count_local_read(&holding);
                Flow::here(self.shared(), holding, offset, end).await
            }
            Origin::Elsewhere(elsewhere) => {
                self.metrics.read(ReadFrom::Remote);
                self.flow_from(&record, elsewhere, offset, end).await
            }
            // No copy is cached: it would not be served.
            Origin::Overtaken(sources) => {
                self.metrics.read(ReadFrom::Remote);
                Flow::elsewhere(self.shared(), record, sources, None, offset, end)
            }
        };
        flow.into_body().await
    }

    fn count_local_read(&self, holding: &Holding) {
        match holding.role {
            Role::Replica => self.metrics.read(ReadFrom::Replica),
            Role::Cached => {
                self.count_cached_read(&holding.record);
                self.metrics.read(ReadFrom::Cached);
            }
        }
    }

    async fn flow_from(
        &self,
        record: &Arc<Record>,
        elsewhere: Elsewhere,
        offset: u64,
        end: u64,
    ) -> Flow {
        // A copy may have arrived since the search, or while relocation was asked.
        if let Some(holding) = self.held_now(record) {
            if holding.role == Role::Cached {
                self.count_cached_read(record);
            }
            return Flow::here(self.shared(), holding, offset, end).await;
        }
        let mut sources = elsewhere.sources(record.version);
        self.add_holders(&mut sources, record);
        let kept = self.relocate(record, &elsewhere, &sources).await;
        if let Some(holding) = self.held_now(record) {
            return Flow::here(self.shared(), holding, offset, end).await;
        }
        let tail = kept.or_else(|| self.transfers.under_way(record));
        Flow::elsewhere(
            self.shared(),
            Arc::clone(record),
            sources,
            tail,
            offset,
            end,
        )
    }

    fn held_now(&self, record: &Record) -> Option<Holding> {
        let node = self.state.node();
        let holding = node.holding(&record.key)?;
        (holding.record.version == record.version).then(|| holding.clone())
    }

    /// Asks relocation, has the copies made that it wants, and returns the spool of this node's own copy, if one
    /// is made here.
    async fn relocate(
        &self,
        record: &Arc<Record>,
        elsewhere: &Elsewhere,
        sources: &[Peer],
    ) -> Option<dataverse_store::Tail> {
        let nearest = elsewhere.hits.first()?;
        let path = self.views_of(&elsewhere.path);
        let plan = self
            .policy_slots
            .on_read(record, nearest.hit.role, path, self.now())
            .await;
        for id in plan.copy_to.iter().filter(|id| **id != self.me.id) {
            let on_path = elsewhere.path.iter().position(|peer| peer.id == *id);
            if let Some(at) = on_path {
                let hops = nearest.hops.saturating_sub(at as u32);
                self.ask_to_pull(&elsewhere.path[at], record, &nearest.peer, hops);
            }
        }
        if let Some(to) = plan.move_to {
            let to = elsewhere.path.iter().find(|peer| peer.id == to);
            if let Some(to) = to {
                self.ask_to_move(&nearest.peer, &record.key, to);
            }
        }
        if !plan.copy_to.contains(&self.me.id) {
            return None;
        }
        let wanted = Wanted {
            record: Arc::clone(record),
            sources: sources.to_vec(),
            hops: nearest.hops,
            validated: elsewhere.validated,
            occasion: Occasion::Read,
        };
        self.keep_copy(wanted).await
    }

    fn ask_to_pull(&self, peer: &Peer, record: &Arc<Record>, from: &Peer, hops: u32) {
        let ask = PullAsk {
            record: Arc::clone(record),
            from: from.clone(),
            hops,
        };
        let driver = self.shared();
        let peer = peer.clone();
        self.spawn(async move {
            if let Err(error) = driver.transport.ask(&peer, driver.message(ask)).await {
                tracing::debug!(node = %peer.name, %error, "a node on the path did not take a copy");
            }
        });
    }

    fn ask_to_move(&self, holder: &Peer, key: &Key, to: &Peer) {
        let ask = MoveAsk {
            key: key.clone(),
            relieves: false,
            to: to.clone(),
        };
        let (driver, holder) = (self.shared(), holder.clone());
        self.spawn(async move {
            let message = driver.message(ask);
            let answer = driver.transport.ask(&holder, message).await;
            if let Err(error) = answer.and_then(|answer| driver.answer_of(&holder, answer)) {
                tracing::debug!(node = %holder.name, %error, "a holder refused to move its replica");
            }
        });
    }

    /// What a search without a hit means for the reader.
    ///
    /// # Errors
    /// Why the file can't be read, unless there is an older copy and the reader accepts a stale one.
    fn missed(
        &self,
        key: &Key,
        report: &Report,
        consistency: Consistency,
    ) -> Result<Located, ReadError> {
        let key = key.clone();
        if let Some(located) = self.served_below(&key, report) {
            // That no node at all has anything newer is all that can be asked of them.
            let is_known = report.outcome == SearchOutcome::NotFound;
            return match consistency == Consistency::Newest && !is_known {
                true => Err(ReadError::Unconfirmed { key }),
                false => Ok(located),
            };
        }
        let is_deleted = self.is_deleted(&key, report);
        if is_deleted && report.outcome == SearchOutcome::NotFound {
            self.forget_hearsay(report, &key);
        }
        let known = report.floor;
        let known = known.filter(|heard| !heard.is_deletion() && !is_deleted);
        if let Some(Heard { version, .. }) = known
            && self.has_asked_all_recently_up(report)
        {
            let overtaken = self.located_overtaken(&report.overtaken);
            return match (overtaken, self.state.backlog.missing(&key)) {
                (Some(_), _) if consistency == Consistency::Newest => {
                    Err(ReadError::Unconfirmed { key })
                }
                (Some(located), _) => Ok(located),
                (None, Some(record)) if report.outcome == SearchOutcome::NotFound => {
                    Err(ReadError::Lost { record })
                }
                (None, _) => Err(ReadError::Away { key, version }),
            };
        }
        Err(match (report.outcome, self.state.backlog.missing(&key)) {
            (SearchOutcome::NotFound, Some(record)) => ReadError::Lost { record },
            (SearchOutcome::NotFound, None) => ReadError::NotFound { key },
            (other, _) => ReadError::Unknown {
                key,
                outcome: other.as_str(),
                silent: Silent(self.unanswered(&report.unanswered)),
            },
        })
    }

    /// Whether a node holds a deletion of the file, and this node knows itself of nothing that was written since.
    fn is_deleted(&self, key: &Key, report: &Report) -> bool {
        let confirmed = self.state.node().confirmed(key);
        report
            .deletion
            .as_ref()
            .is_some_and(|deletion| confirmed.is_none_or(|known| known.version <= deletion.version))
    }

    /// A copy that its node serves although other nodes, or this one, have heard of something greater that no node has.
    /// What this node knows itself to exist goes before it.
    fn served_below(&self, key: &Key, report: &Report) -> Option<Located> {
        let nearest = report.below.first()?;
        let version = nearest.hit.record.version;
        let confirmed = self.state.node().confirmed(key);
        if confirmed.is_some_and(|known| known.version > version) {
            return None;
        }
        if report.outcome == SearchOutcome::NotFound {
            self.forget_hearsay(report, key);
        }
        self.located_overtaken(&report.below)
    }

    /// Whether every node was asked that was up until recently.
    pub(in crate::driver) fn has_asked_all_recently_up(&self, report: &Report) -> bool {
        match report.outcome {
            SearchOutcome::NotFound => true,
            SearchOutcome::Partial => {
                let mut silent = report.unanswered.iter();
                silent.all(|peer| self.is_long_silent(peer.id))
            }
            _ => false,
        }
    }

    /// The older version to read when no node has the newest. It is marked as stale.
    fn located_overtaken(&self, overtaken: &[FoundHit]) -> Option<Located> {
        let nearest = overtaken.first()?;
        let record = &nearest.hit.record;
        if let Some(holding) = self.held_now(record) {
            return Some(self.here(holding, true));
        }
        Some(Located {
            record: Arc::clone(record),
            source: nearest.peer.name.to_string(),
            hops: nearest.hops,
            stale: true,
            origin: Origin::Overtaken(overtaken.iter().map(|found| found.peer.clone()).collect()),
        })
    }

    fn here(&self, holding: Holding, stale: bool) -> Located {
        Located {
            record: Arc::clone(&holding.record),
            source: self.me.name.to_string(),
            hops: 0,
            stale,
            origin: Origin::Here(holding),
        }
    }
}
