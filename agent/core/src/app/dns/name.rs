//! Domain names in messages: labels, compression pointers (RFC 1035 section 4.1.4), and what can be wrong with them.

use super::{HEADER, Oddities};
use crate::app::escape;

/// RFC 1035 section 2.3.4.
const MAX_NAME: usize = 255;
/// Names of one record together: SOA has two, and each is followed through at most this many pointers.
const MAX_JUMPS: usize = 64;

/// Reads names of one message, noting what is wrong.
pub struct Reader<'a> {
    pub payload: &'a [u8],
    pub oddities: Oddities,
}

impl<'a> Reader<'a> {
    pub fn new(payload: &'a [u8]) -> Reader<'a> {
        Reader { payload, oddities: Oddities::default() }
    }

    /// Appends the name at `at`; `.` for the root. After a fault what was read before it stays.
    pub fn name(&self, at: usize, out: &mut String) -> Result<(), Oddities> {
        let start = out.len();
        self.labels(at, out, start)?;
        if out.len() == start {
            out.push('.');
        }
        Ok(())
    }

    fn labels(&self, mut at: usize, out: &mut String, start: usize) -> Result<(), Oddities> {
        // Where the labels being read began: a pointer must lead before it, or it leads back to itself.
        let mut began = at;
        let (mut length, mut jumps) = (1, 0);
        loop {
            let first = *self.payload.get(at).ok_or(Oddities::TRUNCATED)?;
            match first {
                0 => return Ok(()),
                1..=63 => {
                    let label = self.payload.get(at + 1..at + 1 + usize::from(first)).ok_or(Oddities::TRUNCATED)?;
                    length += 1 + label.len();
                    if length > MAX_NAME {
                        return Err(Oddities::LABEL_LIMIT);
                    }
                    if out.len() > start {
                        out.push('.');
                    }
                    escape::push_name(out, label);
                    at += 1 + label.len();
                }
                0xc0.. => {
                    let second = *self.payload.get(at + 1).ok_or(Oddities::TRUNCATED)?;
                    let target = usize::from(first & 0x3f) << 8 | usize::from(second);
                    if target >= began && target <= at + 1 {
                        return Err(Oddities::POINTER_LOOP);
                    }
                    if target > at || target < HEADER {
                        return Err(Oddities::BAD_POINTER);
                    }
                    jumps += 1;
                    if jumps > MAX_JUMPS {
                        return Err(Oddities::POINTER_LOOP);
                    }
                    began = target;
                    at = target;
                }
                _ => return Err(Oddities::LABEL_LIMIT),
            }
        }
    }
}

/// Where a name ends, without following its pointers.
pub fn skip(payload: &[u8], mut at: usize) -> Result<usize, Oddities> {
    loop {
        match *payload.get(at).ok_or(Oddities::TRUNCATED)? {
            0 => return Ok(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            0xc0.. if at + 1 < payload.len() => return Ok(at + 2),
            0xc0.. => return Err(Oddities::TRUNCATED),
            _ => return Err(Oddities::LABEL_LIMIT),
        }
    }
}
