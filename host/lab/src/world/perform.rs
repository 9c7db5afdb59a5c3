//! Runs the protocols of `dataverse_replication`: performs their actions on the simulated nodes, as the live driver
//! does over its transport and store. Every action is over at once; what it sends is added to the time that the task
//! takes.

use std::collections::BTreeSet;
use std::sync::Arc;

use dataverse_core::floors::Heard;
use dataverse_core::holdings::Role;
use dataverse_core::id::NodeId;
use dataverse_core::node::Effect;
use dataverse_core::record::Record;
use dataverse_core::relayout::HolderState;
use dataverse_core::version::{Stamp, Version};
use dataverse_replication::protocol::{
    Action, Asked, Committed, Event, Found, Protocol, Seen, Step,
};
use dataverse_replication::upkeep::{Rank, Task};

use super::simulation::SimulatedNetwork;

/// What a protocol about one file has to work with.
pub(super) struct Means {
    /// The node that runs it.
    node: u32,
    file: u32,
    /// Nodes that may take a copy, best first.
    pub(super) takers: Vec<u32>,
    /// Nodes with the content of a write or a relayout.
    pub(super) ready: BTreeSet<u32>,
    /// Bytes sent to them.
    pub(super) copied_bytes: u64,
}

impl Means {
    pub(super) const fn of(node: u32, file: u32) -> Self {
        Self {
            node,
            file,
            takers: Vec::new(),
            ready: BTreeSet::new(),
            copied_bytes: 0,
        }
    }
}

impl SimulatedNetwork<'_> {
    /// Runs a protocol to its end.
    pub(super) fn run<P: Protocol>(&mut self, mut protocol: P, means: &mut Means) -> P::Output {
        let mut event = Event::Done;
        loop {
            match protocol.step(event) {
                Step::Do(action) => event = self.perform(action, means),
                Step::End(output) => return output,
            }
        }
    }

    fn perform(&mut self, action: Action, means: &mut Means) -> Event {
        let (node, file) = (means.node, means.file);
        match action {
            Action::Look => return Event::Seen(self.seen_at(node, file)),
            Action::Ask(nodes) => {
                let now = self.now();
                let search_plan = self.search_plan(node);
                let key = &self.files[file as usize].key;
                let answers = nodes.into_iter().map(|id| {
                    let other = self.by_id[&id];
                    let site = &self.sites[other as usize];
                    let in_reach = search_plan.hops(other).is_some();
                    let answer = in_reach.then(|| site.core.answer(key, None, now, 0, Vec::new()));
                    (id, answer)
                });
                return Event::Answers(answers.collect());
            }
            Action::Search { above, but } => {
                return Event::Found(self.found_above(means, above, &but));
            }
            Action::Prepare { record, wanted } => {
                return Event::Prepared(self.prepare(means, &record, wanted));
            }
            Action::Verify(heard) => {
                let key = self.files[file as usize].key.clone();
                self.site(node).core.hear(&key, heard);
                return Event::Seen(self.seen_at(node, file));
            }
            Action::LayAnew { record, holders } => {
                // No node can die halfway here, so incrementing the counter is enough.
                let core = &self.sites[node as usize].core;
                let layout = core.next_layout(&record.layout, Stamp::default(), holders);
                let laid = Record {
                    layout,
                    ..(*record).clone()
                };
                return Event::Laid(Ok(Arc::new(laid)));
            }
            Action::Commit { record, on } => {
                let on = on.into_iter();
                let committed = on.map(|id| (id, self.commit_at(self.by_id[&id], means, &record)));
                return Event::Committed(committed.collect());
            }
            Action::Show { record, by } => {
                let by = self.by_id[&by];
                return Event::Shown(self.sites[by as usize].holds(&record));
            }
            Action::Tell { record, to } => {
                let search_plan = self.search_plan(node);
                let told = to.into_iter().map(|id| {
                    let other = self.by_id[&id];
                    let in_reach = search_plan.hops(other).is_some();
                    if in_reach {
                        self.learn(other, file, &record);
                    }
                    (id, in_reach)
                });
                return Event::Told(told.collect());
            }
            Action::Announce(record) => {
                self.is_written(file, &record);
                self.announce(node, file, &record);
            }
            Action::Learn(record) | Action::TakeIn(record) => {
                self.is_written(file, &record);
                self.learn(node, file, &record);
            }
            Action::Confirm(heard) => {
                let key = self.files[file as usize].key.clone();
                self.site(node).core.confirm(&key, heard);
            }
            Action::Forget(version) => {
                let key = self.files[file as usize].key.clone();
                self.site(node).core.disprove(&key, version);
            }
            Action::Replace { record, .. } => {
                return Event::Stored(self.replace_at(node, file, &record));
            }
            Action::Demote(record) => {
                self.demote(node, file, &record);
                return Event::Stored(true);
            }
            Action::Spares { tombstone, wanted } => {
                let search_plan = self.search_plan(node);
                let within = search_plan.within(self.scenario.nodes.placement_radius);
                let others = within.map(|(other, _)| self.sites[other as usize].id);
                let spares = others.filter(|id| !tombstone.layout.names(*id));
                return Event::Spares(spares.take(wanted).collect());
            }
            Action::Stamp(above) => {
                let now = self.now();
                let version = self.site(node).version_above(Some(above.stamp), now);
                return Event::Stamped(Ok(version));
            }
            // What is prepared takes no space here, a node that was away learns what it missed when it is back, and no
            // holder lacks its content.
            Action::Abandon(_) | Action::Hint { .. } | Action::Offer { .. } | Action::Reach(_) => {}
            Action::Copies(_) | Action::Fetch { .. } | Action::Relieve(_) | Action::GiveUp(_) => {
                unreachable!("no replica goes bad here")
            }
        }
        Event::Done
    }

    fn seen_at(&mut self, node: u32, file: u32) -> Seen {
        let liveness = self.liveness(node);
        let site = &self.sites[node as usize];
        let key = &self.files[file as usize].key;
        let held = site.core.holding(key).cloned();
        let holders = held.iter().flat_map(|held| &held.record.layout.holders);
        let left = holders.filter(|id| **id != site.id && liveness(**id) != HolderState::Gone);
        Seen {
            others_left: left.count(),
            known: site.core.known(key),
            confirmed: site.core.confirmed(key),
            held,
        }
    }

    fn found_above(&mut self, means: &Means, above: Version, but: &[Arc<Record>]) -> Found {
        let search_plan = self.search_plan(means.node);
        let known = &self.files[means.file as usize];
        let nodes = known.copies.iter().chain(&known.buried).copied();
        let in_reach = nodes.filter(|it| search_plan.hops(*it).is_some());
        let held = in_reach.filter_map(|it| self.sites[it as usize].core.holding(&known.key));
        let records = held.map(|held| &held.record);
        let (past, found): (Vec<_>, Vec<_>) = records
            .filter(|record| record.version > above)
            .partition(|record| but.contains(record));
        Found {
            record: found.into_iter().max().cloned(),
            passed_over: !past.is_empty(),
            heard: None,
            asked: Asked::All,
        }
    }

    /// The content goes to the first so many takers that can make space.
    fn prepare(
        &mut self,
        means: &mut Means,
        record: &Arc<Record>,
        wanted: usize,
    ) -> Vec<(NodeId, Option<Heard>)> {
        let now = self.now();
        let search_plan = self.search_plan(means.node);
        let mut prepared = Vec::new();
        for taker in std::mem::take(&mut means.takers) {
            if prepared.len() == wanted {
                break;
            }
            if search_plan.hops(taker).is_none() {
                continue;
            }
            let size = record.size;
            if !record.deleted {
                let Ok(victims) = self.site(taker).make_room(size, now) else {
                    continue;
                };
                self.note_victims(taker, &victims);
                means.copied_bytes += size;
                let sent_us = self.carry(&search_plan.path(taker), size);
                self.taken_us = self.taken_us.max(sent_us);
            }
            means.ready.insert(taker);
            let site = &self.sites[taker as usize];
            prepared.push((site.id, site.core.known(&record.key)));
        }
        prepared
    }

    fn commit_at(&mut self, at: u32, means: &Means, record: &Arc<Record>) -> Committed {
        let now = self.now();
        if at != means.node && self.search_plan(means.node).hops(at).is_none() {
            return Committed::Silent;
        }
        let site = self.site(at);
        match site.core.holding(&record.key) {
            Some(held) if held.record > *record => {
                return Committed::Greater(Arc::clone(&held.record));
            }
            Some(held) if held.record == *record && held.role == Role::Replica => {
                return Committed::Here;
            }
            _ => {}
        }
        let has_content = record.deleted || site.holds(record) || means.ready.contains(&at);
        if !has_content {
            return Committed::Silent;
        }
        site.hold(record, Role::Replica, now, now);
        self.note_held(means.file, at, record);
        Committed::Here
    }

    fn note_held(&mut self, file: u32, node: u32, record: &Record) {
        if !record.deleted {
            return self.note_copy(file, node);
        }
        self.note_gone(file, node);
        let buried = &mut self.files[file as usize].buried;
        if !buried.contains(&node) {
            buried.push(node);
        }
    }

    /// A record was acknowledged, or got another layout.
    pub(super) fn is_written(&mut self, file: u32, record: &Arc<Record>) {
        let newest = &mut self.files[file as usize].record;
        if newest.as_ref().is_none_or(|newest| **newest < **record) {
            *newest = Some(Arc::clone(record));
        }
    }

    /// A node hears of a record. If it is greater than what it holds, its holders are asked.
    pub(super) fn learn(&mut self, node: u32, file: u32, record: &Arc<Record>) {
        for effect in self.site(node).core.learn(record) {
            match effect {
                Effect::Announce { .. } => {}
                Effect::Verify { record } => {
                    let key = record.key.clone();
                    self.add_task(node, Task::Release(key, Some(record)), Rank::default());
                }
                other => self.perform_effect(node, file, other),
            }
        }
    }

    fn replace_at(&mut self, node: u32, file: u32, record: &Arc<Record>) -> bool {
        let core = &mut self.site(node).core;
        core.confirm(&record.key, Heard::of(record));
        let effect = core.replacement(record);
        let replaces = effect.is_some();
        if let Some(effect) = effect {
            self.perform_effect(node, file, effect);
        }
        replaces
    }

    fn perform_effect(&mut self, node: u32, file: u32, effect: Effect) {
        let now = self.now();
        match effect {
            Effect::Drop { key, .. } => {
                self.site(node).drop_copy(&key);
                self.note_gone(file, node);
            }
            Effect::Adopt { record, role } => {
                self.site(node).hold(&record, role, 0, now);
                self.note_held(file, node, &record);
            }
            Effect::Announce { .. } | Effect::Verify { .. } => {}
        }
    }

    /// A replica that a newer layout leaves out becomes a cached copy, if the eviction policy admits it.
    fn demote(&mut self, node: u32, file: u32, record: &Arc<Record>) {
        let now = self.now();
        let site = self.site(node);
        // Its bytes count as a replica's until it is demoted.
        let (admitted, victims) = site.admit(record, 1, record.size, now);
        match admitted {
            true => site.hold(record, Role::Cached, 0, now),
            false => site.drop_copy(&record.key),
        }
        self.note_victims(node, &victims);
        if !admitted {
            self.note_gone(file, node);
        }
    }
}
