//! `Upkeep`: everything that a node has still to do so that replicas are right, in one queue.
//!
//! A task is due at a time and has a [`Rank`]. What readers may wait for goes first, then what was never tried, then the
//! file with the fewest living copies, then the smallest. A task that fails is due again after a pause of its own, which
//! doubles from [`RETRY_MIN`] to [`RETRY_MAX`]; one that can't succeed until something changes rests for [`REST`].
//!
//! Tasks that move contents share one budget of slots, and those that only ask and tell another; healing has slots of
//! its own, so that no large file holds it up. Of the tasks whose nodes are known before they begin, at most three
//! quarters of a budget may wait for the same node. A hint waits until its node is here and has taken in the one before. What may not begin yet is
//! *parked* at the gate that is closed, out of the way of the others.

mod task;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dataverse_core::backoff::Backoff;
use dataverse_core::id::NodeId;
use dataverse_core::key::Key;
use dataverse_core::relayout::HolderState;
use dataverse_core::version::Version;

pub use self::task::{Kind, Task, TaskId};
use crate::queue::Queue;

/// Tasks of one kind: a flood of one kind leaves room for the others.
pub const TASKS_MAX: usize = 65_536;
/// Replicas that wait to be moved because another node asked; further requests are refused.
pub const MOVES_MAX: usize = 64;
/// Tasks under way that only ask and tell.
pub const QUESTIONS_AT_ONCE_MAX: usize = 16;
/// Of these, copies of a node that was away for long: each is searched for in the whole graph.
pub const VERIFICATIONS_AT_ONCE_MAX: usize = 4;
/// The pause before a task that failed is tried again. It doubles from there …
pub const RETRY_MIN: Duration = Duration::from_millis(500);
/// … up to this.
pub const RETRY_MAX: Duration = Duration::from_secs(30);
/// How long a task rests that can't succeed until something changes.
pub const REST: Duration = Duration::from_secs(5 * 60);

/// The order of tasks that are due: the lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Rank {
    /// Nobody waits for it.
    can_wait: bool,
    was_tried: bool,
    /// Living copies of the file: the fewer, the more urgent.
    pub copies: usize,
    /// Its bytes.
    pub size: u64,
}

impl Rank {
    /// The rank of a file with so many living copies of this size.
    #[must_use]
    pub const fn of(copies: usize, size: u64) -> Self {
        Self {
            can_wait: false,
            was_tried: false,
            copies,
            size,
        }
    }

    /// The rank of what goes after everything that readers may wait for.
    #[must_use]
    pub const fn last() -> Self {
        Self {
            can_wait: true,
            ..Self::of(0, 0)
        }
    }
}

/// Result of one attempt at a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// Nothing is left to do.
    Done,
    /// It failed, or has to wait: try again after a pause.
    Again,
    /// The node that was to hear gave no answer: it is left alone for a while.
    Unanswered,
    /// No reachable node has the content.
    Lost,
    /// Other nodes know of a greater version, and nobody has it.
    Overtaken,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Done,
        Self::Again,
        Self::Unanswered,
        Self::Lost,
        Self::Overtaken,
    ];

    /// Its name in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Again => "again",
            Self::Unanswered => "unanswered",
            Self::Lost => "lost",
            Self::Overtaken => "overtaken",
        }
    }
}

/// What became of a task that was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It waits for its turn.
    Waiting,
    /// It already waits, or is under way.
    Known,
    /// There are too many of its kind.
    Full,
}

/// One attempt at a task.
#[derive(Debug, Clone)]
pub struct Job {
    /// Which task it is.
    pub id: TaskId,
    /// What is to be done.
    pub task: Task,
    /// How often the task had been renewed when the attempt began.
    renewed: u64,
}

/// Tasks of one kind, and what became of earlier attempts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tasks that wait.
    pub waiting: usize,
    /// Tasks under way.
    pub active: usize,
    /// Attempts by their outcome, in the order of [`Outcome::ALL`].
    pub outcomes: [u64; Outcome::ALL.len()],
}

/// A point in time: how long after the beginning.
pub type At = Duration;

/// Budgets of slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Budget {
    Contents,
    Healing,
    Questions,
}

impl Budget {
    const ALL: [Self; 3] = [Self::Contents, Self::Healing, Self::Questions];

    const fn of(kind: Kind) -> Self {
        match kind {
            Kind::ReReplicate | Kind::Copy | Kind::Move => Self::Contents,
            Kind::Heal => Self::Healing,
            Kind::Release | Kind::Verify | Kind::Hint => Self::Questions,
        }
    }
}

/// Why a task that is due does not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gate {
    /// The node is not here, or is being told something: one hint after the other, since it has its own upkeep to do.
    Hinted(NodeId),
    /// Enough tasks wait for this node.
    Busy(Budget, NodeId),
    /// Enough tasks of this kind are under way, or none may begin.
    Kind(Kind),
}

impl Gate {
    const fn budget(self) -> Budget {
        match self {
            Self::Hinted(_) => Budget::of(Kind::Hint),
            Self::Busy(budget, _) => budget,
            Self::Kind(kind) => Budget::of(kind),
        }
    }
}

/// The place of a parked task at its gate.
type Place = (Rank, u64);

#[derive(Debug)]
struct Entry {
    task: Task,
    /// Result of the last attempt.
    last: Option<Outcome>,
    renewed: u64,
    /// It was settled while an attempt was under way, which does not matter any more.
    settled: bool,
    /// Where it is parked.
    parked: Option<(Gate, Place)>,
}

/// One budget of slots.
#[derive(Debug)]
struct Slots {
    queue: Queue<TaskId, Entry, Rank, At>,
    max: usize,
    /// Tasks under way, and the nodes whose answers they wait for.
    active: BTreeMap<TaskId, Vec<NodeId>>,
    /// Slots taken by tasks that wait for each node.
    by_node: BTreeMap<NodeId, usize>,
}

impl Slots {
    fn new(max: usize) -> Self {
        Self {
            queue: Queue::new(usize::MAX, Backoff::new(RETRY_MIN, RETRY_MAX)),
            max: max.max(1),
            active: BTreeMap::new(),
            by_node: BTreeMap::new(),
        }
    }

    /// How many more tasks may wait for this node.
    fn room_for(&self, node: NodeId) -> usize {
        let taken = self.by_node.get(&node).copied().unwrap_or_default();
        (self.max - self.max / 4).saturating_sub(taken)
    }

    fn begin(&mut self, id: TaskId, nodes: Vec<NodeId>) {
        for node in &nodes {
            *self.by_node.entry(*node).or_default() += 1;
        }
        self.active.insert(id, nodes);
    }

    fn end(&mut self, id: &TaskId) {
        for node in self.active.remove(id).unwrap_or_default() {
            if let Some(taken) = self.by_node.get_mut(&node) {
                *taken -= 1;
                if *taken == 0 {
                    self.by_node.remove(&node);
                }
            }
        }
    }
}

/// The tasks of one node.
#[derive(Debug)]
pub struct Upkeep {
    me: NodeId,
    /// In the order of [`Budget::ALL`].
    slots: [Slots; Budget::ALL.len()],
    /// Tasks that are due and may not begin, the most urgent first.
    parked: BTreeMap<Gate, BTreeMap<Place, TaskId>>,
    numbers: u64,
    /// Kinds of which none may begin now.
    paused: BTreeSet<Kind>,
    /// The hints for each node.
    hints: BTreeMap<NodeId, BTreeSet<TaskId>>,
    /// Nodes that did not hear a hint, and until when they are left alone.
    deaf: BTreeMap<NodeId, (Option<At>, Backoff)>,
    /// Tasks of which the last attempt ended like that; of those never tried, `None`.
    by_last: BTreeMap<(Kind, Option<Outcome>), BTreeSet<TaskId>>,
    /// In the order of [`Kind::ALL`].
    counts: [Counts; Kind::ALL.len()],
}

impl Upkeep {
    /// The tasks of the node `me`, of which at most `contents_max` move contents at the same time; of healing, half as
    /// many.
    #[must_use]
    pub fn new(me: NodeId, contents_max: usize) -> Self {
        Self {
            me,
            slots: Budget::ALL.map(|budget| {
                Slots::new(match budget {
                    Budget::Contents => contents_max,
                    Budget::Healing => contents_max / 2,
                    Budget::Questions => QUESTIONS_AT_ONCE_MAX,
                })
            }),
            parked: BTreeMap::new(),
            numbers: 0,
            paused: BTreeSet::new(),
            hints: BTreeMap::new(),
            deaf: BTreeMap::new(),
            by_last: BTreeMap::new(),
            counts: Default::default(),
        }
    }

    const fn slots(&self, kind: Kind) -> &Slots {
        &self.slots[Budget::of(kind) as usize]
    }

    const fn slots_mut(&mut self, kind: Kind) -> &mut Slots {
        &mut self.slots[Budget::of(kind) as usize]
    }

    const fn count_mut(&mut self, kind: Kind) -> &mut Counts {
        &mut self.counts[kind as usize]
    }

    /// The number of tasks of a kind.
    #[must_use]
    pub const fn count(&self, kind: Kind) -> usize {
        self.counts(kind).waiting + self.counts(kind).active
    }

    /// The tasks of a kind, and what became of earlier attempts.
    #[must_use]
    pub const fn counts(&self, kind: Kind) -> Counts {
        self.counts[kind as usize]
    }

    fn is_full(&self, kind: Kind) -> bool {
        let max = match kind {
            Kind::Move => MOVES_MAX,
            _ => TASKS_MAX,
        };
        self.count(kind) >= max
    }

    /// Adds a task that is due now, or says more about one that waits.
    pub fn add(&mut self, task: Task, rank: Rank, now: At) -> Added {
        let (id, kind) = (task.id(), task.kind());
        let is_active = self.slots(kind).active.contains_key(&id);
        let due = self.slots(kind).queue.due(&id);
        if let Some(entry) = self.slots_mut(kind).queue.get_mut(&id) {
            // What could not be verified must not keep something else from being tried.
            let is_new = task.renews(&entry.task)
                || (entry.last.is_some() && task.is_about_another_record(&entry.task));
            if !entry.settled && !is_new {
                return Added::Known;
            }
            entry.settled = false;
            entry.task = task;
            entry.renewed += 1;
            // Soon, however often the last one failed; but not at once, or it would be tried as often as somebody
            // says something new.
            let soon = match entry.last {
                Some(_) => now + RETRY_MIN,
                None => now,
            };
            let may_wait = is_active || entry.parked.is_some();
            if !may_wait && due.is_some_and(|due| due > soon) {
                self.slots_mut(kind).queue.due_at(&id, soon);
            }
            return Added::Waiting;
        }
        if self.is_full(kind) {
            return Added::Full;
        }
        if let Some(to) = id.to {
            self.hints.entry(to).or_default().insert(id.clone());
        }
        self.by_last
            .entry((kind, None))
            .or_default()
            .insert(id.clone());
        let entry = Entry {
            task,
            last: None,
            renewed: 0,
            settled: false,
            parked: None,
        };
        self.slots_mut(kind).queue.put(id, entry, rank, now);
        self.count_mut(kind).waiting += 1;
        Added::Waiting
    }

    /// The next task whose turn has come, which is under way from then on: end each with [`Upkeep::ended`].
    pub fn next(&mut self, now: At, state_of: impl Fn(NodeId) -> HolderState) -> Option<Job> {
        let budgets = Budget::ALL.into_iter();
        let mut budgets = budgets.filter_map(|budget| self.take(budget, now, &state_of));
        budgets.next()
    }

    fn take(
        &mut self,
        budget: Budget,
        now: At,
        state_of: &dyn Fn(NodeId) -> HolderState,
    ) -> Option<Job> {
        loop {
            let slots = &mut self.slots[budget as usize];
            if slots.active.len() >= slots.max {
                return None;
            }
            let Some(id) = slots.queue.take(now) else {
                if self.open_gates(budget, now, state_of) {
                    continue;
                }
                return None;
            };
            let Some(entry) = slots.queue.get(&id) else {
                continue;
            };
            if let Some(other) = entry.task.excluded()
                && slots.active.contains_key(&other)
            {
                slots.queue.due_at(&id, now + RETRY_MIN);
                continue;
            }
            let mut nodes = entry.task.waits_for();
            nodes.retain(|node| *node != self.me);
            let job = Job {
                task: entry.task.clone(),
                renewed: entry.renewed,
                id: id.clone(),
            };
            if let Some(gate) = self.closed_gate(budget, &id, &nodes, state_of) {
                self.park(&id, gate);
                continue;
            }
            let counts = self.count_mut(id.kind);
            counts.waiting -= 1;
            counts.active += 1;
            self.slots_mut(id.kind).begin(id, nodes);
            return Some(job);
        }
    }

    /// The first gate that keeps a task from beginning.
    fn closed_gate(
        &self,
        budget: Budget,
        id: &TaskId,
        nodes: &[NodeId],
        state_of: &dyn Fn(NodeId) -> HolderState,
    ) -> Option<Gate> {
        let hinted = id.to.map(Gate::Hinted);
        let busy = nodes.iter().map(|node| Gate::Busy(budget, *node));
        let gates = hinted.into_iter().chain([Gate::Kind(id.kind)]).chain(busy);
        let mut closed = gates.filter(|gate| self.room_at(*gate, state_of) == 0);
        closed.next()
    }

    /// How many tasks may pass a gate now.
    fn room_at(&self, gate: Gate, state_of: &dyn Fn(NodeId) -> HolderState) -> usize {
        match gate {
            Gate::Hinted(node) if self.is_left_alone(node) => 0,
            Gate::Hinted(node) if state_of(node) == HolderState::Here => {
                let active = &self.slots[Budget::Questions as usize].active;
                let is_told = active.keys().any(|id| id.to == Some(node));
                usize::from(!is_told)
            }
            Gate::Hinted(_) => 0,
            Gate::Busy(budget, node) => self.slots[budget as usize].room_for(node),
            Gate::Kind(kind) if self.paused.contains(&kind) => 0,
            Gate::Kind(Kind::Verify) => {
                VERIFICATIONS_AT_ONCE_MAX.saturating_sub(self.counts(Kind::Verify).active)
            }
            Gate::Kind(_) => usize::MAX,
        }
    }

    fn park(&mut self, id: &TaskId, gate: Gate) {
        self.numbers += 1;
        let number = self.numbers;
        let queue = &mut self.slots_mut(id.kind).queue;
        let place = (queue.rank(id).unwrap_or_default(), number);
        if let Some(entry) = queue.get_mut(id) {
            entry.parked = Some((gate, place));
            let at_gate = self.parked.entry(gate).or_default();
            at_gate.insert(place, id.clone());
        }
    }

    /// A parked task leaves its gate.
    fn unpark(&mut self, id: &TaskId) -> bool {
        let entry = self.slots_mut(id.kind).queue.get_mut(id);
        let Some((gate, place)) = entry.and_then(|entry| entry.parked.take()) else {
            return false;
        };
        if let Some(at_gate) = self.parked.get_mut(&gate) {
            at_gate.remove(&place);
            if at_gate.is_empty() {
                self.parked.remove(&gate);
            }
        }
        true
    }

    /// Tasks of a budget go on whose gates are open again, as many as may pass. Returns whether there were any.
    fn open_gates(
        &mut self,
        budget: Budget,
        now: At,
        state_of: &dyn Fn(NodeId) -> HolderState,
    ) -> bool {
        for (until, _) in self.deaf.values_mut() {
            *until = until.filter(|until| *until > now);
        }
        let mut passing = Vec::new();
        let parked = self.parked.iter();
        for (gate, at_gate) in parked.filter(|(gate, _)| gate.budget() == budget) {
            let room = self.room_at(*gate, state_of);
            passing.extend(at_gate.values().take(room).cloned());
        }
        for id in &passing {
            self.unpark(id);
            self.slots_mut(id.kind).queue.due_at(id, now);
        }
        !passing.is_empty()
    }

    /// Takes in what has changed around the node: tasks go on whose nodes are here again, or answer again.
    pub fn follow(&mut self, now: At, state_of: impl Fn(NodeId) -> HolderState) {
        for budget in Budget::ALL {
            self.open_gates(budget, now, &state_of);
        }
    }

    /// No task of this kind begins, until that is taken back.
    pub fn pause(&mut self, kind: Kind, paused: bool) {
        match paused {
            true => self.paused.insert(kind),
            false => self.paused.remove(&kind),
        };
    }

    /// An attempt is over. A task that was renewed meanwhile is tried again, whatever came of it.
    pub fn ended(&mut self, job: &Job, outcome: Outcome, now: At) {
        let (id, kind) = (&job.id, job.id.kind);
        let counts = self.count_mut(kind);
        counts.outcomes[outcome as usize] += 1;
        counts.active -= 1;
        counts.waiting += 1;
        let slots = self.slots_mut(kind);
        slots.end(id);
        let Some(entry) = slots.queue.get(id) else {
            return;
        };
        let is_renewed = entry.renewed != job.renewed;
        let is_settled = entry.settled;
        self.note_whether_heard(id, outcome, now);
        if is_settled || (outcome == Outcome::Done && !is_renewed) {
            return self.forget(id);
        }
        // What came of it says nothing about what it is about now.
        let last = match is_renewed {
            true => Outcome::Again,
            false => outcome,
        };
        let rank = self.slots(kind).queue.rank(id).unwrap_or_default();
        let rank = Rank {
            was_tried: true,
            ..rank
        };
        let slots = self.slots_mut(kind);
        slots.queue.again(id, rank, now);
        let is_long = slots.queue.due(id) >= Some(now + RETRY_MAX);
        let rests = match last {
            Outcome::Overtaken => true,
            // It may not have met the others yet.
            Outcome::Lost => is_long,
            Outcome::Done | Outcome::Again | Outcome::Unanswered => false,
        };
        if rests {
            slots.queue.due_at(id, now + REST);
        }
        self.note_last(id, Some(last));
    }

    fn is_left_alone(&self, node: NodeId) -> bool {
        let deaf = self.deaf.get(&node);
        deaf.is_some_and(|(until, _)| until.is_some())
    }

    /// A node that did not hear a hint is told the next one later.
    fn note_whether_heard(&mut self, id: &TaskId, outcome: Outcome, now: At) {
        let Some(to) = id.to else {
            return;
        };
        if outcome != Outcome::Unanswered {
            self.deaf.remove(&to);
            return;
        }
        let pauses = Backoff::new(RETRY_MIN, RETRY_MAX);
        let (until, pauses) = self.deaf.entry(to).or_insert((None, pauses));
        *until = Some(now + pauses.next_pause());
    }

    fn note_last(&mut self, id: &TaskId, last: Option<Outcome>) {
        let Some(entry) = self.slots_mut(id.kind).queue.get_mut(id) else {
            return;
        };
        let before = std::mem::replace(&mut entry.last, last);
        if let Some(those) = self.by_last.get_mut(&(id.kind, before)) {
            those.remove(id);
        }
        let those = self.by_last.entry((id.kind, last)).or_default();
        those.insert(id.clone());
    }

    /// Removes a task that is not under way.
    fn forget(&mut self, id: &TaskId) {
        self.unpark(id);
        let Some(entry) = self.slots_mut(id.kind).queue.remove(id) else {
            return;
        };
        if let Some(those) = self.by_last.get_mut(&(id.kind, entry.last)) {
            those.remove(id);
        }
        if let Some(to) = id.to
            && let Some(hints) = self.hints.get_mut(&to)
        {
            hints.remove(id);
            if hints.is_empty() {
                self.hints.remove(&to);
                self.deaf.remove(&to);
            }
        }
        self.count_mut(id.kind).waiting -= 1;
    }

    /// When the next task is due that is not under way, as far as there are slots.
    #[must_use]
    pub fn next_due(&self) -> Option<At> {
        let free = self
            .slots
            .iter()
            .filter(|slots| slots.active.len() < slots.max);
        let due = free.filter_map(|slots| slots.queue.next_due());
        let parked = |node: &NodeId| self.parked.contains_key(&Gate::Hinted(*node));
        let deaf = self.deaf.iter().filter(|(node, _)| parked(node));
        due.chain(deaf.filter_map(|(_, (until, _))| *until)).min()
    }

    fn entry(&self, id: &TaskId) -> Option<&Entry> {
        let entry = self.slots(id.kind).queue.get(id);
        entry.filter(|entry| !entry.settled)
    }

    /// The task of this id.
    #[must_use]
    pub fn get(&self, id: &TaskId) -> Option<&Task> {
        self.entry(id).map(|entry| &entry.task)
    }

    /// Whether this task exists and its first attempt is not over.
    #[must_use]
    pub fn is_untried(&self, id: &TaskId) -> bool {
        self.entry(id).is_some_and(|entry| entry.last.is_none())
    }

    /// Result of the last attempt at a task.
    #[must_use]
    pub fn last(&self, id: &TaskId) -> Option<Outcome> {
        self.entry(id).and_then(|entry| entry.last)
    }

    /// The tasks of a kind whose last attempt ended like that; those never tried, if `None`.
    pub fn with_last(
        &self,
        kind: Kind,
        last: Option<Outcome>,
    ) -> impl ExactSizeIterator<Item = &TaskId> {
        static NONE: BTreeSet<TaskId> = BTreeSet::new();
        self.by_last.get(&(kind, last)).unwrap_or(&NONE).iter()
    }

    /// Removes a task that is settled. If it is under way, what comes of it does not matter.
    pub fn remove(&mut self, id: &TaskId) {
        let slots = self.slots_mut(id.kind);
        if !slots.active.contains_key(id) {
            self.forget(id);
        } else if let Some(entry) = slots.queue.get_mut(id) {
            entry.settled = true;
        }
    }

    /// A file is more or less urgent now. `at_once`: something has changed, so that it begins anew and need not wait out
    /// its pause, unless nobody has what others know of.
    pub fn rank(&mut self, id: &TaskId, rank: Rank, at_once: Option<At>) {
        let was_tried = match self.last(id) {
            None | Some(Outcome::Done) => false,
            Some(Outcome::Again | Outcome::Unanswered | Outcome::Lost) => at_once.is_none(),
            Some(Outcome::Overtaken) => true,
        };
        let rank = Rank { was_tried, ..rank };
        let is_parked = self.unpark(id);
        let queue = &mut self.slots_mut(id.kind).queue;
        queue.rank_as(id, rank);
        let now = at_once.filter(|now| !was_tried && queue.due(id).is_some_and(|due| due > *now));
        if let Some(now) = now {
            queue.due_anew(id, now);
        }
        if is_parked {
            // It has been due for a while.
            queue.due_at(id, At::ZERO);
        }
    }

    /// Replicas that were found to be lost are tried again now: a node that has them may be back.
    pub fn retry_lost(&mut self, now: At) {
        let lost = self.with_last(Kind::Heal, Some(Outcome::Lost));
        let lost: Vec<TaskId> = lost.cloned().collect();
        let queue = &mut self.slots_mut(Kind::Heal).queue;
        for id in lost {
            if queue.due(&id).is_some_and(|due| due > now) {
                queue.due_anew(&id, now);
            }
        }
    }

    /// Nodes for which there are hints.
    pub fn hinted(&self) -> impl Iterator<Item = NodeId> {
        self.hints.keys().copied()
    }

    /// A node knows of the layout of this version: a hint that would tell it so is settled.
    pub fn has_heard(&mut self, node: NodeId, key: &Key, version: Version) {
        let id = TaskId {
            to: Some(node),
            ..TaskId::of(Kind::Hint, key)
        };
        let hint = self.get(&id);
        if matches!(hint, Some(Task::Hint { version: hinted, .. }) if *hinted <= version) {
            self.remove(&id);
        }
    }

    /// Drops the hints for a node, and returns how many there were.
    pub fn forget_hints(&mut self, node: NodeId) -> usize {
        let hints = self.hints.get(&node).cloned().unwrap_or_default();
        hints.iter().for_each(|id| self.remove(id));
        hints.len()
    }
}
