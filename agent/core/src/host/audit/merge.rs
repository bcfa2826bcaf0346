//! What the proc connector tells and what audit tells of the same processes, as one sequence.
//!
//! The connector tells of forks, execs and exits in their order and to the nanosecond; audit tells what an exec began, a
//! moment later. So an exec waits for its audit record, and what came after it waits too.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::assemble::Exec;
use crate::host::cn_message::Message;

/// How long an exec waits for its record, and a record for its exec, nanoseconds.
const PATIENCE: u64 = 1_000_000_000;
/// How much later than the exec its record may say that it was, milliseconds: the clock of records has the coarseness of
/// a tick.
const SLACK_MS: u64 = 20;
/// Messages that may wait, and bytes of records.
const MESSAGES: usize = 65_536;
const BYTES: usize = 16 << 20;

/// What comes next.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// No exec.
    Told(Message),
    /// An exec: when (CLOCK_MONOTONIC, nanoseconds), of which process, and what audit says of it.
    Exec(u64, u32, Option<Box<Exec>>),
    /// An exec of which the connector said nothing.
    Alone(Box<Exec>),
}

/// What waits. `now` is any clock, nanoseconds.
#[derive(Debug, Default)]
pub struct Merge {
    messages: VecDeque<(u64, Message)>,
    /// By pid and by the number of their coming.
    records: FxHashMap<u32, VecDeque<(u64, Box<Exec>)>>,
    order: VecDeque<(u64, u64, u32)>,
    number: u64,
    bytes: usize,
    unaudited: u64,
}

impl Merge {
    pub fn told(&mut self, message: Message, now: u64) {
        self.messages.push_back((now, message));
    }

    pub fn audited(&mut self, exec: Exec, now: u64) {
        self.number += 1;
        self.bytes += exec.size();
        self.order.push_back((now, self.number, exec.pid));
        self.records.entry(exec.pid).or_default().push_back((self.number, Box::new(exec)));
    }

    /// The next step; None if it waits. `wall` makes milliseconds since 1970-01-01 UTC of CLOCK_MONOTONIC.
    pub fn next(&mut self, now: u64, wall: impl Fn(u64) -> u64) -> Option<Step> {
        self.head(now, wall).or_else(|| self.overdue(now).map(Step::Alone))
    }

    /// What the connector told first.
    fn head(&mut self, now: u64, wall: impl Fn(u64) -> u64) -> Option<Step> {
        let &(since, message) = self.messages.front()?;
        let Message::Exec { time, pid } = message else {
            self.messages.pop_front();
            return Some(Step::Told(message));
        };
        let at = wall(time);
        // The first record is of an earlier exec, which the connector kept to itself, if the second is of this one.
        let second = self.records.get(&pid).and_then(|records| records.get(1));
        if second.is_some_and(|(_, second)| second.id.time.saturating_add(SLACK_MS) <= at) {
            return self.record(pid, u64::MAX).map(Step::Alone);
        }
        let record = self.record(pid, at.saturating_add(SLACK_MS));
        if record.is_none() {
            if now.saturating_sub(since) < PATIENCE && self.messages.len() < MESSAGES {
                return None;
            }
            self.unaudited += 1;
        }
        self.messages.pop_front();
        Some(Step::Exec(time, pid, record))
    }

    /// The record that waits longest, if it has waited too long or there is no room.
    fn overdue(&mut self, now: u64) -> Option<Box<Exec>> {
        while let Some(&(since, number, pid)) = self.order.front() {
            let waits = self.records.get(&pid).and_then(VecDeque::front).is_some_and(|(first, _)| *first == number);
            if waits && now.saturating_sub(since) < PATIENCE && self.bytes <= BYTES {
                return None;
            }
            self.order.pop_front();
            if waits {
                return self.record(pid, u64::MAX);
            }
        }
        None
    }

    /// The first record of a process, if it is of `latest` at most.
    fn record(&mut self, pid: u32, latest: u64) -> Option<Box<Exec>> {
        let records = self.records.get_mut(&pid)?;
        records.front().filter(|(_, exec)| exec.id.time <= latest)?;
        let (_, exec) = records.pop_front()?;
        if records.is_empty() {
            self.records.remove(&pid);
        }
        self.bytes -= exec.size();
        Some(exec)
    }

    /// How long what comes next has waited, nanoseconds.
    pub fn waits(&self, now: u64) -> u64 {
        self.messages.front().map_or(0, |(since, _)| now.saturating_sub(*since))
    }

    /// Execs of which audit said nothing.
    pub fn unaudited(&self) -> u64 {
        self.unaudited
    }

    /// Whether anything waits.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.records.is_empty()
    }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
