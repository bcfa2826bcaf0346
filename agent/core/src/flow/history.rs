//! Zeek's connection history: one letter per kind of packet, upper case from the originator.

/// The letters so far. Zeek's grow without bound for a hostile connection; these stop at 30.
#[derive(Clone, Copy, Debug, Default)]
pub struct History {
    letters: [u8; 30],
    length: u8,
}

impl History {
    /// Appends the letter, in the case of its sender.
    pub fn add(&mut self, letter: u8, from_originator: bool) {
        if let Some(place) = self.letters.get_mut(usize::from(self.length)) {
            *place = if from_originator { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() };
            self.length += 1;
        }
    }

    pub fn as_str(&self) -> &str {
        // Only ASCII letters and ^ are ever added.
        std::str::from_utf8(&self.letters[..usize::from(self.length)]).unwrap_or_default()
    }

    /// Whether the originator's SYN was followed by its RST with nothing of weight between: no SYN-ACK, pure ACK, FIN, gap or
    /// broken packet of the originator. The responder's letters do not count.
    pub fn is_syn_then_reset(&self) -> bool {
        let letters = self.as_str();
        let rest = letters.strip_prefix('^').unwrap_or(letters);
        let Some(rest) = rest.strip_prefix('S') else { return false };
        rest.find('R').is_some_and(|reset| !rest[..reset].contains(['H', 'A', 'F', 'G', 'I', 'Q']))
    }
}

/// An event that is written the 1st, 10th, 100th, ... time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Logarithmic(u32);

impl Logarithmic {
    /// Counts one; whether this one is written.
    pub fn count(&mut self) -> bool {
        self.0 = self.0.saturating_add(1);
        self.0 < u32::MAX && self.0 == 10u32.pow(self.0.ilog10())
    }
}
