//! DNS questions meet their answers.

use super::ends::Ends;
use super::output::Output;
use super::waiting::Waiting;
use crate::app::dns::Message;

/// How long a question waits for its answer, microseconds. Resolvers give up after 5 s and ask again.
const PATIENCE: i64 = 10_000_000;
/// How many questions wait at most.
const MOST: usize = 65_536;

/// A message and where it was seen.
pub struct Seen {
    pub time: i64,
    pub ends: Ends,
    pub message: Message,
}

/// Questions without answer so far, of all flows.
pub struct Dns {
    waiting: Waiting<Seen>,
}

impl Dns {
    pub fn new() -> Self {
        Self { waiting: Waiting::new(MOST) }
    }

    /// Takes a message: an answer makes a row with its question or alone, a question waits.
    pub fn message(&mut self, seen: Seen, output: &mut Output) {
        let key = (seen.ends.flow_id, seen.message.id);
        if !seen.message.response {
            for unanswered in self.waiting.insert(key, seen.time, seen) {
                output.dns(Some(&unanswered), None);
            }
            return;
        }
        // An answer to something else under the same number is somebody's guess: the question goes on waiting.
        let fits = self.waiting.get_mut(key).is_some_and(|question| {
            let (asked, answered) = (&question.message, &seen.message);
            answered.question_name == asked.question_name && answered.question_type == asked.question_type
                || answered.question_type.is_empty()
        });
        let question = if fits { self.waiting.remove(key) } else { None };
        output.dns(question.as_ref(), Some(&seen));
    }

    /// Writes the questions that waited too long.
    pub fn advance(&mut self, now: i64, output: &mut Output) {
        self.give_up_before(now.saturating_sub(PATIENCE), output);
    }

    pub fn close(&mut self, output: &mut Output) {
        self.give_up_before(i64::MAX, output);
    }

    /// Questions that had to be written unanswered because too many waited.
    pub fn crowded_out(&self) -> u64 {
        self.waiting.crowded_out
    }

    fn give_up_before(&mut self, time: i64, output: &mut Output) {
        while let Some(question) = self.waiting.pop_before(time) {
            output.dns(Some(&question), None);
        }
    }
}
