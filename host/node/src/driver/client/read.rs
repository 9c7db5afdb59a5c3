//! The read flow: locate the newest copy nearby, then stream it.
//!
//! Locating and streaming are two steps, so that a server can send headers, refuse a range or answer "not
//! modified" before any content moves. Relocation is asked once per remote read, before the content is streamed.

use std::collections::BTreeSet;
use std::sync::Arc;

use dataverse_core::holdings::{Holding, Role};
use dataverse_core::key::Key;
use dataverse_core::node::LocalRead;
use dataverse_core::record::Record;
use dataverse_core::search::{FoundHit, Peer, Report, SearchOutcome};
use dataverse_overlay::transport::{MoveAsk, PullAsk, TransportExt};
use dataverse_replication::protocol::Asked;
use dataverse_replication::reading::{
    Action, Event, Local, Missed, Read, Reading, Step, Unavailable,
};

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
        let mut read = Read::new(consistency, self.revalidate_after_ms());
        let mut last_search = None;
        let mut event = Event::Done;
        loop {
            let action = match read.step(event) {
                Step::Do(action) => action,
                Step::End(reading) => return self.located(key, reading, last_search),
            };
            event = match action {
                Action::Look => Event::Seen(self.look(key)),
                Action::Verify(record) => {
                    self.verify_copy(&record).await;
                    Event::Seen(self.look(key))
                }
                Action::Confirm { record, is_replica } => {
                    Event::Confirmed(self.confirm(&record, is_replica, consistency).await)
                }
                Action::Search { floor } => {
                    let report = self.search_elsewhere(key, floor, &BTreeSet::new()).await;
                    let event = match report.hits.first() {
                        Some(nearest) => Event::Found {
                            record: Arc::clone(&nearest.hit.record),
                            role: nearest.hit.role,
                            validated_age_ms: nearest.hit.validated_age_ms,
                        },
                        None => Event::Missed(self.missed(key, &report)),
                    };
                    last_search = Some(report);
                    event
                }
                Action::Show(record) => {
                    let hits = last_search.iter().flat_map(|report| &report.hits);
                    Event::Shown(self.has_shown(sources(hits, &record), &record).await)
                }
                Action::Forget(version) => {
                    self.state.node().disprove(key, version);
                    Event::Done
                }
            };
        }
    }

    fn look(&self, key: &Key) -> Local {
        let (read, is_unverified) = {
            let node = self.state.node();
            let read = node.read(key, self.now(), self.revalidate_after_ms());
            (read, node.is_unverified(key))
        };
        Local {
            slept_through: match &read {
                LocalRead::Serve(holding) => self.slept_through(holding),
                _ => false,
            },
            read,
            is_unverified,
            is_alone: is_unverified && self.is_alone(),
            knows_members: self.knows_members(),
        }
    }

    fn missed(&self, key: &Key, report: &Report) -> Missed {
        Missed {
            asked: self.asked_in(report),
            below: report.below.first().map(|it| it.hit.record.version),
            overtaken: !greatest_below(report).is_empty(),
            heard: report.floor,
            deletion: report.deletion.as_ref().map(|it| it.version),
            confirmed: self.state.node().confirmed(key),
            missing: self.state.backlog.missing(key),
        }
    }

    fn located(
        &self,
        key: &Key,
        reading: Reading,
        last_search: Option<Report>,
    ) -> Result<Located, ReadError> {
        match (reading, last_search) {
            (Reading::Here { holding, stale }, _) => Ok(self.here(holding, stale)),
            (Reading::No(reason), report) => Err(self.unavailable(key, reason, report.as_ref())),
            (
                Reading::Found {
                    stale,
                    validated_age_ms,
                },
                Some(report),
            ) => Ok(self.found_elsewhere(report, stale, validated_age_ms)),
            (Reading::Below, Some(report)) => Ok(self.located_overtaken(&report.below)),
            (Reading::Overtaken, Some(report)) => {
                Ok(self.located_overtaken(greatest_below(&report)))
            }
            (Reading::Found { .. } | Reading::Below | Reading::Overtaken, None) => {
                unreachable!("only a search finds a copy elsewhere")
            }
        }
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

    fn found_elsewhere(
        &self,
        report: Report,
        stale: bool,
        validated_age_ms: Option<u64>,
    ) -> Located {
        let nearest = nearest(&report.hits).clone();
        let origin = Origin::Elsewhere(Elsewhere {
            // A copy made from it is no fresher.
            validated: validated_age_ms.map_or(0, |age_ms| self.now().saturating_sub(age_ms)),
            hits: report.hits,
            path: report.path,
        });
        there(&nearest, stale, origin)
    }

    /// The older version to read when no node has the newest. It is marked as stale.
    fn located_overtaken(&self, overtaken: &[FoundHit]) -> Located {
        let nearest = nearest(overtaken);
        if let Some(holding) = self.held_now(&nearest.hit.record) {
            return self.here(holding, true);
        }
        let peers = overtaken.iter().map(|found| found.peer.clone());
        there(nearest, true, Origin::Overtaken(peers.collect()))
    }

    fn unavailable(&self, key: &Key, reason: Unavailable, report: Option<&Report>) -> ReadError {
        let key = key.clone();
        match reason {
            Unavailable::NotFound => ReadError::NotFound { key },
            Unavailable::Lost(record) => ReadError::Lost { record },
            Unavailable::Away(version) => ReadError::Away { key, version },
            Unavailable::Unconfirmed => ReadError::Unconfirmed { key },
            Unavailable::Unsettled => ReadError::Unknown {
                key,
                outcome: SearchOutcome::Deadline.as_str(),
                silent: Silent::default(),
            },
            Unavailable::Unknown => {
                let outcome = report.map_or(SearchOutcome::Deadline, |report| report.outcome);
                let unanswered = report.map_or(&[][..], |report| &report.unanswered);
                ReadError::Unknown {
                    key,
                    outcome: outcome.as_str(),
                    silent: Silent(self.unanswered(unanswered)),
                }
            }
        }
    }

    /// How many nodes a search has asked.
    pub(in crate::driver) fn asked_in(&self, report: &Report) -> Asked {
        match report.outcome {
            SearchOutcome::NotFound => Asked::All,
            SearchOutcome::Partial => {
                let mut silent = report.unanswered.iter();
                match silent.all(|peer| self.is_long_silent(peer.id)) {
                    true => Asked::RecentlyUp,
                    false => Asked::Some,
                }
            }
            _ => Asked::Some,
        }
    }

    /// For how long a cached copy is served after a replica confirmed it.
    fn revalidate_after_ms(&self) -> u64 {
        self.settings.read_revalidate_after.as_millis() as u64
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
        let mut sources = sources(&elsewhere.hits, record);
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
        holding
            .record
            .is_same_write(record)
            .then(|| holding.clone())
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
}

/// The greatest copies below what is known; of the same version, those that their nodes serve.
fn greatest_below(report: &Report) -> &[FoundHit] {
    let version = |hits: &[FoundHit]| hits.first().map(|it| it.hit.record.version);
    match version(&report.below) >= version(&report.overtaken) {
        true => &report.below,
        false => &report.overtaken,
    }
}

/// The nodes that have the content of this record, in the order to ask them.
fn sources<'a>(hits: impl IntoIterator<Item = &'a FoundHit>, record: &Record) -> Vec<Peer> {
    let hits = hits.into_iter();
    let same = hits.filter(|found| found.hit.record.is_same_write(record));
    same.map(|found| found.peer.clone()).collect()
}

fn nearest(hits: &[FoundHit]) -> &FoundHit {
    hits.first().expect("a copy was found")
}

fn there(nearest: &FoundHit, stale: bool, origin: Origin) -> Located {
    Located {
        record: Arc::clone(&nearest.hit.record),
        source: nearest.peer.name.to_string(),
        hops: nearest.hops,
        stale,
        origin,
    }
}
