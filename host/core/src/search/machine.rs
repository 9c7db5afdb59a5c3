//! `Search`: which nodes to ask next, and when to stop.
//!
//! Levels are asked one after the other, each only once the one before it has *settled*: every node of it
//! answered, failed or timed out. An exact search ends at the first level with a hit that is not below the floor,
//! once that level has settled or a short while after the hit. A pattern search ends in the same way when it has
//! as many hits as wanted and knows that there are more, or when no nodes are left to ask.
//!
//! To drive it: send what [`Search::poll`] returns; report each outcome with [`Search::answered`] or
//! [`Search::failed`]; poll again after every report and at [`Search::wake_at`]; stop when [`Search::report`]
//! returns the result. It sends nothing, waits for nothing and reads no clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::floors::Heard;
use crate::id::NodeId;
use crate::limits;
use crate::record::Record;
use crate::search::finds::{Harvest, LevelHits};
use crate::search::frontier::{Frontier, Next};
use crate::search::judge::{Judged, judge};
use crate::search::{Answer, Bounds, FoundHit, Hit, Peer, Probe, Question, Report, SearchOutcome};
use crate::version::Millis;

/// A probe in flight.
struct Asked {
    /// The question as that node was asked it: its answer is checked against the floor in that question, not a
    /// later one.
    question: Question,
    deadline: Millis,
}

/// A search in progress.
pub struct Search {
    question: Question,
    bounds: Bounds,
    /// The latest time passed in. Time that goes back is taken to stand still.
    now: Millis,
    ends_at: Millis,
    frontier: Frontier,
    in_flight: BTreeMap<NodeId, Asked>,
    level_hits: LevelHits,
    /// What was heard of the file; the version in it is the question's floor.
    heard: Option<Heard>,
    /// What nodes said that have it themselves.
    held: Option<Heard>,
    /// The greatest tombstone that a node holds.
    deletion: Option<Arc<Record>>,
    /// Copies that their nodes do not serve.
    overtaken: LevelHits,
    /// Copies that their nodes serve, below the floor.
    below: LevelHits,
    /// When the current level is committed, settled or not.
    commit_at: Option<Millis>,
    harvest: Harvest,
    /// Whether every node nearer than the current level was asked and answered.
    nearer_answered: bool,
    unanswered: Vec<Peer>,
    probes: u32,
    levels: u32,
    report: Option<Report>,
}

impl Search {
    /// A search run by `me`, whose own answer is `local` (level 0). To search only other nodes, pass an answer
    /// without hits.
    ///
    /// A limit above [`limits::SEARCH_HITS_MAX`] is lowered to it, and 0 is raised to 1.
    #[must_use]
    pub fn new(
        mut question: Question,
        me: Peer,
        local: Answer,
        bounds: Bounds,
        now: Millis,
    ) -> Self {
        let mut wanted = 0;
        if let Question::Pattern { limit, .. } = &mut question {
            *limit = (*limit).clamp(1, limits::SEARCH_HITS_MAX);
            wanted = *limit;
        }
        let budget = bounds.budget.min(limits::SEARCH_BUDGET_MAX);
        let id = me.id;
        let mut search = Self {
            ends_at: now.saturating_add(bounds.deadline_ms),
            bounds,
            now,
            frontier: Frontier::new(me, budget),
            in_flight: BTreeMap::new(),
            level_hits: LevelHits::default(),
            heard: match &question {
                Question::Exact { floor, .. } => floor.map(Heard::alive),
                Question::Pattern { .. } => None,
            },
            held: None,
            deletion: None,
            overtaken: LevelHits::default(),
            below: LevelHits::default(),
            commit_at: None,
            harvest: Harvest::new(wanted),
            nearer_answered: true,
            unanswered: Vec::new(),
            probes: 0,
            levels: 0,
            report: None,
            question,
        };
        let asked = search.question.clone();
        search.take_in(id, &asked, local);
        search.progress();
        search
    }

    /// The probes to send now; none once the search has ended.
    pub fn poll(&mut self, now: Millis) -> Vec<Probe> {
        self.pass_time(now);
        let mut probes = Vec::new();
        loop {
            self.progress();
            if !self.ask(&mut probes) {
                return probes;
            }
        }
    }

    /// Asks as many nodes of the level as may be. Returns whether some were given up without being asked, so that there
    /// may be nobody to wait for.
    fn ask(&mut self, probes: &mut Vec<Probe>) -> bool {
        let mut has_given_up = false;
        while self.may_ask()
            && let Some(next) = self.frontier.pop()
        {
            let peer = match next {
                Next::Ask(peer) => peer,
                Next::GiveUp(peer) => {
                    self.unanswered.push(peer);
                    has_given_up = true;
                    continue;
                }
            };
            let deadline = self.now.saturating_add(self.bounds.probe_deadline_ms);
            let asked = Asked {
                question: self.question.clone(),
                deadline: deadline.min(self.ends_at),
            };
            probes.push(Probe {
                peer: peer.clone(),
                level: self.frontier.level(),
                question: asked.question.clone(),
                deadline: asked.deadline,
            });
            self.in_flight.insert(peer.id, asked);
            self.probes += 1;
            self.levels = self.frontier.level();
        }
        has_given_up
    }

    /// Reports an answer. Ignored when the node was not asked, has already answered or has timed out. A late
    /// answer still counts if the search was not polled since its deadline.
    pub fn answered(&mut self, from: NodeId, answer: Answer, now: Millis) {
        self.pass_time(now);
        if self.report.is_none()
            && let Some(asked) = self.in_flight.remove(&from)
        {
            if self.frontier.answered(from) {
                self.unanswered.retain(|peer| peer.id != from);
            }
            self.take_in(from, &asked.question, answer);
            self.progress();
        }
    }

    /// Reports that a node could not be asked: it is unreachable, refused, timed out, or a different node
    /// answered. Ignored when the node was not asked or has already answered.
    pub fn failed(&mut self, from: NodeId, now: Millis) {
        self.pass_time(now);
        if self.report.is_none() && self.in_flight.remove(&from).is_some() {
            self.unanswered.extend(self.frontier.failed(from));
            self.progress();
        }
    }

    /// When to poll next if nothing is reported before; `None` once the search has ended.
    #[must_use]
    pub fn wake_at(&self) -> Option<Millis> {
        if self.report.is_some() {
            return None;
        }
        if self.may_ask() && self.frontier.is_waiting() {
            return Some(self.now);
        }
        let probes = self.in_flight.values().map(|asked| asked.deadline);
        probes.chain(self.commit_at).chain([self.ends_at]).min()
    }

    /// The result, once the search has ended.
    #[must_use]
    pub const fn report(&self) -> Option<&Report> {
        self.report.as_ref()
    }

    /// The result, once the search has ended.
    #[must_use]
    pub fn into_report(self) -> Option<Report> {
        self.report
    }

    fn pass_time(&mut self, now: Millis) {
        self.now = self.now.max(now);
    }

    fn may_ask(&self) -> bool {
        self.report.is_none() && self.in_flight.len() < self.bounds.fanout.max(1) as usize
    }

    /// Processes the answer of the searching node itself or of a node that was asked.
    fn take_in(&mut self, from: NodeId, asked: &Question, answer: Answer) {
        let load = answer.load;
        let Judged {
            hits,
            may_have_more,
            known,
            overtaken,
            serves_overtaken,
            deletion,
            neighbours,
            is_sound,
        } = judge(asked, answer);
        if !is_sound {
            self.unanswered.push(self.frontier.peer(from).clone());
        }
        self.raise_floor(known);
        let peer = self.frontier.peer(from).clone();
        let hops = self.frontier.level();
        let found = |hit: Hit| FoundHit {
            hit,
            peer: peer.clone(),
            hops,
            load,
        };
        if let Some(overtaken) = overtaken {
            match serves_overtaken {
                true => self.below.push_highest(found(overtaken)),
                false => self.overtaken.push_highest(found(overtaken)),
            }
        }
        if let Some(deletion) = deletion {
            let heard = Some(Heard::of(&deletion));
            self.held = Heard::merged([self.held, heard]);
            self.raise_floor(heard);
            self.deletion = self.deletion.take().max(Some(deletion));
        }
        if may_have_more {
            self.harvest.cut();
        }
        for hit in hits {
            self.keep(found(hit));
        }
        self.frontier.name(from, neighbours);
    }

    /// Adds a hit. The first hit that is enough sets the time at which the level is committed.
    fn keep(&mut self, found: FoundHit) {
        if self.is_pattern() {
            self.harvest.push(found);
            if !self.harvest.is_overfull() {
                return;
            }
        } else {
            let version = found.hit.record.version;
            let heard = Some(Heard::alive(version));
            self.raise_floor(heard);
            if !found.hit.is_unverified() {
                self.held = Heard::merged([self.held, heard]);
            }
            if Some(version) < self.heard.map(|heard| heard.version) {
                self.pass_over(found);
                return;
            }
            self.level_hits.push(found);
        }
        let settled = self.now.saturating_add(self.bounds.settle_ms);
        self.commit_at.get_or_insert(settled);
    }

    /// Raises the floor to a version that was heard of, which invalidates hits below it.
    fn raise_floor(&mut self, known: Option<Heard>) {
        let Question::Exact { floor, .. } = &mut self.question else {
            return;
        };
        self.heard = Heard::merged([self.heard, known]);
        *floor = self.heard.map(|heard| heard.version);
        for found in self.level_hits.void_below(*floor) {
            self.pass_over(found);
        }
        if self.level_hits.is_empty() {
            self.commit_at = None;
        }
    }

    /// Keeps a hit that is below the floor, for the case that no node has anything greater.
    fn pass_over(&mut self, found: FoundHit) {
        if !found.hit.is_unverified() {
            self.below.push_highest(found);
        }
    }

    const fn is_pattern(&self) -> bool {
        matches!(self.question, Question::Pattern { .. })
    }

    /// Advances the search as far as possible at this time.
    ///
    /// The deadline of the whole search takes precedence over those of single probes, which it may have shortened.
    /// Answers that have arrived count first, however late.
    fn progress(&mut self) {
        while self.report.is_none() {
            let is_over = self.now >= self.ends_at;
            if !is_over {
                self.give_up_on_late_probes();
            }
            let has_settled = self.in_flight.is_empty() && !self.frontier.is_waiting();
            if let Some(commit_at) = self.commit_at
                && (has_settled || is_over || self.now >= commit_at)
            {
                self.end(
                    SearchOutcome::Found,
                    self.nearer_answered && !self.is_pattern(),
                );
            } else if has_settled {
                self.leave_level();
            } else if is_over {
                self.give_up_on_all_probes();
                self.end(SearchOutcome::Deadline, false);
            } else {
                break;
            }
        }
    }

    /// Called when the current level has settled without ending the search: moves on to the next level, or ends.
    fn leave_level(&mut self) {
        let all_answered = self.unanswered.is_empty();
        if self.frontier.has_more() && self.frontier.is_spent() {
            self.end(SearchOutcome::Budget, false);
        } else if self.frontier.has_more() && self.frontier.level() >= self.bounds.hops {
            self.end(SearchOutcome::Horizon, false);
        } else if self.frontier.has_more() {
            self.nearer_answered = all_answered && !self.frontier.level_is_clipped();
            self.frontier.advance();
        } else if !all_answered {
            self.end(SearchOutcome::Partial, false);
        } else if !self.harvest.is_empty() {
            self.end(SearchOutcome::Found, true);
        } else {
            self.end(SearchOutcome::NotFound, true);
        }
    }

    fn give_up_on_late_probes(&mut self) {
        let now = self.now;
        let (frontier, unanswered) = (&mut self.frontier, &mut self.unanswered);
        self.in_flight.retain(|id, asked| {
            let is_late = asked.deadline <= now;
            if is_late {
                unanswered.extend(frontier.failed(*id));
            }
            !is_late
        });
    }

    fn give_up_on_all_probes(&mut self) {
        for id in std::mem::take(&mut self.in_flight).into_keys() {
            self.unanswered.push(self.frontier.peer(id).clone());
        }
    }

    fn end(&mut self, outcome: SearchOutcome, exact: bool) {
        let truncated = self.harvest.is_overfull();
        let hits = if self.is_pattern() {
            self.harvest.take_sorted()
        } else {
            self.level_hits.take_sorted()
        };
        let path = match hits.first() {
            Some(best) if !self.is_pattern() => self.frontier.path(best.peer.id),
            _ => Vec::new(),
        };
        // That a deletion was heard of hides nothing: a node that holds it says so.
        let buried = self.held.and_then(|held| held.buried);
        let not_deleted = |mut hits: Vec<FoundHit>| {
            hits.retain(|found| Some(found.hit.record.version) > buried);
            hits
        };
        self.report = Some(Report {
            outcome,
            exact,
            hits,
            truncated,
            path,
            probes: self.probes,
            levels: self.levels,
            unanswered: std::mem::take(&mut self.unanswered),
            floor: self.heard,
            held: self.held,
            deletion: self.deletion.take(),
            overtaken: not_deleted(self.overtaken.take_sorted()),
            below: not_deleted(self.below.take_sorted()),
        });
    }
}
