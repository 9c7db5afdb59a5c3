//! Performs a search: sends the probes that the core's state machine asks for and feeds it the answers.
//!
//! The core decides which nodes to probe and when the search ends. Answers are screened here: a version from the
//! far future is refused, and each kind of search may ignore copies that don't count for it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use dataverse_core::floors::Heard;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::limits;
use dataverse_core::pattern::Pattern;
use dataverse_core::record::Record;
use dataverse_core::search::{
    Answer, Bounds, Deletion, Hit, Peer, Probe, Question, Report, Search,
};
use dataverse_core::version::Version;
use dataverse_overlay::transport::{CallError, TransportExt};
use dataverse_replication::verification::CopyCheck;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use crate::driver::Driver;
use crate::driver::client::api::{Busy, FoundHit, Query, SearchOptions, SearchReport};

impl Driver {
    /// Searches for a client and reports the result.
    ///
    /// # Errors
    /// [`Busy`] when `limit.searches` searches are under way.
    pub async fn search(&self, query: Query, options: SearchOptions) -> Result<SearchReport, Busy> {
        let _turn = self.admission.search()?;
        self.load.count();
        let began = Instant::now();
        let report = match query {
            Query::Exact(key) => {
                let local = self.answer_locally(&key, None);
                let floor = local.known.map(|heard| heard.version);
                let question = Question::Exact {
                    key,
                    floor,
                    pending_before: None,
                };
                self.run_search(question, local, options, unscreened).await
            }
            Query::Pattern(pattern) => {
                let limit = options.limit.unwrap_or(self.settings.search_limit);
                let limit = limit.clamp(1, limits::SEARCH_HITS_MAX);
                let local = self.answer_pattern(&pattern, limit).await;
                let question = Question::Pattern { pattern, limit };
                self.run_search(question, local, options, unscreened).await
            }
        };
        Ok(self.report_of(report, began.elapsed()))
    }

    /// Searches the other nodes for a file, whatever is held here, ignoring the copies of nodes that failed to
    /// send theirs.
    pub(in crate::driver) async fn search_elsewhere(
        &self,
        key: &Key,
        floor: Option<Version>,
        without: &BTreeSet<NodeId>,
    ) -> Report {
        let local = Answer {
            hits: Vec::new(),
            ..self.answer_locally(key, floor)
        };
        let question = Question::Exact {
            key: key.clone(),
            floor: floor.max(local.known.map(|heard| heard.version)),
            pending_before: None,
        };
        let screen = |from: NodeId, answer: &mut Answer| {
            if without.contains(&from) {
                answer.hits.clear();
            }
        };
        self.run_search(question, local, SearchOptions::default(), screen)
            .await
    }

    /// Searches the whole reachable graph for a version greater than this one. Copies of this version do not end
    /// the search.
    pub(in crate::driver) async fn search_above(&self, key: &Key, version: Version) -> Report {
        self.search_past(key, version, &[]).await.0
    }

    /// The same, past copies of these records. Also returns whether there were any.
    pub(in crate::driver) async fn search_past(
        &self,
        key: &Key,
        version: Version,
        but: &[Arc<Record>],
    ) -> (Report, bool) {
        let local = Answer {
            hits: Vec::new(),
            ..self.answer_locally(key, None)
        };
        let question = Question::Exact {
            key: key.clone(),
            floor: Some(version),
            pending_before: None,
        };
        let mut passed_over = false;
        let screen = |_: NodeId, answer: &mut Answer| {
            answer.hits.retain(|hit| {
                let counts = hit.record.version > version && !hit.is_unverified();
                let is_past = counts && but.contains(&hit.record);
                passed_over |= is_past;
                counts && !is_past
            });
            let overtaken = answer.overtaken.take();
            let is_past = |hit: &Hit| but.contains(&hit.record);
            passed_over |= overtaken.as_ref().is_some_and(is_past);
            answer.overtaken = overtaken.filter(|hit| !is_past(hit));
        };
        let options = SearchOptions::default();
        let report = self.run_search(question, local, options, screen).await;
        (report, passed_over)
    }

    /// Searches for a file whose copy here is unverified. Only a replica that its own node has verified ends the
    /// search.
    pub(in crate::driver) async fn search_checking(
        &self,
        key: &Key,
        version: Version,
        check: &mut CopyCheck,
    ) -> Report {
        let local = Answer {
            hits: Vec::new(),
            known: Some(Heard::alive(version)),
            ..self.answer_locally(key, None)
        };
        let question = Question::Exact {
            key: key.clone(),
            floor: Some(version),
            pending_before: None,
        };
        let screen = |from: NodeId, answer: &mut Answer| check.hear(from, answer);
        self.run_search(question, local, SearchOptions::default(), screen)
            .await
    }

    /// Asks one node about a file, and returns its answer with the run of the node that gave it. If `excused`, a node
    /// that left need not answer, because it held nothing.
    pub(in crate::driver) async fn ask_probe(
        &self,
        peer: &Peer,
        question: Question,
        excused: bool,
    ) -> Result<(u64, Answer), CallError> {
        let asked = async {
            let reply = self.transport.ask(peer, self.message(question)).await?;
            let run = reply.sender.instance;
            let answer = self.believable(self.answer_of(peer, reply)?)?;
            Ok((run, answer))
        };
        if !excused || !self.has_left(peer.id) {
            return asked.await;
        }
        // Another node still lists it. If it is back it answers; if not, it held nothing when it left.
        let patience = self.settings.search_probe_deadline / 2;
        let answer = tokio::time::timeout(patience, asked).await;
        Ok(answer.ok().and_then(Result::ok).unwrap_or_default())
    }

    /// This node's answer to a probe for one file.
    pub(in crate::driver) fn answer_locally(&self, key: &Key, floor: Option<Version>) -> Answer {
        let neighbours = self.links.staying_peers();
        let load = self.load.per_second();
        self.state
            .node()
            .answer(key, floor, self.now(), load, neighbours)
    }

    /// This node's answer to a probe for a pattern. It scans its holdings page by page.
    pub(in crate::driver) async fn answer_pattern(&self, pattern: &Pattern, limit: u32) -> Answer {
        let now = self.now();
        let limit = limit.min(limits::SEARCH_HITS_MAX) as usize;
        let mut hits = Vec::new();
        let mut after: Option<Key> = None;
        // One hit beyond the limit shows that there are more.
        loop {
            let space = limit + 1 - hits.len();
            let page = self.state.node().scan(pattern, after.as_ref(), space, now);
            hits.extend(page.items);
            match page.resume_after {
                Some(key) if hits.len() <= limit => after = Some(key),
                _ => break,
            }
            tokio::task::yield_now().await;
        }
        let hits_are_all = hits.len() <= limit;
        hits.truncate(limit);
        Answer {
            hits,
            hits_are_all,
            known: None,
            overtaken: None,
            pending: false,
            deletion: Deletion::None,
            load: self.load.per_second(),
            neighbours: self.links.staying_peers(),
        }
    }

    async fn run_search(
        &self,
        question: Question,
        local: Answer,
        options: SearchOptions,
        mut screen: impl FnMut(NodeId, &mut Answer) + Send,
    ) -> Report {
        let asked_for = match &question {
            Question::Exact { key, .. } => Some(key.clone()),
            Question::Pattern { .. } => None,
        };
        // Deadlines run on the search's own time, which changes of the wall clock don't affect.
        let began = Instant::now();
        let elapsed = || began.elapsed().as_millis() as u64;
        let bounds = self.bounds(options);
        let mut search = Search::new(question, self.me.clone(), local, bounds, elapsed());
        let mut under_way = FuturesUnordered::new();
        let mut heard = None;
        while search.report().is_none() {
            for probe in search.poll(elapsed()) {
                under_way.push(self.probe(probe));
            }
            let Some(wake_at) = search.wake_at() else {
                break;
            };
            let wake_at = began + Duration::from_millis(wake_at);
            // Answers first: an answer that is ready when the time is up counts. What is due by then is handled
            // before every wait, so answers can't delay it.
            tokio::select! {
                biased;
                Some((peer, answer)) = under_way.next(), if !under_way.is_empty() => match answer {
                    Ok(mut answer) => {
                        heard = Heard::merged([heard, soundly_known(&answer)]);
                        screen(peer.id, &mut answer);
                        search.answered(peer.id, answer, elapsed());
                    }
                    Err(error) => {
                        tracing::debug!(node = %peer.name, %error, "a probe was not answered");
                        search.failed(peer.id, elapsed());
                    }
                },
                () = tokio::time::sleep_until(wake_at) => {}
            }
        }
        let report = search
            .into_report()
            .expect("a search with nothing left to wait for has ended");
        self.remember_floor(asked_for, heard);
        let hops = report.hits.first().map(|found| found.hops);
        let outcome = report.outcome.as_str();
        self.metrics
            .search(outcome, hops, report.probes, began.elapsed());
        report
    }

    async fn probe(&self, probe: Probe) -> (Peer, Result<Answer, CallError>) {
        let Probe { peer, question, .. } = probe;
        let answer = self.ask_probe(&peer, question, true).await;
        (peer, answer.map(|(_, answer)| answer))
    }

    /// Keeps the floor that a search heard of, even if the node that named it goes away.
    fn remember_floor(&self, key: Option<Key>, floor: Option<Heard>) {
        if let (Some(key), Some(heard)) = (key, floor) {
            self.hear(&key, heard);
        }
    }

    /// Refuses an answer with a record from the far future, which would void every real copy. What its node has only
    /// heard of is left out: it may have it from another node, and has the rest itself.
    pub(in crate::driver) fn believable(&self, mut answer: Answer) -> Result<Answer, CallError> {
        let copies = answer.hits.iter().chain(&answer.overtaken);
        let records = copies.map(|hit| &hit.record);
        for record in records.chain(answer.deletion.held()) {
            self.check_stamp(record).map_err(CallError::Refused)?;
        }
        answer.known = self.believable_floor(answer.known);
        Ok(answer)
    }

    fn bounds(&self, options: SearchOptions) -> Bounds {
        let settings = &self.settings;
        Bounds {
            hops: options.hops.unwrap_or(settings.search_hops),
            fanout: settings.search_fanout,
            probe_deadline_ms: settings.search_probe_deadline.as_millis() as u64,
            deadline_ms: settings.search_deadline.as_millis() as u64,
            budget: settings.search_budget,
            settle_ms: limits::SEARCH_SETTLE_MS,
        }
    }

    fn report_of(&self, report: Report, elapsed: Duration) -> SearchReport {
        let name = |peer: &Peer| peer.name.to_string();
        SearchReport {
            outcome: report.outcome.as_str(),
            exact: report.exact,
            hits: report
                .hits
                .iter()
                .map(|found| FoundHit {
                    record: Arc::clone(&found.hit.record),
                    node: name(&found.peer),
                    hops: found.hops,
                    role: found.hit.role,
                })
                .collect(),
            truncated: report.truncated,
            path: report.path.iter().map(name).collect(),
            probes: report.probes,
            levels: report.levels,
            unanswered: self.unanswered(&report.unanswered),
            elapsed_ms: elapsed.as_secs_f64() * 1_000.0,
        }
    }
}

/// The version that an answer vouches for. Copies that their own node has not verified don't count: the file may
/// have been deleted, and its version must not become a floor.
fn soundly_known(answer: &Answer) -> Option<Heard> {
    let sound = answer.hits.iter().filter(|hit| !hit.is_unverified());
    let sound = sound.map(|hit| Some(Heard::of(&hit.record)));
    Heard::merged(sound.chain([answer.known]))
}

/// Accepts every answer unchanged.
fn unscreened(_: NodeId, _: &mut Answer) {}
