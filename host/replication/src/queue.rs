//! One queue of work for each kind of upkeep: at most one task per key, with a bound, a due time, a rank and one
//! backoff each.
//!
//! A task that fails is due again after a pause of its own, which doubles, so that one that can't succeed holds up no
//! other. Among tasks that are due, the one with the lowest rank goes first, then the one that has been due longest.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Add;
use std::time::Duration;

use dataverse_core::backoff::Backoff;

/// The place of a task in its queue: rank, due time, and a number that keeps tasks in order that are equal in both.
type Place<R, At> = (R, At, u64);

#[derive(Debug)]
struct Entry<T, R, At> {
    task: T,
    backoff: Backoff,
    /// `None` while it is being worked on.
    place: Option<Place<R, At>>,
    rank: R,
}

/// Tasks of one kind, by key. `At` is a point in time, which the caller passes in.
#[derive(Debug)]
pub struct Queue<K, T, R, At> {
    entries: BTreeMap<K, Entry<T, R, At>>,
    /// Not due when last looked at, the earliest first.
    later: BTreeMap<(At, u64), K>,
    /// Due, in the order in which to do them.
    ready: BTreeSet<(R, At, u64, K)>,
    numbers: u64,
    max: usize,
    pauses: Backoff,
}

impl<K, T, R, At> Queue<K, T, R, At>
where
    K: Ord + Clone,
    R: Ord + Copy,
    At: Ord + Copy + Add<Duration, Output = At>,
{
    /// A queue of at most `max` tasks, with these pauses after each failure.
    #[must_use]
    pub const fn new(max: usize, pauses: Backoff) -> Self {
        Self {
            entries: BTreeMap::new(),
            later: BTreeMap::new(),
            ready: BTreeSet::new(),
            numbers: 0,
            max,
            pauses,
        }
    }

    /// Adds a task that is due at `at`, with the shortest pause ahead of it, in place of an earlier one with this key.
    /// False, and nothing is changed, if there are too many.
    pub fn put(&mut self, key: K, task: T, rank: R, at: At) -> bool {
        if self.entries.len() >= self.max && !self.entries.contains_key(&key) {
            return false;
        }
        self.remove(&key);
        let entry = Entry {
            task,
            backoff: self.pauses,
            place: None,
            rank,
        };
        self.entries.insert(key.clone(), entry);
        self.place(&key, at);
        true
    }

    /// The task of this key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&T> {
        self.entries.get(key).map(|entry| &entry.task)
    }

    /// The task of this key, to be changed. When it is due does not change.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut T> {
        self.entries.get_mut(key).map(|entry| &mut entry.task)
    }

    /// Removes the task of this key, whether or not it is being worked on.
    pub fn remove(&mut self, key: &K) -> Option<T> {
        let entry = self.entries.remove(key)?;
        if let Some(place) = entry.place {
            self.unplace(key, place);
        }
        Some(entry.task)
    }

    /// Takes the next due task, which is being worked on from then on: end that with [`Queue::again`],
    /// [`Queue::due_at`] or [`Queue::remove`].
    pub fn take(&mut self, now: At) -> Option<K> {
        self.wake(now);
        let (.., key) = self.ready.pop_first()?;
        let entry = self.entries.get_mut(&key);
        debug_assert!(entry.is_some(), "what is ready is an entry");
        entry?.place = None;
        Some(key)
    }

    /// The rank of a task.
    #[must_use]
    pub fn rank(&self, key: &K) -> Option<R> {
        self.entries.get(key).map(|entry| entry.rank)
    }

    /// Gives a task another rank. When it is due does not change.
    pub fn rank_as(&mut self, key: &K, rank: R) {
        let due = self.due(key);
        if let Some(entry) = self.entries.get_mut(key) {
            let place = entry.place.take();
            entry.rank = rank;
            if let Some(place) = place {
                self.unplace(key, place);
            }
        }
        if let Some(due) = due {
            self.place(key, due);
        }
    }

    /// When the next task is due that is not being worked on; any time in the past if one is due already.
    #[must_use]
    pub fn next_due(&self) -> Option<At> {
        let ready = self.ready.first().map(|(_, at, ..)| *at);
        ready.or_else(|| self.later.first_key_value().map(|((at, _), _)| *at))
    }

    /// Work on this task failed: it is due again after its next pause, with this rank.
    pub fn again(&mut self, key: &K, rank: R, now: At) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        entry.rank = rank;
        let at = now + entry.backoff.next_pause();
        self.due_at(key, at);
    }

    /// Makes a task due at this time, whether or not it is being worked on.
    pub fn due_at(&mut self, key: &K, at: At) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        if let Some(place) = entry.place.take() {
            self.unplace(key, place);
        }
        self.place(key, at);
    }

    /// The same, and its next pause is the shortest again.
    pub fn due_anew(&mut self, key: &K, at: At) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.backoff.reset();
        }
        self.due_at(key, at);
    }

    /// When a task is due; `None` while it is being worked on, and if there is none.
    #[must_use]
    pub fn due(&self, key: &K) -> Option<At> {
        let (_, at, _) = self.entries.get(key)?.place?;
        Some(at)
    }

    /// The number of tasks, those that are being worked on included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn place(&mut self, key: &K, at: At) {
        self.numbers += 1;
        if let Some(entry) = self.entries.get_mut(key) {
            entry.place = Some((entry.rank, at, self.numbers));
            self.later.insert((at, self.numbers), key.clone());
        }
    }

    fn unplace(&mut self, key: &K, (rank, at, number): Place<R, At>) {
        if self.later.remove(&(at, number)).is_none() {
            self.ready.remove(&(rank, at, number, key.clone()));
        }
    }

    fn wake(&mut self, now: At) {
        while let Some(first) = self.later.first_entry()
            && first.key().0 <= now
        {
            let ((at, number), key) = first.remove_entry();
            if let Some(entry) = self.entries.get(&key) {
                self.ready.insert((entry.rank, at, number, key));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Seconds since the beginning.
    type Seconds = Duration;

    fn at(seconds: u64) -> Seconds {
        Duration::from_secs(seconds)
    }

    fn queue() -> Queue<&'static str, u32, u8, Seconds> {
        Queue::new(3, Backoff::new(at(1), at(4)))
    }

    fn taken(queue: &mut Queue<&'static str, u32, u8, Seconds>, now: u64) -> Vec<&'static str> {
        std::iter::from_fn(|| queue.take(at(now))).collect()
    }

    #[test]
    fn the_lowest_rank_goes_first_and_then_what_has_been_due_longest() {
        let mut queue = queue();
        for (key, rank, due) in [("late", 1, 5), ("early", 1, 3), ("urgent", 0, 6)] {
            assert!(queue.put(key, 0, rank, at(due)));
        }
        assert!(!queue.put("one too many", 0, 0, at(0)));
        assert_eq!(queue.next_due(), Some(at(3)));
        assert!(taken(&mut queue, 2).is_empty());
        assert_eq!(taken(&mut queue, 6), ["urgent", "early", "late"]);
        assert_eq!((queue.next_due(), queue.len()), (None, 3));
        assert!(taken(&mut queue, 99).is_empty(), "all are being worked on");
    }

    #[test]
    fn what_fails_waits_longer_each_time_and_holds_up_nothing() {
        let mut queue = queue();
        queue.put("bad", 0, 0, at(0));
        let mut now = 0;
        for pause in [1, 2, 4, 4] {
            assert_eq!(taken(&mut queue, now), ["bad"]);
            queue.again(&"bad", 0, at(now));
            assert!(taken(&mut queue, now + pause - 1).is_empty());
            now += pause;
        }
        queue.put("good", 0, 0, at(now - 1));
        assert_eq!(taken(&mut queue, now), ["good", "bad"]);
        assert_eq!(queue.remove(&"good"), Some(0));
        // Something new with its key begins anew.
        assert!(queue.put("bad", 7, 0, at(now)));
        assert_eq!(queue.take(at(now)), Some("bad"));
        assert_eq!(queue.get(&"bad"), Some(&7));
        queue.again(&"bad", 0, at(now));
        assert_eq!(queue.due(&"bad"), Some(at(now + 1)));
        queue.due_at(&"bad", at(now));
        assert_eq!(taken(&mut queue, now), ["bad"]);
    }

    #[derive(Debug, Clone)]
    enum Act {
        Put(u8, u8, u64),
        Remove(u8),
        Take(usize, u64),
        Again(u8, u8, u64),
        Due(u8, u64),
        DueAnew(u8, u64),
        Rank(u8, u8),
    }

    fn act() -> impl Strategy<Value = Act> {
        let (key, rank, time) = (0..6u8, 0..3u8, 0..20u64);
        prop_oneof![
            (key.clone(), rank.clone(), time.clone()).prop_map(|(k, r, t)| Act::Put(k, r, t)),
            key.clone().prop_map(Act::Remove),
            (0..4usize, time.clone()).prop_map(|(n, t)| Act::Take(n, t)),
            (key.clone(), rank.clone(), time.clone()).prop_map(|(k, r, t)| Act::Again(k, r, t)),
            (key.clone(), rank).prop_map(|(k, r)| Act::Rank(k, r)),
            (key.clone(), time.clone()).prop_map(|(k, t)| Act::Due(k, t)),
            (key, time).prop_map(|(k, t)| Act::DueAnew(k, t)),
        ]
    }

    proptest! {
        /// The queue against a plain list that is sorted anew each time.
        #[test]
        fn it_does_what_a_sorted_list_does(acts in prop::collection::vec(act(), 0..60)) {
            let mut queue: Queue<u8, (), u8, Seconds> = Queue::new(4, Backoff::new(at(1), at(1)));
            let mut list: Vec<(u8, u8, Option<u64>)> = Vec::new();
            let mut clock = 0;
            for act in acts {
                match act {
                    Act::Put(key, rank, due) => {
                        let known = list.iter().any(|it| it.0 == key);
                        let fits = known || list.len() < 4;
                        prop_assert_eq!(queue.put(key, (), rank, at(due)), fits);
                        list.retain(|it| it.0 != key);
                        if fits {
                            list.push((key, rank, Some(due)));
                        }
                    }
                    Act::Remove(key) => {
                        let known = list.iter().any(|it| it.0 == key);
                        prop_assert_eq!(queue.remove(&key).is_some(), known);
                        list.retain(|it| it.0 != key);
                    }
                    Act::Take(at_most, now) => {
                        // Time does not go back.
                        clock = now.max(clock);
                        let now = clock;
                        let mut due: Vec<_> = list.iter().filter(|it| it.2.is_some_and(|due| due <= now)).copied().collect();
                        due.sort_by_key(|it| (it.1, it.2));
                        let taken: Vec<u8> = std::iter::from_fn(|| queue.take(at(now))).take(at_most).collect();
                        prop_assert_eq!(taken.len(), at_most.min(due.len()));
                        let ranks = |key: &u8| list.iter().find(|it| it.0 == *key).map(|it| (it.1, it.2));
                        let wanted: Vec<_> = due.iter().take(at_most).map(|it| Some((it.1, it.2))).collect();
                        prop_assert_eq!(taken.iter().map(ranks).collect::<Vec<_>>(), wanted);
                        for it in list.iter_mut().filter(|it| taken.contains(&it.0)) {
                            it.2 = None;
                        }
                    }
                    Act::Again(key, rank, now) => {
                        queue.again(&key, rank, at(now));
                        for it in list.iter_mut().filter(|it| it.0 == key) {
                            (it.1, it.2) = (rank, Some(now + 1));
                        }
                    }
                    Act::Rank(key, rank) => {
                        queue.rank_as(&key, rank);
                        for it in list.iter_mut().filter(|it| it.0 == key) {
                            it.1 = rank;
                        }
                        let ranks: Vec<u8> = list.iter().filter(|it| it.0 == key).map(|it| it.1).collect();
                        prop_assert_eq!(queue.rank(&key), ranks.first().copied());
                    }
                    Act::Due(key, due) | Act::DueAnew(key, due) => {
                        match act {
                            Act::DueAnew(..) => queue.due_anew(&key, at(due)),
                            _ => queue.due_at(&key, at(due)),
                        }
                        for it in list.iter_mut().filter(|it| it.0 == key) {
                            it.2 = Some(due);
                        }
                    }
                }
                prop_assert_eq!(queue.len(), list.len());
                prop_assert_eq!(queue.is_empty(), list.is_empty());
                let next = queue.next_due();
                let earliest = list.iter().filter_map(|it| it.2).min().map(at);
                let are_due = next.is_some_and(|next| next <= at(clock))
                    && earliest.is_some_and(|earliest| earliest <= at(clock));
                prop_assert!(are_due || next == earliest);
            }
        }
    }
}
