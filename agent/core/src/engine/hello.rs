//! TLS ClientHellos, followed over as many segments as they take.

use super::ends::Ends;
use super::waiting::Waiting;
use crate::app::tls::{ClientHello, HelloReader, Progress};

/// How long a hello may take, microseconds.
const PATIENCE: i64 = 10_000_000;
/// How many hellos are followed at once; each takes 16 KiB at most.
const MOST: usize = 1024;

/// A hello, and where and when it began.
pub struct Seen {
    pub time: i64,
    pub ends: Ends,
    pub hello: ClientHello,
}

/// One segment of a side.
pub struct Segment<'a> {
    pub time: i64,
    pub sequence: u32,
    pub payload: &'a [u8],
    /// All of the payload was captured.
    pub whole: bool,
}

/// What became of a segment.
pub enum Outcome {
    /// The hello goes on in the next segment.
    More,
    Hello(Seen),
    /// It was none, or nothing is known of it.
    Nothing,
}

/// A hello that goes on.
struct Begun {
    time: i64,
    ends: Ends,
    reader: HelloReader,
    /// Sequence number of the byte that comes next.
    next: u32,
}

impl Begun {
    fn push(&mut self, segment: &Segment<'_>) -> Outcome {
        self.next = segment.sequence.wrapping_add(segment.payload.len() as u32);
        match self.reader.push(segment.payload) {
            Progress::More if segment.whole => Outcome::More,
            Progress::More => self.finish().map_or(Outcome::Nothing, Outcome::Hello),
            Progress::Hello(hello) => Outcome::Hello(Seen { time: self.time, ends: self.ends, hello: *hello }),
            Progress::NotHello => Outcome::Nothing,
        }
    }

    /// What is known of a hello whose rest will not come.
    fn finish(&mut self) -> Option<Seen> {
        self.reader.finish().map(|hello| Seen { time: self.time, ends: self.ends, hello })
    }
}

/// Hellos of all flows that go on.
pub struct Hellos {
    waiting: Waiting<Begun>,
}

impl Hellos {
    pub fn new() -> Self {
        Self { waiting: Waiting::new(MOST) }
    }

    /// The first segment of a hello. `gone` takes others that are given up for it.
    pub fn begin(&mut self, ends: Ends, segment: &Segment<'_>, gone: &mut Vec<Seen>) -> Outcome {
        let mut begun = Begun { time: segment.time, ends, reader: HelloReader::new(), next: 0 };
        let outcome = begun.push(segment);
        if matches!(outcome, Outcome::More) {
            let given_up = self.waiting.insert((ends.flow_id, 0), segment.time, begun);
            gone.extend(given_up.into_iter().filter_map(|mut begun| begun.finish()));
        }
        outcome
    }

    /// The side's next segment.
    pub fn go_on(&mut self, flow_id: u64, segment: &Segment<'_>) -> Outcome {
        let Some(begun) = self.waiting.get_mut((flow_id, 0)) else { return Outcome::Nothing };
        let ahead = segment.sequence.wrapping_sub(begun.next) as i32;
        if ahead < 0 {
            return Outcome::More; // sent again
        }
        let outcome = match ahead {
            0 => begun.push(segment),
            // A part is missing, and will not come in order.
            _ => begun.finish().map_or(Outcome::Nothing, Outcome::Hello),
        };
        if !matches!(outcome, Outcome::More) {
            self.waiting.remove((flow_id, 0));
        }
        outcome
    }

    /// Hellos that were given up because too many went on.
    pub fn crowded_out(&self) -> u64 {
        self.waiting.crowded_out
    }

    /// Gives up the hellos that take too long; to be called until there is none.
    pub fn give_up(&mut self, now: i64) -> Option<Seen> {
        self.finish_before(now.saturating_sub(PATIENCE))
    }

    /// Gives up all, because the capture ends.
    pub fn close(&mut self) -> Option<Seen> {
        self.finish_before(i64::MAX)
    }

    fn finish_before(&mut self, time: i64) -> Option<Seen> {
        while let Some(mut begun) = self.waiting.pop_before(time) {
            if let Some(seen) = begun.finish() {
                return Some(seen);
            }
        }
        None
    }
}
