//! DNS messages (RFC 1035, RFC 6891) to the text that the `dns` table holds.

mod name;
mod names;
mod record;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::BitOrAssign;

use name::{Reader, skip};
pub use names::{class_name, response_code_name, type_name};

/// Bytes of the header.
const HEADER: usize = 12;
/// Answers that are written out; no resolver needs more.
const MAX_ANSWERS: usize = 64;
/// Characters of all answers together.
const MAX_TEXT: usize = 8192;
const TYPE_OPT: u16 = 41;

/// A DNS message, as far as it could be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    pub id: u16,
    /// An answer, not a question.
    pub response: bool,
    pub opcode: u8,
    pub flags: Flags,
    /// The first question: lower case, without the final dot, `.` for the root; empty if there was none.
    pub question_name: String,
    /// `A`, `AAAA`, ... or `TYPEn`; empty if there was no question.
    pub question_type: Cow<'static, str>,
    /// `IN`, ... or `CLASSn`; empty if there was no question.
    pub question_class: Cow<'static, str>,
    /// `NOERROR`, `NXDOMAIN`, ... or the number, with the upper bits of EDNS; empty in a question.
    pub response_code: Cow<'static, str>,
    /// The answer section.
    pub answers: Vec<Answer>,
    pub oddities: Oddities,
}

/// One record of the answer section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Presentation form of the data; RFC 3597 (`\# length hexadecimal`) for types that have none here.
    pub data: String,
    /// Seconds.
    pub ttl: u32,
}

macro_rules! set_of_words {
    ($(#[$meaning:meta])* $set:ident: $($(#[$word_meaning:meta])* $word:ident = $bit:literal => $text:literal,)*) => {
        $(#[$meaning])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $set(pub u8);

        impl $set {
            $($(#[$word_meaning])* pub const $word: $set = $set(1 << $bit);)*

            /// Whether all of `other` is set.
            pub const fn has(self, other: $set) -> bool {
                self.0 & other.0 == other.0
            }

            /// The words, separated by spaces.
            pub fn text(self) -> String {
                let mut text = String::new();
                $(if self.has($set::$word) {
                    if !text.is_empty() {
                        text.push(' ');
                    }
                    text.push_str($text);
                })*
                text
            }
        }

        impl BitOrAssign for $set {
            fn bitor_assign(&mut self, other: $set) {
                self.0 |= other.0;
            }
        }
    };
}

set_of_words! {
    /// Header flags. Those of question and answer are joined with `|=`.
    Flags:
    AUTHORITATIVE = 0 => "AA",
    TRUNCATED = 1 => "TC",
    RECURSION_DESIRED = 2 => "RD",
    RECURSION_AVAILABLE = 3 => "RA",
    AUTHENTIC = 4 => "AD",
    CHECKING_DISABLED = 5 => "CD",
}

set_of_words! {
    /// What was wrong with a message.
    Oddities:
    /// It ends inside a name or record, or was not captured whole.
    TRUNCATED = 0 => "truncated",
    /// A compression pointer into the name that it is part of.
    POINTER_LOOP = 1 => "pointer_loop",
    /// A compression pointer out of the message, into the header or forward.
    BAD_POINTER = 2 => "bad_pointer",
    /// A label of more than 63 bytes or a name of more than 255.
    LABEL_LIMIT = 3 => "label_limit",
    /// The header promises more records than there are.
    COUNT_MISMATCH = 4 => "count_mismatch",
    /// Bytes after the last record.
    TRAILING = 5 => "trailing",
    /// Data that is not what its type demands.
    BAD_RDATA = 6 => "bad_rdata",
    /// More answers, or longer ones, than are written out.
    ANSWERS_CUT = 7 => "answers_cut",
}

/// Reads a message (over TCP: without its two bytes of length). `None` if there is no header.
pub fn parse(payload: &[u8]) -> Option<Message> {
    let header: &[u8; HEADER] = payload.first_chunk()?;
    let half = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let bits = half(2);
    let mut message = Message {
        id: half(0),
        response: bits & 0x8000 != 0,
        opcode: (bits >> 11 & 15) as u8,
        flags: flags(bits),
        ..Message::default()
    };
    let mut code = bits & 15;
    let sections = [half(6), half(8), half(10)];
    if let Err(oddity) = body(payload, half(4), sections, &mut message, &mut code) {
        message.oddities |= oddity;
    }
    if message.response {
        message.response_code = response_code_name(code);
    }
    Some(message)
}

fn flags(bits: u16) -> Flags {
    let mut flags = Flags::default();
    for (bit, flag) in [
        (0x0400, Flags::AUTHORITATIVE),
        (0x0200, Flags::TRUNCATED),
        (0x0100, Flags::RECURSION_DESIRED),
        (0x0080, Flags::RECURSION_AVAILABLE),
        (0x0020, Flags::AUTHENTIC),
        (0x0010, Flags::CHECKING_DISABLED),
    ] {
        if bits & bit != 0 {
            flags |= flag;
        }
    }
    flags
}

/// Reads questions and records until the end or the first fault that hides where the next one begins.
fn body(
    payload: &[u8],
    questions: u16,
    sections: [u16; 3],
    message: &mut Message,
    code: &mut u16,
) -> Result<(), Oddities> {
    let mut at = HEADER;
    for number in 0..questions {
        begin(payload, at)?;
        let end = skip(payload, at);
        if number == 0 {
            let reader = Reader::new(payload);
            if let Err(oddity) = reader.name(at, &mut message.question_name) {
                message.oddities |= oddity;
            }
        }
        at = end?;
        let fixed: &[u8; 4] = payload.get(at..).and_then(|rest| rest.first_chunk()).ok_or(Oddities::TRUNCATED)?;
        if number == 0 {
            message.question_type = type_name(u16::from_be_bytes([fixed[0], fixed[1]]));
            message.question_class = class_name(u16::from_be_bytes([fixed[2], fixed[3]]));
        }
        at += 4;
    }
    let mut characters = 0;
    for (section, count) in sections.into_iter().enumerate() {
        for _ in 0..count {
            begin(payload, at)?;
            let start = skip(payload, at)?;
            let fixed: &[u8; 10] =
                payload.get(start..).and_then(|rest| rest.first_chunk()).ok_or(Oddities::TRUNCATED)?;
            let kind = u16::from_be_bytes([fixed[0], fixed[1]]);
            let ttl = u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
            let data = start + 10;
            at = data + usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
            if at > payload.len() {
                return Err(Oddities::TRUNCATED);
            }
            if section == 0 {
                if message.answers.len() == MAX_ANSWERS || characters >= MAX_TEXT {
                    message.oddities |= Oddities::ANSWERS_CUT;
                    continue;
                }
                let mut reader = Reader::new(payload);
                let data = record::present(&mut reader, kind, data, at, MAX_TEXT - characters);
                message.oddities |= reader.oddities;
                characters += data.len();
                message.answers.push(Answer { data, ttl });
            } else if section == 2 && kind == TYPE_OPT {
                *code |= u16::from(fixed[4]) << 4;
            }
        }
    }
    if at < payload.len() { Err(Oddities::TRAILING) } else { Ok(()) }
}

/// Another question or record is due at `at`.
fn begin(payload: &[u8], at: usize) -> Result<(), Oddities> {
    if at < payload.len() { Ok(()) } else { Err(Oddities::COUNT_MISMATCH) }
}

/// Whether a payload is a DNS message, by its header: the fixed bits and the counts say it with some 50 bits.
pub fn looks_like_dns(payload: &[u8]) -> bool {
    let Some(header) = payload.first_chunk::<HEADER>() else { return false };
    let half = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let (bits, questions, answers, authorities, additional) = (half(2), half(4), half(6), half(8), half(10));
    let (response, opcode, code) = (bits & 0x8000 != 0, bits >> 11 & 15, bits & 15);
    let reserved = bits & 0x0040 != 0;
    if reserved || !matches!(opcode, 0..=2 | 4..=6) {
        return false;
    }
    let room = payload.len() - HEADER;
    if response {
        // A bare refusal repeats not even the question.
        let refusal = questions == 0 && answers == 0 && code != 0 && room == 0;
        let counts = questions <= 1 && answers <= 512 && authorities <= 64 && additional <= 64;
        refusal || (counts && code <= 11 && questions + answers > 0 && room >= 5)
    } else {
        // Updates and incremental transfers fill the other sections, too.
        code == 0 && questions == 1 && room >= 5 && answers <= 8 && authorities <= 8 && additional <= 8
    }
}
