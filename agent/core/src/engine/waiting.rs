//! Things that wait for their other half, for a bounded time and in a bounded number.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;

/// A flow's identifier and a number within it.
pub type Key = (u64, u16);

/// Waiting values by key, the oldest first to give up.
pub struct Waiting<V> {
    values: HashMap<Key, (u64, V), RandomState>,
    /// Time, ticket and key, in order of arrival; the ticket tells a value from a later one of the same key.
    queue: VecDeque<(i64, u64, Key)>,
    most: usize,
    ticket: u64,
    /// Values that had to go because there were too many.
    pub crowded_out: u64,
}

impl<V> Waiting<V> {
    /// Room for `most` values.
    pub fn new(most: usize) -> Self {
        Self { values: HashMap::default(), queue: VecDeque::new(), most, ticket: 0, crowded_out: 0 }
    }

    pub fn get_mut(&mut self, key: Key) -> Option<&mut V> {
        self.values.get_mut(&key).map(|(_, value)| value)
    }

    pub fn remove(&mut self, key: Key) -> Option<V> {
        self.values.remove(&key).map(|(_, value)| value)
    }

    /// Lets a value wait. Returns those that must go: the one that waited under this key, and the oldest if it is full.
    pub fn insert(&mut self, key: Key, time: i64, value: V) -> Vec<V> {
        let mut gone = Vec::new();
        if self.values.len() >= self.most {
            self.crowded_out += 1;
            gone.extend(self.pop_before(i64::MAX));
        }
        self.ticket += 1;
        if let Some((_, replaced)) = self.values.insert(key, (self.ticket, value)) {
            gone.push(replaced);
        }
        if self.queue.len() >= 2 * self.most {
            // Most of them were answered.
            let values = &self.values;
            self.queue.retain(|(_, ticket, key)| values.get(key).is_some_and(|(waiting, _)| waiting == ticket));
        }
        self.queue.push_back((time, self.ticket, key));
        gone
    }

    /// Takes out the oldest value if it came before `time`; to be called until there is none.
    pub fn pop_before(&mut self, time: i64) -> Option<V> {
        while let Some(&(came, ticket, key)) = self.queue.front() {
            if came >= time {
                return None;
            }
            self.queue.pop_front();
            if self.values.get(&key).is_some_and(|(waiting, _)| *waiting == ticket) {
                return self.remove(key);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_give_up_first() {
        let mut waiting = Waiting::new(10);
        for number in 0..4 {
            assert!(waiting.insert((1, number), i64::from(number), number).is_empty());
        }
        assert_eq!(waiting.remove((1, 1)), Some(1));
        assert_eq!(waiting.pop_before(3), Some(0));
        assert_eq!(waiting.pop_before(3), Some(2));
        assert_eq!(waiting.pop_before(3), None);
        assert_eq!(waiting.pop_before(4), Some(3));
    }

    #[test]
    fn a_key_used_again_replaces_and_waits_anew() {
        let mut waiting = Waiting::new(10);
        waiting.insert((1, 1), 0, "first");
        assert_eq!(waiting.insert((1, 1), 5, "second"), ["first"]);
        assert_eq!(waiting.pop_before(5), None);
        assert_eq!(waiting.pop_before(6), Some("second"));
    }

    #[test]
    fn numbers_stay_within_bounds() {
        let mut waiting = Waiting::new(4);
        let mut gone = 0;
        for number in 0..1000u16 {
            gone += waiting.insert((7, number), i64::from(number), ()).len();
            if number % 2 == 0 {
                waiting.remove((7, number));
            }
            assert!(waiting.values.len() <= 4 && waiting.queue.len() <= 8);
        }
        assert_eq!(gone as u64, waiting.crowded_out);
        assert_eq!(gone, 496);
    }
}
