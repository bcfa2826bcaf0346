//! Strings of few distinct values: each is kept once per batch, rows hold its number.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::values::Strings;

/// The distinct values of one column of one batch.
#[derive(Debug)]
pub(super) struct Dictionary {
    pub values: Strings,
    /// Numbers of the values, found by the hash of the value. The hash is keyed per process: names come from packets.
    numbers: HashTable<i32>,
    keys: RandomState,
    last: i32,
}

impl Dictionary {
    pub fn new() -> Self {
        Self { values: Strings::new(), numbers: HashTable::new(), keys: RandomState::default(), last: -1 }
    }

    /// The number of a value, new if it was not seen in this batch.
    pub fn number(&mut self, value: &str) -> i32 {
        // Rows repeat themselves: the same interface, the same state, the empty string.
        if self.last >= 0 && self.values.get(self.last as usize) == value.as_bytes() {
            return self.last;
        }
        let Self { values, numbers, keys, .. } = self;
        let hash = |bytes: &[u8]| keys.hash_one(bytes);
        let found = numbers.find(hash(value.as_bytes()), |&number| values.get(number as usize) == value.as_bytes());
        self.last = match found {
            Some(&number) => number,
            None => {
                let number = values.len() as i32;
                values.push(value);
                numbers.insert_unique(hash(value.as_bytes()), number, |&other| hash(values.get(other as usize)));
                number
            }
        };
        self.last
    }

    /// Forgets the numbers; the values go with the batch.
    pub fn reset(&mut self) {
        self.numbers.clear();
        self.last = -1;
    }
}
