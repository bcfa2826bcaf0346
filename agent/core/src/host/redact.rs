//! Secrets out of command lines, arguments and other text, before anything is stored.
//!
//! By rule: values of flags such as `--password`, of short flags that mean a password to the program that is run,
//! assignments to names such as `DB_PASSWORD`, passwords in URLs, authorization headers, tokens of known form, private
//! keys. In linear time: the patterns are automata, and words are looked at once. A text that is no command is treated
//! as if it were one, which finds the same.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, RwLock};

use regex::{Captures, Regex, RegexSet};

use super::event::Image;
use super::redact_programs::{self as programs, Short};

/// What stands in place of a secret.
pub const REDACTED: &str = "[redacted]";
/// Longest text in which words are looked at one by one; the patterns see all of it.
const WORDS_MAX: usize = 1 << 20;

/// How deep quotes in quotes are looked into.
const DEPTH: usize = 3;

/// Patterns that know a secret wherever it stands. Group 1, if there is one, is kept, and so is group 2; the rest is
/// replaced.
const PATTERNS: [&str; 9] = [
    // Private keys, also cut ones.
    r"(?s)()-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)",
    // NAME=VALUE, as in env(1), connection strings and query strings. The name ends with the word; a quote may be cut off.
    r#"(?i)((?-u:\b)(?:[a-z0-9]+[_.-])*[a-z0-9]*(?:password|passwd|passphrase|passcode|secret|token|api_?key|access_?key|secret_?key|auth_?key|credentials?|mysql_pwd|account_?key|shared_?key)=)(?:"[^"]*(?:"|\z)|'[^']*(?:'|\z)|[^\s&;|,"'<>)]+)"#,
    r#"((?-u:\b)(?:[A-Z0-9]+_)*KEY=|[?&](?:key|sig|pwd|pass)=|[^\s;];\s*[Pp][Ww][Dd]=)(?:"[^"]*(?:"|\z)|'[^']*(?:'|\z)|[^\s&;|,"'<>)]+)"#,
    // "name": "value"
    r#"(?i)(["'](?:[a-z0-9]+[_-])*[a-z0-9]*(?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?)["']\s*:\s*["'])[^"']+"#,
    // scheme://user:password@; greedy to the last @, since passwords are not always escaped
    r#"(?i)([a-z][a-z0-9+.-]*://[^\s/:@?#'"]*:)[^\s/'"]+(@)"#,
    // Headers.
    r#"(?i)((?:proxy-)?authorization["']?\s*[:=]\s*["']?(?:(?:basic|bearer|token|apikey|negotiate|ntlm|digest)\s+)?)(?:[^\s"',]+)(?:,\s*[a-z]+=[^\s,]+)*"#,
    r#"(?i)((?-u:\b)(?:(?:x-)?(?:[a-z]+-)*(?:api-?key|auth-token|private-token|access-token|session-token|csrf-token|vault-token)|(?:set-)?cookie)\s*:\s*)[^"'\r\n]+"#,
    r"(?i)((?-u:\b)bearer\s+)[a-z0-9._~+/=-]{8,}",
    // Tokens of known form: AWS, GitHub, GitLab, Slack, Google, Stripe, npm, Vault, PyPI; JWT (RFC 7519).
    concat!(
        r"()(?-u:\b)(?:(?:AKIA|ASIA)[0-9A-Z]{16}(?-u:\b)|gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255}",
        r"|glpat-[A-Za-z0-9_-]{20,}|xox[abeprs]-[A-Za-z0-9-]{10,}|AIza[A-Za-z0-9_-]{35}|[sr]k_live_[A-Za-z0-9]{16,}",
        r"|npm_[A-Za-z0-9]{36}|hv[sb]\.[A-Za-z0-9_-]{20,}|pypi-[A-Za-z0-9_-]{32,}",
        r"|eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)?)"
    ),
];

/// Long flags and names whose value is a secret.
const FLAG: &str = r"(?i)^-{0,2}(?:[a-z0-9]+[-_.])*(?:password|passwd|passphrase|passwort|secret|secret[-_]?key|token|api[-_]?key|access[-_]?key|auth[-_]?key|account[-_]?key|credentials?|pass|storepass|keypass|userpass|passin|passout)$";

/// Compiled once: patterns, and which of them occur at all.
struct Patterns {
    any: RegexSet,
    each: Vec<Regex>,
    flag: Regex,
}

static PATTERNS_COMPILED: LazyLock<Patterns> = LazyLock::new(|| Patterns {
    any: RegexSet::new(PATTERNS).expect("constants; a test compiles them"),
    each: PATTERNS.iter().map(|one| Regex::new(one).expect("constants; a test compiles them")).collect(),
    flag: Regex::new(FLAG).expect("a constant; a test compiles it"),
});

/// Rules, and how often they found something.
#[derive(Debug, Default)]
pub struct Redactor {
    enabled: bool,
    extra: Vec<Regex>,
    texts: AtomicU64,
    values: AtomicU64,
}

static CURRENT: LazyLock<RwLock<Arc<Redactor>>> = LazyLock::new(|| RwLock::new(Arc::new(Redactor::standard())));

/// The redaction of this process: every source uses it.
pub fn current() -> Arc<Redactor> {
    CURRENT.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
}

/// Replaces the redaction of this process, for what is opened from now on.
pub fn set_current(redactor: Redactor) {
    *CURRENT.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(redactor);
}

impl Redactor {
    /// The rules of this file.
    pub fn standard() -> Self {
        Self { enabled: true, ..Self::default() }
    }

    /// With more patterns, whose first group, or whole match if there is none, is a secret. An error names the pattern.
    pub fn new(enabled: bool, extra: &[String]) -> Result<Self, String> {
        let compile = |pattern: &String| {
            let built = regex::RegexBuilder::new(pattern).size_limit(1 << 20).build();
            built.map_err(|error| {
                let error = error.to_string();
                let cause = error.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
                format!("{pattern:?} is not a pattern: {}", cause.trim())
            })
        };
        Ok(Self { enabled, extra: extra.iter().map(compile).collect::<Result<_, _>>()?, ..Self::default() })
    }

    /// Texts looked at, values replaced.
    pub fn counts(&self) -> (u64, u64) {
        (self.texts.load(Ordering::Relaxed), self.values.load(Ordering::Relaxed))
    }

    /// Arguments of a program, in place; true if something was replaced.
    pub fn arguments(&self, arguments: &mut [String]) -> bool {
        if !self.enabled {
            return false;
        }
        self.texts.fetch_add(1, Ordering::Relaxed);
        let mut found = self.words(arguments);
        for argument in arguments {
            if let Cow::Owned(clean) = self.inner(argument, 0) {
                *argument = clean;
                found += 1;
            }
        }
        self.values.fetch_add(found, Ordering::Relaxed);
        found > 0
    }

    /// What a process was started with; true if something was replaced.
    pub fn image(&self, image: &mut Image) -> bool {
        let mut found = self.arguments(&mut image.arguments);
        if found {
            image.command_line = image.arguments.join(" ");
        }
        // Paths are not looked at word by word, but may hold what has the form of a secret.
        for path in [&mut image.executable, &mut image.script, &mut image.working_directory] {
            if let Cow::Owned(clean) = self.text(path) {
                *path = clean;
                found = true;
            }
        }
        found
    }

    /// A text, such as a command line or a line of a log.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if !self.enabled {
            return Cow::Borrowed(text);
        }
        self.texts.fetch_add(1, Ordering::Relaxed);
        let clean = self.inner(text, 0);
        self.values.fetch_add(u64::from(matches!(clean, Cow::Owned(_))), Ordering::Relaxed);
        clean
    }

    /// The patterns, and then the words, if there are several.
    fn inner<'a>(&self, text: &'a str, depth: usize) -> Cow<'a, str> {
        let mut clean = Cow::Borrowed(text);
        let patterns = &*PATTERNS_COMPILED;
        for index in patterns.any.matches(text) {
            let replace = |found: &Captures| {
                let group = |index| found.get(index).map_or("", |group: regex::Match| group.as_str());
                format!("{}{REDACTED}{}", group(1), group(2))
            };
            if let Cow::Owned(replaced) = patterns.each[index].replace_all(&clean, replace) {
                clean = Cow::Owned(replaced);
            }
        }
        for pattern in &self.extra {
            let replace = |found: &Captures| {
                let (whole, secret) = (found.get_match(), found.get(1).unwrap_or(found.get_match()));
                let at = secret.start() - whole.start();
                let text = whole.as_str();
                format!("{}{REDACTED}{}", &text[..at], &text[at + secret.len()..])
            };
            if let Cow::Owned(replaced) = pattern.replace_all(&clean, replace) {
                clean = Cow::Owned(replaced);
            }
        }
        // Without a dash and a blank there is no flag with a value.
        if clean.len() <= WORDS_MAX && clean.contains('-') && clean.contains(char::is_whitespace) {
            let (blanks, mut words) = split(&clean);
            let mut found = self.words(&mut words) > 0;
            // A quoted command, as behind `sh -c`.
            for word in words.iter_mut().filter(|word| depth < DEPTH && word.starts_with(['"', '\'']) && word.len() > 2)
            {
                let within = 1..word.len() - usize::from(word.ends_with(['"', '\'']));
                if let Cow::Owned(clean) = self.inner(&word[within.clone()], depth + 1) {
                    word.replace_range(within, &clean);
                    found = true;
                }
            }
            if found {
                return Cow::Owned(blanks.into_iter().zip(words).flat_map(|(blank, word)| [blank, word]).collect());
            }
        }
        clean
    }

    /// Flags with values; how many were replaced.
    fn words(&self, words: &mut [String]) -> u64 {
        let (mut program, mut open, mut found) = (Short::NONE, true, 0);
        // A flag was read whose value is the next word: true if that begins with the name of a user.
        let mut pending: Option<bool> = None;
        for word in words {
            let ends = word.ends_with([';', '|', '&']) || word.ends_with("$(");
            let bare = word.trim_matches(['"', '\'', '(', ')', '`', ';', '|', '&', '$', '{', '}']);
            if let Some(user_first) = pending.take() {
                // A flag that asks for the password on the terminal has no value.
                if !bare.starts_with("--") {
                    found += u64::from(hide(word, 0, user_first));
                    continue;
                }
            }
            // A subshell; cron's `CMD (...)`; what sudo(8) writes to its log.
            open |= word.starts_with(['(', '`']) || word.contains("$(") || word.starts_with("COMMAND=");
            if !bare.starts_with('-') {
                if bare.split_once('=').is_some_and(|(name, value)| !value.is_empty() && is_flag(name)) {
                    let at = word.find('=').map_or(0, |at| at + 1);
                    found += u64::from(hide(word, at, false));
                } else if open {
                    // Assignments come before the program, and a wrapper's own words before the program it runs.
                    match programs::short(base(bare)) {
                        Some(known) => (program, open) = (known, known.wraps),
                        None => open = bare.contains('=') || program.wraps,
                    }
                }
            } else if let Some((flag, value)) = bare.split_once('=') {
                if is_flag(flag) && !value.is_empty() {
                    let at = word.find('=').map_or(0, |at| at + 1);
                    found += u64::from(hide(word, at, false));
                } else if program.users.contains(&flag) {
                    let at = word.find('=').map_or(0, |at| at + 1);
                    found += u64::from(hide(word, at, true));
                }
            } else if program.users.contains(&bare) {
                pending = Some(true);
            } else if program.secrets.contains(&bare) || is_flag(bare) {
                pending = Some(false);
            } else if let Some(flag) = program.attached.iter().find(|flag| bare.starts_with(**flag)) {
                let at = word.find(flag).map_or(0, |at| at + flag.len());
                found += u64::from(hide(word, at, false));
            } else if let Some(flag) =
                program.users.iter().find(|flag| flag.len() == 2 && bare.starts_with(**flag) && !bare.starts_with("--"))
            {
                let at = word.find(flag).map_or(0, |at| at + flag.len());
                found += u64::from(hide(word, at, true));
            }
            if ends {
                (program, open) = (Short::NONE, true);
            }
        }
        found
    }
}

/// Replaces a word from `at` on; if `user_first`, only what follows the first `:` or `%`. False if nothing is there.
fn hide(word: &mut String, at: usize, user_first: bool) -> bool {
    let quote = |text: &str| text.chars().next().filter(|first| ['"', '\''].contains(first));
    let mut at = at + usize::from(word.get(at..).and_then(quote).is_some());
    let Some(value) = word.get(at..) else { return false };
    if user_first {
        match value.find([':', '%']) {
            Some(colon) => at += colon + 1,
            None => return false,
        }
    }
    let kept = word.trim_end_matches(['"', '\'', ')', ';', '|', '&']).len().max(at);
    if kept == at || word[at..].starts_with(REDACTED) {
        return false;
    }
    word.replace_range(at..kept, REDACTED);
    true
}

/// Blanks and words in turn; a word that a quote opens goes on until it closes.
fn split(text: &str) -> (Vec<String>, Vec<String>) {
    let (mut blanks, mut words) = (vec![String::new()], vec![String::new()]);
    let mut quote = None;
    for character in text.chars() {
        let last = words.last_mut().expect("never empty");
        match quote {
            None if character.is_whitespace() => {
                if last.is_empty() {
                    blanks.last_mut().expect("never empty").push(character);
                } else {
                    blanks.push(character.to_string());
                    words.push(String::new());
                }
                continue;
            }
            None if (character == '"' || character == '\'') && (last.is_empty() || last.ends_with('=')) => {
                quote = Some(character);
            }
            Some(open) if open == character => quote = None,
            _ => {}
        }
        last.push(character);
    }
    (blanks, words)
}

fn is_flag(word: &str) -> bool {
    PATTERNS_COMPILED.flag.is_match(word)
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
