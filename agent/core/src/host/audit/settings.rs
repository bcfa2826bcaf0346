//! What the audit subsystem is set to: `struct audit_status` of linux/audit.h.

/// A setting: how we write it down, its bit in the mask of what is to be set, its word in the struct, what we need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    letter: char,
    bit: u32,
    word: usize,
    ours: u32,
}

/// In the order in which they are set. Nobody may have to wait for us or come to harm: a process whose record finds no
/// room goes on at once, and nothing goes to the console, or panics, because of a loss. What is lost is counted.
const PLACES: [Place; 5] = [
    Place { letter: 'w', bit: 0x20, word: 9, ours: 0 }, // backlog_wait_time, since Linux 3.14
    Place { letter: 'b', bit: 0x10, word: 5, ours: 8192 }, // backlog_limit
    Place { letter: 'f', bit: 0x02, word: 2, ours: 0 }, // failure: AUDIT_FAIL_SILENT
    Place { letter: 'r', bit: 0x08, word: 4, ours: 0 }, // rate_limit
    Place { letter: 'e', bit: 0x01, word: 1, ours: 1 }, // enabled
];
const WORDS: usize = 10;
const PID: usize = 3;
const LOST: usize = 6;
/// enabled: until the next boot nothing can be changed.
const LOCKED: u32 = 2;

/// The status; words that the kernel does not know are absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status(Vec<u32>);

impl Status {
    /// None if it is cut.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let words: Vec<u32> =
            bytes.chunks_exact(4).map(|word| u32::from_ne_bytes([word[0], word[1], word[2], word[3]])).collect();
        (words.len() > LOST).then_some(Self(words))
    }

    /// The process that owns audit (auditd); 0 if there is none.
    pub fn owner(&self) -> u32 {
        self.0[PID]
    }

    /// Records that found no room since the boot.
    pub fn lost(&self) -> u32 {
        self.0[LOST]
    }

    pub fn is_on(&self) -> bool {
        self.0[1] != 0
    }

    /// Whether rules can no longer be changed.
    pub fn is_locked(&self) -> bool {
        self.0[1] == LOCKED
    }

    /// The settings in it.
    pub fn settings(&self) -> Settings {
        Settings(PLACES.map(|place| self.0.get(place.word).copied()))
    }
}

/// The settings that we change; those that this kernel does not have are None.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings([Option<u32>; PLACES.len()]);

impl Settings {
    /// The messages that set what we need where it is otherwise.
    pub fn to_ours(self) -> Vec<Vec<u8>> {
        let differ = self.0.iter().zip(PLACES).filter(|(value, place)| value.is_some_and(|value| value != place.ours));
        differ.map(|(_, place)| message(place, place.ours)).collect()
    }

    /// The messages that set what was before us, but for what somebody else has changed since, which is `now`.
    pub fn back(self, now: Self) -> Vec<Vec<u8>> {
        let all = self.0.into_iter().zip(now.0).zip(PLACES).rev();
        all.filter_map(|((before, now), place)| match (before, now) {
            (Some(before), Some(now)) if now == place.ours && before != now => Some(message(place, before)),
            _ => None,
        })
        .collect()
    }

    /// As text: `w15000b64f1r0e0`.
    pub fn to_text(self) -> String {
        let known = self.0.iter().zip(PLACES);
        known.filter_map(|(value, place)| Some(format!("{}{}", place.letter, (*value)?))).collect()
    }

    /// What `to_text` wrote; None if it did not.
    pub fn parse(text: &str) -> Option<Self> {
        let value = |place: Place| {
            let rest = &text[text.find(place.letter)? + 1..];
            let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
            rest[..end].parse().ok()
        };
        let settings = Self(PLACES.map(value));
        (settings.to_text() == text).then_some(settings)
    }
}

fn message(place: Place, value: u32) -> Vec<u8> {
    let mut words = [0u32; WORDS];
    (words[0], words[place.word]) = (place.bit, value);
    words.into_iter().flat_map(u32::to_ne_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn status(words: &[u32]) -> Status {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        Status::parse(&bytes).expect("long enough")
    }

    #[test]
    fn what_was_is_set_again_unless_somebody_changed_it() {
        let before = status(&[0, 0, 1, 0, 0, 64, 5, 0, 127, 15000, 0]);
        assert_eq!((before.owner(), before.lost(), before.is_on(), before.is_locked()), (0, 5, false, false));
        let settings = before.settings();
        assert_eq!(settings.to_text(), "w15000b64f1r0e0");
        let set: Vec<(u32, u32)> = settings.to_ours().iter().map(|message| of(message)).collect();
        assert_eq!(set, [(0x20, 0), (0x10, 8192), (2, 0), (1, 1)]);
        let now = status(&[0, 1, 0, 0, 0, 320, 5, 0, 127, 0, 0]).settings();
        let set: Vec<(u32, u32)> = settings.back(now).iter().map(|message| of(message)).collect();
        assert_eq!(set, [(1, 0), (2, 1), (0x20, 15000)], "the backlog limit of 320 is somebody else's");
    }

    /// The bit and the value of a message that sets.
    fn of(message: &[u8]) -> (u32, u32) {
        let words = Status::parse(message).expect("long enough").0;
        let place = PLACES.iter().find(|place| place.bit == words[0]).expect("one of them");
        (words[0], words[place.word])
    }

    #[test]
    fn an_old_kernel_has_fewer_settings() {
        let settings = status(&[0, 2, 1, 700, 0, 64, 0, 0]).settings();
        assert_eq!(settings.to_text(), "b64f1r0e2");
        assert!(settings.to_ours().iter().all(|message| of(message).0 != 0x20));
        assert_eq!(Status::parse(&[0; 24]), None);
    }

    proptest! {
        #[test]
        fn what_is_written_down_is_read_again(words in proptest::collection::vec(any::<u32>(), 8..12)) {
            let settings = status(&words).settings();
            prop_assert_eq!(Settings::parse(&settings.to_text()), Some(settings));
        }

        #[test]
        fn what_others_wrote_is_refused(text in "[a-z0-9é]{0,30}") {
            if let Some(settings) = Settings::parse(&text) {
                prop_assert_eq!(settings.to_text(), text);
            }
        }
    }
}
