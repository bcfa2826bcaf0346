//! The TLS ClientHello (RFC 8446 section 4.1.2, RFC 5246 section 7.4.1.2) from the first bytes of a TCP stream.

mod hello;
mod reader;

#[cfg(test)]
mod tests;

pub use hello::ClientHello;
pub use reader::{HelloReader, Progress};

use std::ops::BitOrAssign;

/// What was wrong with a hello.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Oddities(pub u8);

impl Oddities {
    /// It ends early, or is longer than what is kept of it.
    pub const TRUNCATED: Oddities = Oddities(1);
    /// A length inside it that leads out of it or leaves bytes over.
    pub const BAD_LENGTH: Oddities = Oddities(2);
    /// A server name that is no host name (RFC 6066 section 3).
    pub const BAD_SNI: Oddities = Oddities(4);

    /// Whether all of `other` is set.
    pub const fn has(self, other: Oddities) -> bool {
        self.0 & other.0 == other.0
    }

    /// The words, separated by spaces.
    pub fn text(self) -> &'static str {
        match self.0 & 7 {
            0 => "",
            1 => "truncated",
            2 => "bad_length",
            3 => "truncated bad_length",
            4 => "bad_sni",
            5 => "truncated bad_sni",
            6 => "bad_length bad_sni",
            _ => "truncated bad_length bad_sni",
        }
    }
}

impl BitOrAssign for Oddities {
    fn bitor_assign(&mut self, other: Oddities) {
        self.0 |= other.0;
    }
}
