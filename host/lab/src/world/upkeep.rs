//! Upkeep in simulated time: every node works through its tasks in the order and with the slots of a live node
//! (`dataverse_replication::upkeep`). A task that moves content takes as long as its transfers.
//!
//! A live node scans its replicas at intervals; here it does when something has changed: a node has been gone for
//! `repair_after`, or one joins, leaves or returns, or a link is made. What no node can take waits for the next scan.

use std::sync::Arc;
use std::time::Duration;

use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::record::Record;
use dataverse_core::relayout::{self, HolderState, Need, move_away};
use dataverse_replication::protocol::{NotRelaid, Relayout, Release};
use dataverse_replication::upkeep::{Job, Kind, Outcome, Rank, Task, TaskId};

use super::perform::Means;
use super::simulation::SimulatedNetwork;

/// A task under way at a node, and what comes of it.
pub(super) struct UnderWay {
    node: u32,
    job: Job,
    outcome: Outcome,
}

impl SimulatedNetwork<'_> {
    /// Does all upkeep that is due by then.
    pub(super) fn keep_up(&mut self, until_us: u64) {
        loop {
            let ends = self.under_way.first_key_value().map(|(at, _)| at.0);
            let wakes = self.wakes.first().map(|(at, _)| *at);
            let scans = self.scans.first().copied();
            let next = [ends, wakes, scans].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= until_us) else {
                return;
            };
            self.now_us = self.now_us.max(next);
            if ends == Some(next) {
                if let Some((_, ended)) = self.under_way.pop_first() {
                    self.ended(&ended);
                }
            } else if wakes == Some(next) {
                if let Some((_, node)) = self.wakes.pop_first() {
                    self.work(node);
                }
            } else {
                self.scans.pop_first();
                self.scan();
            }
        }
    }

    fn ended(&mut self, ended: &UnderWay) {
        let (node, at) = (ended.node, self.time());
        self.site(node).upkeep.ended(&ended.job, ended.outcome, at);
        self.work(node);
        let is_drained = self.leaving.contains(&node)
            && self.sites[node as usize].upkeep.count(Kind::ReReplicate) == 0;
        if is_drained {
            self.leaving.remove(&node);
            self.goes(node);
        }
    }

    const fn time(&self) -> Duration {
        Duration::from_micros(self.now_us)
    }

    /// Begins what a node's slots allow.
    fn work(&mut self, node: u32) {
        if !self.routes.is_alive(node) {
            return;
        }
        while let Some(job) = self.next_job(node) {
            self.taken_us = 0;
            let outcome = self.work_on(node, &job.task);
            self.begun += 1;
            let ends = (self.now_us + self.taken_us, self.begun);
            let begun = UnderWay { node, job, outcome };
            self.under_way.insert(ends, begun);
        }
        if let Some(due) = self.sites[node as usize].upkeep.next_due() {
            self.wakes.insert((due.as_micros() as u64, node));
        }
    }

    fn next_job(&mut self, node: u32) -> Option<Job> {
        let (now, liveness) = (self.time(), self.liveness(node));
        let upkeep = &mut self.sites[node as usize].upkeep;
        upkeep.follow(now, &liveness);
        upkeep.next(now, &liveness)
    }

    /// Who is alive, away or gone as a node sees it.
    pub(super) fn liveness(&mut self, node: u32) -> impl Fn(NodeId) -> HolderState + use<> {
        let search_plan = self.search_plan(node);
        let patience_us = libm::round(self.scenario.nodes.repair_after.value() * 1e6) as u64;
        let by_id = Arc::clone(&self.by_id);
        let down_since = Arc::clone(&self.down_since);
        let now_us = self.now_us;
        move |id| {
            let other = by_id[&id];
            match down_since.get(&other) {
                Some(since) if now_us.saturating_sub(*since) >= patience_us => HolderState::Gone,
                Some(_) => HolderState::Away,
                None if search_plan.hops(other).is_none() => HolderState::Away,
                None => HolderState::Here,
            }
        }
    }

    /// Adds a task to a node's. It begins as soon as what is under way at this moment is over, if there is a slot.
    pub(super) fn add_task(&mut self, node: u32, task: Task, rank: Rank) {
        let now = self.time();
        self.site(node).upkeep.add(task, rank, now);
        self.wakes.insert((self.now_us, node));
    }

    /// Every node looks through its replicas for files that need something.
    pub(super) fn scan(&mut self) {
        for node in 0..self.sites.len() as u32 {
            if self.routes.is_alive(node) {
                self.scan_at(node);
            }
        }
    }

    fn scan_at(&mut self, node: u32) {
        let (now, liveness) = (self.time(), self.liveness(node));
        let leaving = self.leaving.contains(&node);
        let site = self.site(node);
        let mut after: Option<Key> = None;
        loop {
            let page = site.core.replicas_after(after.as_ref());
            for record in &page.items {
                let Some(need) = relayout::need(record, site.id, leaving, &liveness) else {
                    continue;
                };
                let rank = Rank::of(need.live, record.size);
                site.upkeep
                    .add(Task::ReReplicate(Arc::clone(record)), rank, now);
                let id = TaskId::of(Kind::ReReplicate, &record.key);
                site.upkeep.rank(&id, rank, Some(now));
            }
            after = page.resume_after;
            if after.is_none() {
                break;
            }
        }
        self.wakes.insert((self.now_us, node));
    }

    fn work_on(&mut self, node: u32, task: &Task) -> Outcome {
        let id = self.sites[node as usize].id;
        let file = self.by_file[&task.key().file_id().0];
        match task {
            Task::ReReplicate(_) => {
                let Some((record, need)) = self.need_of(node, file) else {
                    return Outcome::Done;
                };
                let (bytes, _) = self.relayout(node, file, &record, need, None);
                self.tally.counts.repaired_bytes += bytes;
                Outcome::Done
            }
            Task::Move { record, from, to } => {
                let to = self.by_id[&to.id];
                let Some(need) = move_away(record, *from, self.sites[to as usize].id) else {
                    return Outcome::Done;
                };
                let record = Arc::clone(record);
                let (bytes, moved) = self.relayout(node, file, &record, need, Some(to));
                if moved.is_ok() {
                    self.tally.counts.moves += 1;
                }
                self.tally.counts.relocated_bytes += bytes;
                Outcome::Done
            }
            Task::Release(_, greater) => {
                let release = Release::new(id, greater.clone());
                self.run(release, &mut Means::of(node, file))
            }
            // Nothing is corrupted here, and what a node has missed it learns when it is back.
            Task::Heal(_)
            | Task::Fetch { .. }
            | Task::Send { .. }
            | Task::Verify(_)
            | Task::Hint { .. } => Outcome::Done,
        }
    }

    fn need_of(&mut self, node: u32, file: u32) -> Option<(Arc<Record>, Need)> {
        let (liveness, leaving) = (self.liveness(node), self.leaving.contains(&node));
        let site = &self.sites[node as usize];
        let held = site.core.holding(&self.files[file as usize].key)?;
        let record = Arc::clone(&held.record);
        let replica = Some(record).filter(|_| held.role == Role::Replica)?;
        let need = relayout::need(&replica, site.id, leaving, liveness)?;
        Some((replica, need))
    }

    /// Gives a file other holders: `to`, or those that the placement policy of this node ranks. Returns the bytes that
    /// were copied.
    fn relayout(
        &mut self,
        node: u32,
        file: u32,
        record: &Arc<Record>,
        need: Need,
        to: Option<u32>,
    ) -> (u64, Result<usize, NotRelaid>) {
        let mut means = Means::of(node, file);
        means.takers = match to {
            Some(to) => vec![to],
            None => {
                let ranked = self.place(node, file, record.size, &need.keep);
                let is_new = |other: &u32| {
                    let id = self.sites[*other as usize].id;
                    *other != node && !record.layout.names(id)
                };
                ranked.into_iter().filter(is_new).collect()
            }
        };
        if need.keep.len() + means.takers.len() < need.holders_min {
            let none = NotRelaid::NoTaker {
                wanted: need.wanted,
                took: 0,
            };
            return (0, Err(none));
        }
        let id = self.sites[node as usize].id;
        let relayout = match to {
            Some(to) => {
                let to = self.sites[to as usize].id;
                Relayout::moving(id, Arc::clone(record), need, to)
            }
            None => Relayout::new(id, Arc::clone(record), need),
        };
        let relaid = self.run(relayout, &mut means);
        (means.copied_bytes, relaid)
    }
}
