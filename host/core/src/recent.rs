//! `Recent`: a bounded map that forgets what was put in longest ago.

use std::collections::BTreeMap;

/// A map of at most so many entries; the oldest makes way for a new one.
#[derive(Debug, Clone)]
pub struct Recent<K, V> {
    by_key: BTreeMap<K, (u64, V)>,
    /// Keys in the order in which they were last put in.
    order: BTreeMap<u64, K>,
    puts: u64,
    max: usize,
}

impl<K: Ord + Clone, V> Recent<K, V> {
    /// An empty map of at most `max` entries.
    #[must_use]
    pub const fn new(max: usize) -> Self {
        Self {
            by_key: BTreeMap::new(),
            order: BTreeMap::new(),
            puts: 0,
            max,
        }
    }

    /// Puts a value in, in place of an earlier one with this key.
    pub fn put(&mut self, key: K, value: V) {
        self.puts += 1;
        if let Some((before, _)) = self.by_key.insert(key.clone(), (self.puts, value)) {
            self.order.remove(&before);
        }
        self.order.insert(self.puts, key);
        while self.by_key.len() > self.max
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.by_key.remove(&oldest);
        }
    }

    /// The value of this key, to be changed. That makes it no younger.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.by_key.get_mut(key).map(|(_, value)| value)
    }

    /// Removes the value of this key.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let (put, value) = self.by_key.remove(key)?;
        self.order.remove(&put);
        Some(value)
    }

    /// The number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// The value of this key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.by_key.get(key).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_way_and_the_others_stay() {
        let mut recent = Recent::new(3);
        for (key, value) in [("a", 1), ("b", 2), ("c", 3), ("a", 4), ("d", 5)] {
            recent.put(key, value);
        }
        let found = ["a", "b", "c", "d"].map(|key| recent.get(&key).copied());
        assert_eq!(found, [Some(4), None, Some(3), Some(5)]);
        *recent.get_mut(&"c").expect("it is there") = 6;
        assert_eq!((recent.remove(&"a"), recent.remove(&"a")), (Some(4), None));
        recent.put("e", 7);
        recent.put("f", 8);
        let found = ["c", "d", "e", "f"].map(|key| recent.get(&key).copied());
        assert_eq!(found, [None, Some(5), Some(7), Some(8)]);
        assert_eq!((recent.len(), recent.order.len()), (3, 3));
        assert!(!recent.is_empty());
    }
}
