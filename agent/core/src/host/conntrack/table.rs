//! The translations of one network namespace, by what is said on either side of them.

use std::collections::{HashMap, VecDeque};

use super::message::{Translation, Tuple};

/// How long an entry stays known after its end, microseconds: longer than a silent flow waits for its end by default.
const REMEMBER_US: i64 = 150_000_000;
const OPEN: i64 = i64::MAX;

#[derive(Clone, Copy, Debug)]
struct Known {
    id: u32,
    translation: Translation,
    /// Microseconds. Events carry no time, so these are the ends of the span in which it can have come and gone.
    from: i64,
    until: i64,
}

/// What is known of a flow's translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is said as it is heard.
    None,
    /// At different times the same addresses and ports meant different peers.
    Doubt,
    One(Translation),
}

/// Keyed by hashes that nobody outside can foresee: peers choose ports and addresses.
pub struct Table {
    most: usize,
    /// By serial number, which is also their order.
    known: HashMap<u64, Known>,
    said: HashMap<Tuple, Vec<u64>>,
    order: VecDeque<u64>,
    ended: VecDeque<(i64, u64)>,
    serial: u64,
    pub evicted: u64,
}

impl Table {
    /// Keeps at most `most` translations.
    pub fn new(most: usize) -> Self {
        Self {
            most: most.max(1),
            known: HashMap::new(),
            said: HashMap::new(),
            order: VecDeque::new(),
            ended: VecDeque::new(),
            serial: 0,
            evicted: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// There is an entry, not before `from`; false if it is known.
    pub fn add(&mut self, id: u32, translation: Translation, from: i64) -> bool {
        if self.serial_of(id, &translation).is_some() {
            return false;
        }
        self.serial += 1;
        self.known.insert(self.serial, Known { id, translation, from, until: OPEN });
        for said in sides(&translation) {
            let serials = self.said.entry(said).or_default();
            if serials.is_empty() {
                serials.reserve_exact(1);
            }
            serials.push(self.serial);
        }
        self.order.push_back(self.serial);
        while self.known.len() > self.most {
            let Some(oldest) = self.ended.pop_front().map(|(_, serial)| serial).or_else(|| self.order.pop_front())
            else {
                break;
            };
            self.evicted += u64::from(self.remove(oldest));
        }
        if self.order.len() > 2 * self.known.len() + 1024 {
            let known = &self.known;
            self.order.retain(|serial| known.contains_key(serial));
        }
        true
    }

    /// An entry is no more, not after `until`.
    pub fn end(&mut self, id: u32, translation: &Translation, until: i64) {
        let Some(serial) = self.serial_of(id, translation) else { return };
        if let Some(known) = self.known.get_mut(&serial) {
            known.until = until;
            self.ended.push_back((until, serial));
        }
    }

    /// Forgets what ended long before `now`.
    pub fn prune(&mut self, now: i64) {
        while let Some(&(_, serial)) = self.ended.front().filter(|(until, _)| until + REMEMBER_US <= now) {
            self.ended.pop_front();
            self.remove(serial);
        }
    }

    /// Everything ended by `now`, as far as is known: after lost messages the kernel is asked anew.
    pub fn end_all(&mut self, now: i64) {
        let open: Vec<u64> = self.order.iter().copied().filter(|serial| self.is_open(*serial)).collect();
        for serial in open {
            if let Some(known) = self.known.get_mut(&serial) {
                known.until = now;
                self.ended.push_back((now, serial));
            }
        }
    }

    /// The translation of what was said, in either direction and on either side, between two times.
    pub fn find(&self, said: &Tuple, first: i64, last: i64) -> Answer {
        let reversed = said.reversed();
        let mut answer = Answer::None;
        for serial in [said, &reversed].into_iter().filter_map(|said| self.said.get(said)).flatten() {
            let Some(known) = self.known.get(serial).filter(|known| known.from <= last && known.until >= first) else {
                continue;
            };
            answer = match answer {
                Answer::None => Answer::One(known.translation),
                Answer::One(one) if one == known.translation => answer,
                _ => return Answer::Doubt,
            };
        }
        answer
    }

    fn is_open(&self, serial: u64) -> bool {
        self.known.get(&serial).is_some_and(|known| known.until == OPEN)
    }

    fn serial_of(&self, id: u32, translation: &Translation) -> Option<u64> {
        let serials = self.said.get(&translation.original)?;
        serials.iter().rev().copied().find(|serial| {
            self.known
                .get(serial)
                .is_some_and(|known| known.id == id && known.until == OPEN && known.translation == *translation)
        })
    }

    fn remove(&mut self, serial: u64) -> bool {
        let Some(known) = self.known.remove(&serial) else { return false };
        for said in sides(&known.translation) {
            if let Some(serials) = self.said.get_mut(&said) {
                serials.retain(|other| *other != serial);
                if serials.is_empty() {
                    self.said.remove(&said);
                }
            }
        }
        true
    }
}

fn sides(translation: &Translation) -> impl Iterator<Item = Tuple> {
    let Translation { original, arriving } = *translation;
    std::iter::once(original).chain((arriving != original).then_some(arriving))
}

#[cfg(test)]
mod tests {
    use super::super::message::tests::example;
    use super::*;

    const S: i64 = 1_000_000;

    #[test]
    fn either_side_and_direction_leads_to_the_translation() {
        let (mut table, one) = (Table::new(10), example());
        table.add(1, one, S);
        for said in [one.original, one.arriving, one.original.reversed(), one.arriving.reversed()] {
            assert_eq!(table.find(&said, 2 * S, 3 * S), Answer::One(one));
        }
        assert_eq!(table.find(&Tuple { source_port: 1, ..one.original }, 2 * S, 3 * S), Answer::None);
        assert_eq!(table.find(&one.original, 0, S - 1), Answer::None, "before it was there");
    }

    #[test]
    fn what_is_translated_otherwise_later_is_told_apart_by_time() {
        let (mut table, one) = (Table::new(10), example());
        let mut two = one;
        two.arriving.destination_port = 9090;
        table.add(1, one, S);
        table.end(1, &one, 2 * S);
        table.add(2, two, 3 * S);
        assert_eq!(table.find(&one.original, S, S), Answer::One(one));
        assert_eq!(table.find(&one.original, 3 * S, 4 * S), Answer::One(two));
        assert_eq!(table.find(&one.original, 2 * S, 3 * S), Answer::Doubt);
    }

    #[test]
    fn what_ended_is_known_for_a_while() {
        let (mut table, one) = (Table::new(10), example());
        table.add(1, one, S);
        table.add(1, one, S);
        assert_eq!(table.len(), 1, "told twice, by an event and by a dump");
        table.end(1, &one, 2 * S);
        table.prune(2 * S + REMEMBER_US - 1);
        assert_eq!(table.len(), 1);
        table.prune(2 * S + REMEMBER_US);
        assert_eq!((table.len(), table.said.len()), (0, 0));
    }

    #[test]
    fn a_flood_of_entries_leaves_the_newest_and_bounded_queues() {
        let mut table = Table::new(1000);
        for number in 0..200_000_u32 {
            let mut one = example();
            one.original.source[..4].copy_from_slice(&number.to_be_bytes());
            one.arriving.source = one.original.source;
            table.add(number, one, S);
            if number % 2 == 0 {
                table.end(number, &one, 2 * S);
            }
            assert!(table.len() <= 1000);
        }
        assert_eq!(table.evicted, 199_000);
        assert!(table.said.len() <= 2000 && table.order.len() <= 3024 && table.ended.len() <= 1000);
        table.end_all(3 * S);
        table.prune(3 * S + REMEMBER_US);
        assert_eq!((table.len(), table.said.len(), table.ended.len()), (0, 0, 0));
    }
}
