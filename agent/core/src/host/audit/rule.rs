//! Rules of the audit subsystem: `struct audit_rule_data` of linux/audit.h.

/// flags, action, field_count; mask, fields, values and fieldflags of 64 words each; buflen; then the texts.
const TEXTS: usize = 1040;
const MASK: usize = 12;
const WORDS: usize = 64;

const FILTER_TASK: u32 = 1;
const FILTER_EXIT: u32 = 4;
/// Before the rules that are there, so that none of them hides an exec from ours.
const FILTER_PREPEND: u32 = 0x10;
const NEVER: u32 = 0;
const ALWAYS: u32 = 2;
const EQUAL: u32 = 0x4000_0000;
const FIELD_ARCH: u32 = 11;
const FIELD_SUCCESS: u32 = 104;
const FIELD_KEY: u32 = 210;

/// AUDIT_ARCH of linux/audit.h, and there the numbers of execve(2) and execveat(2): first the programs of this
/// machine, then those of the 32-bit one that it can be too.
#[cfg(target_arch = "x86_64")]
pub const EXECS: [(u32, [u32; 2]); 2] = [(0xC000_003E, [59, 322]), (0x4000_0003, [11, 358])];
#[cfg(target_arch = "aarch64")]
pub const EXECS: [(u32, [u32; 2]); 2] = [(0xC000_00B7, [221, 281]), (0x4000_0028, [11, 387])];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub const EXECS: [(u32, [u32; 2]); 0] = [];

/// A rule as the kernel lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// As it came, and as it is given back to be deleted.
    pub bytes: Vec<u8>,
    list: u32,
    action: u32,
    /// Numbers and values; all are compared for being equal.
    fields: Vec<(u32, u32)>,
    all_equal: bool,
    /// Empty if there is none.
    pub key: String,
}

impl Rule {
    /// None if it is cut.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let count = (word(8)? as usize).min(WORDS);
        let array = |index: usize| MASK + 4 * WORDS * index;
        let field = |at: usize| Some((word(array(1) + 4 * at)?, word(array(2) + 4 * at)?));
        let fields: Vec<(u32, u32)> = (0..count).map(field).collect::<Option<_>>()?;
        let operators: Vec<u32> = (0..count).map(|at| word(array(3) + 4 * at)).collect::<Option<_>>()?;
        let texts = bytes.get(TEXTS..TEXTS + word(TEXTS - 4)? as usize)?;
        // Paths and keys lie one after another, in the order of their fields; the key is the last.
        let key = fields.iter().rfind(|(field, _)| *field == FIELD_KEY).and_then(|(_, length)| {
            let key = texts.get(texts.len().checked_sub(*length as usize)?..)?;
            Some(String::from_utf8_lossy(key).into_owned())
        });
        Some(Self {
            list: word(0)? & !FILTER_PREPEND,
            action: word(4)?,
            all_equal: operators.iter().all(|operator| *operator == EQUAL),
            fields,
            key: key.unwrap_or_default(),
            bytes: bytes.to_vec(),
        })
    }

    /// The rule that tells of every exec(3) of programs of `arch` that succeeds.
    pub fn of_execs(arch: u32, calls: &[u32], key: &str) -> Self {
        let fields = [(FIELD_ARCH, arch), (FIELD_SUCCESS, 1), (FIELD_KEY, key.len() as u32)];
        let mut words = vec![FILTER_EXIT | FILTER_PREPEND, ALWAYS, fields.len() as u32];
        let mut mask = [0u32; WORDS];
        for call in calls {
            mask[*call as usize / 32] |= 1 << (call % 32);
        }
        words.extend(mask);
        let array = |pick: &dyn Fn(&(u32, u32)) -> u32| {
            let mut array = [0; WORDS];
            fields.iter().zip(&mut array).for_each(|(field, word)| *word = pick(field));
            array
        };
        words.extend(array(&|(field, _)| *field));
        words.extend(array(&|(_, value)| *value));
        words.extend(array(&|_| EQUAL));
        words.push(key.len() as u32);
        let mut bytes: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
        bytes.extend_from_slice(key.as_bytes());
        let (list, action) = (FILTER_EXIT, ALWAYS);
        Self { bytes, list, action, fields: fields.to_vec(), all_equal: true, key: key.to_owned() }
    }

    /// As the kernel lists it, which is how it is found to be deleted.
    pub fn listed(&self) -> Self {
        let mut listed = self.clone();
        listed.bytes[..4].copy_from_slice(&self.list.to_ne_bytes());
        listed
    }

    /// Whether it tells of every execve(2) of this machine's own programs.
    pub fn covers_execs(&self) -> bool {
        let Some((arch, calls)) = EXECS.first() else { return false };
        let harmless = |(field, value): &(u32, u32)| match *field {
            FIELD_ARCH => value == arch,
            FIELD_SUCCESS => *value != 0,
            field => field == FIELD_KEY,
        };
        let at = MASK + calls[0] as usize / 8;
        // The mask is of words; on big-endian machines EXECS is empty.
        let asked = self.bytes.get(at).is_some_and(|byte| byte >> (calls[0] % 8) & 1 == 1);
        self.list == FILTER_EXIT && self.action == ALWAYS && asked && self.all_equal && self.fields.iter().all(harmless)
    }

    /// Whether processes that begin now are not audited at all (`-a task,never`).
    pub fn blinds(&self) -> bool {
        self.list == FILTER_TASK && self.action == NEVER
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ours() -> Rule {
        let (arch, calls) = EXECS[0];
        Rule::of_execs(arch, &calls, "luytre:1:2:e0")
    }

    #[test]
    fn a_rule_is_read_as_it_is_written() {
        let rule = ours();
        assert_eq!((rule.bytes.len(), &*rule.key), (TEXTS + 13, "luytre:1:2:e0"));
        assert_eq!(Rule::parse(&rule.bytes), Some(rule.clone()));
        assert!(rule.covers_execs() && !rule.blinds());
    }

    #[test]
    fn a_rule_of_some_execs_does_not_cover_them() {
        let (_, calls) = EXECS[0];
        assert!(!Rule::of_execs(0x4000_0003, &[11], "").covers_execs(), "of another machine");
        assert!(!Rule::of_execs(EXECS[0].0, &calls[1..], "").covers_execs(), "not execve");
        let mut of_users = ours().bytes;
        of_users[MASK + 4 * WORDS + 4..][..4].copy_from_slice(&9u32.to_ne_bytes()); // auid=1 in place of success=1
        assert!(Rule::parse(&of_users).is_some_and(|rule| !rule.covers_execs()));
        let mut never = ours().bytes;
        never[4..8].copy_from_slice(&NEVER.to_ne_bytes());
        assert!(Rule::parse(&never).is_some_and(|rule| !rule.covers_execs() && !rule.blinds()));
        never[..4].copy_from_slice(&FILTER_TASK.to_ne_bytes());
        assert!(Rule::parse(&never).is_some_and(|rule| rule.blinds()));
    }

    proptest! {
        #[test]
        fn never_panics(at in 0..TEXTS, byte in any::<u8>(), length in 0..TEXTS + 20) {
            let mut bytes = ours().bytes;
            bytes[at] = byte;
            bytes.truncate(length);
            if let Some(rule) = Rule::parse(&bytes) {
                let _ = (rule.covers_execs(), rule.blinds());
            }
        }
    }
}
