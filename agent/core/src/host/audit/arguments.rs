//! The arguments of a program out of its EXECVE records.
//!
//! `argc=3 a0="ls" a1=2D6C20 a2_len=20000 a2[0]=...`, then `a2[1]=...` in the next record: kernel/auditsc.c,
//! audit_log_execve_info. A record holds some 7,500 bytes, so a long argument and many arguments take several.

use super::text::{number, unquoted};

/// Arguments as they come in.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// Ended by NUL, but for the last one, of which more may come.
    bytes: Vec<u8>,
    /// How many the process has.
    count: u64,
    /// The index of the next one, and how many pieces of the one before came.
    next: u64,
    pieces: u64,
    /// How much of the last one is still to come, as it is encoded.
    left: u64,
    /// From here on something is missing: it was too much, or a record was lost.
    cut: bool,
}

impl Arguments {
    /// Takes a field of a record; no more than `most` bytes are kept.
    pub fn take(&mut self, name: &[u8], value: &[u8], most: usize) {
        let place = match place(name) {
            Some(place) if !self.cut => place,
            _ => return self.note(name, value),
        };
        let (index, piece) = place;
        let begins = piece == 0 && index == self.next && (self.left == 0 || name.ends_with(b"[0]"));
        let goes_on = piece > 0 && index + 1 == self.next && piece == self.pieces;
        if !(begins || goes_on) {
            self.cut = true;
            return;
        }
        if begins && index > 0 {
            self.bytes.push(0);
        }
        self.bytes.extend_from_slice(&unquoted(value));
        let quotes = if value.starts_with(b"\"") { 2 } else { 0 };
        self.left = self.left.saturating_sub((value.len() as u64).saturating_sub(quotes));
        (self.next, self.pieces) = (index + 1, piece + 1);
        if self.bytes.len() > most {
            self.cut = true;
            self.bytes.truncate(most);
        }
    }

    /// Fields that are no arguments.
    fn note(&mut self, name: &[u8], value: &[u8]) {
        if name == b"argc" {
            self.count = number(value, 10).unwrap_or(0);
        } else if name.ends_with(b"_len") {
            self.cut |= self.left > 0;
            self.left = number(value, 10).unwrap_or(0);
        }
    }

    /// What there is, each ended by NUL, and whether that is only the beginning. None if nothing was told.
    pub fn finish(mut self, most: usize) -> Option<(Vec<u8>, bool)> {
        if self.next == 0 {
            return None;
        }
        if !self.cut {
            self.bytes.push(0);
        }
        let cut = self.cut || self.left > 0 || self.next < self.count || self.bytes.len() > most;
        self.bytes.truncate(most);
        Some((self.bytes, cut))
    }
}

/// `a7` is argument 7, `a7[2]` its third piece; None for other names, such as `a7_len`.
fn place(name: &[u8]) -> Option<(u64, u64)> {
    let digits = name.strip_prefix(b"a")?;
    match digits.iter().position(|byte| *byte == b'[') {
        None => Some((number(digits, 10)?, 0)),
        Some(at) => Some((number(&digits[..at], 10)?, number(digits[at + 1..].strip_suffix(b"]")?, 10)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::fields;
    use super::*;
    use proptest::prelude::*;

    const MOST: usize = 4096;

    fn read(records: &[String]) -> Option<(Vec<u8>, bool)> {
        let mut arguments = Arguments::default();
        for record in records {
            fields(record.as_bytes()).for_each(|(name, value)| arguments.take(name, value, MOST));
        }
        arguments.finish(MOST)
    }

    fn of(records: &[&str]) -> Option<(Vec<u8>, bool)> {
        read(&records.iter().map(|record| (*record).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn arguments_come_in_one_record_or_in_several() {
        assert_eq!(of(&["argc=3 a0=\"ls\" a1=2D6C20 a2=\"\""]), Some((b"ls\0-l \0\0".to_vec(), false)));
        assert_eq!(of(&["argc=2 a0=\"ls\"", "a1=\"x\""]), Some((b"ls\0x\0".to_vec(), false)));
        let pieces = ["argc=3 a0=\"ls\" a1_len=8 a1[0]=4142", "a1[1]=4344 a2=\"z\""];
        assert_eq!(of(&pieces), Some((b"ls\0ABCD\0z\0".to_vec(), false)));
        assert_eq!(of(&["argc=0"]), None);
    }

    #[test]
    fn a_lost_record_cuts_what_follows() {
        assert_eq!(of(&["argc=3 a0=\"ls\"", "a2=\"z\""]), Some((b"ls".to_vec(), true)));
        assert_eq!(of(&["argc=2 a0=\"ls\""]), Some((b"ls\0".to_vec(), true)));
        assert_eq!(of(&["argc=1 a0_len=8 a0[0]=4142"]), Some((b"AB\0".to_vec(), true)));
        assert_eq!(of(&["argc=1 a0_len=8 a0[0]=4142", "a0[2]=45"]), Some((b"AB".to_vec(), true)));
        assert_eq!(of(&["argc=3 a0_len=8 a0[0]=4142", "a1=\"x\" a2=\"y\""]), Some((b"AB".to_vec(), true)));
    }

    #[test]
    fn no_more_is_kept_than_allowed() {
        let exact = format!("argc=1 a0=\"{}\"", "x".repeat(MOST - 1));
        assert_eq!(read(&[exact]).map(|(bytes, cut)| (bytes.len(), cut)), Some((MOST, false)));
        let more = format!("argc=1 a0=\"{}\"", "x".repeat(MOST));
        assert_eq!(read(&[more]).map(|(bytes, cut)| (bytes.len(), cut)), Some((MOST, true)));
    }

    /// As the kernel writes them: in records of at most `room` bytes.
    fn written(arguments: &[Vec<u8>], room: usize) -> Vec<String> {
        let mut records = vec![format!("argc={}", arguments.len())];
        for (index, argument) in arguments.iter().enumerate() {
            let hexadecimal: String = argument.iter().map(|byte| format!("{byte:02X}")).collect();
            let plain = argument.iter().all(|byte| (0x21..0x7f).contains(byte) && *byte != b'"');
            if plain && argument.len() < room {
                let field = format!(" a{index}=\"{}\"", String::from_utf8_lossy(argument));
                records.last_mut().expect("one").push_str(&field);
                continue;
            }
            let mut field = format!(" a{index}_len={}", hexadecimal.len());
            for (piece, digits) in hexadecimal.as_bytes().chunks(2 * room).enumerate() {
                field.push_str(&format!(" a{index}[{piece}]={}", String::from_utf8_lossy(digits)));
                records.push(std::mem::take(&mut field));
            }
        }
        records
    }

    proptest! {
        #[test]
        fn what_the_kernel_writes_is_what_the_process_had(
            arguments in proptest::collection::vec(proptest::collection::vec(1u8.., 0..40), 1..20), room in 1usize..20,
        ) {
            let mut whole = arguments.join(&0);
            whole.push(0);
            prop_assert_eq!(read(&written(&arguments, room)), Some((whole, false)));
        }

        #[test]
        fn never_panics_nor_grows(record in "(argc=[0-9]{1,22} )?( a[0-9]{0,22}(_len|\\[[0-9]{0,22}\\])?=[^ ]{0,300}){0,30}") {
            let found = read(&[record.clone(), record]);
            prop_assert!(found.is_none_or(|(bytes, _)| bytes.len() <= MOST));
        }
    }
}
