//! Seeing to it that the kernel audits every exec, and leaving audit as it was.
//!
//! Where a process owns audit (auditd), its rules and settings are its own: execs are only read if it audits them. Where
//! nobody does, we add rules and change settings. The keys of our rules say who added them and what was set before, so that
//! the kernel itself remembers it: whoever comes after a crash can put it back.
//!
//! We do not become the owner ourselves, though that would keep records out of the kernel's log (printk, at most ten in
//! five seconds): auditd could not be started any more.

use std::io;

use super::control::Control;
use super::rule::{EXECS, Rule};
use super::settings::{Settings, Status};
use crate::host::procfs::Procfs;

const KEY: &str = "luytre";

/// Who audits execs.
#[derive(Debug)]
pub enum Tap {
    /// We do; this is what was set before, and our rules.
    Ours(Settings, Vec<Rule>),
    /// Somebody else.
    Others,
}

/// What is to be done about audit.
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    /// Audit execs; these settings were there before us.
    Own(Settings),
    /// Only read.
    Read,
}

impl Tap {
    /// Has execs audited. Errors are one line for people.
    pub fn open(control: &mut Control, procfs: &Procfs) -> io::Result<Self> {
        let (status, rules) = (control.status()?, control.rules()?);
        let is_alive = |mark: &Mark| procfs.start(mark.pid).map(|start| procfs.ticks(start)) == Some(mark.start);
        let (stale, rules): (Vec<Rule>, Vec<Rule>) =
            rules.into_iter().partition(|rule| Mark::parse(&rule.key).is_some_and(|mark| !is_alive(&mark)));
        for rule in &stale {
            control.delete(rule)?;
        }
        let before = stale.first().and_then(|rule| Mark::parse(&rule.key)).map(|mark| mark.before);
        match plan(&status, &rules, before).map_err(|reason| io::Error::new(io::ErrorKind::Unsupported, reason))? {
            Plan::Read => Ok(Self::Others),
            Plan::Own(before) => Self::own(control, procfs, before, &status),
        }
    }

    fn own(control: &mut Control, procfs: &Procfs, before: Settings, status: &Status) -> io::Result<Self> {
        let pid = std::process::id();
        let start = procfs.ticks(procfs.start(pid).unwrap_or(0));
        let key = Mark { pid, start, before }.to_text();
        let mut rules = Vec::new();
        let result = (|| {
            for message in status.settings().to_ours() {
                control.set(&message)?;
            }
            for (at, (arch, calls)) in EXECS.iter().enumerate() {
                let rule = Rule::of_execs(*arch, calls, &key);
                match control.add(&rule) {
                    Ok(()) => rules.push(rule),
                    // Kernels that run no 32-bit programs need not know them.
                    Err(_) if at > 0 => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })();
        let mut tap = Self::Ours(before, rules);
        if result.is_err() {
            tap.close(control);
        }
        result.map(|()| tap)
    }

    /// Whether execs are audited still; an error says why not.
    pub fn check(&self, status: &Status, rules: &[Rule]) -> io::Result<()> {
        let reason = match self {
            Self::Ours(..) if status.owner() != 0 => {
                format!("process {} has become the owner of audit", status.owner())
            }
            _ if status.is_on() && rules.iter().any(Rule::covers_execs) => return Ok(()),
            _ => "the rules that audit execve(2) are gone, or audit was turned off".into(),
        };
        Err(io::Error::other(reason))
    }

    /// Removes our rules and sets what was set before. What fails is as somebody else wants it, or cannot be helped.
    pub fn close(&mut self, control: &mut Control) {
        let Self::Ours(before, rules) = std::mem::replace(self, Self::Others) else { return };
        for rule in &rules {
            // Without the wish to be the first, which is not kept.
            let _ = control.delete(&rule.listed());
        }
        let Ok(now) = control.status() else { return };
        if now.owner() == 0 {
            for message in before.back(now.settings()) {
                let _ = control.set(&message);
            }
        }
    }

    /// What there is to say about it.
    pub fn note(&self) -> &'static str {
        match self {
            Self::Ours(..) => "rules of our own",
            Self::Others => "rules of others, which are only read",
        }
    }
}

/// What the key of our rules says.
#[derive(Debug, PartialEq, Eq)]
struct Mark {
    /// Who added them, and when that process was created, in clock ticks.
    pid: u32,
    start: u64,
    before: Settings,
}

impl Mark {
    fn to_text(&self) -> String {
        format!("{KEY}:{}:{}:{}", self.pid, self.start, self.before.to_text())
    }

    fn parse(key: &str) -> Option<Self> {
        let mut parts = key.strip_prefix(KEY)?.strip_prefix(':')?.splitn(3, ':');
        let (pid, start) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Self { pid, start, before: Settings::parse(parts.next()?)? })
    }
}

/// Decides by what there is; `before` is what a crashed agent found, and `rules` are without those of crashed ones.
fn plan(status: &Status, rules: &[Rule], before: Option<Settings>) -> Result<Plan, String> {
    if EXECS.is_empty() {
        return Err("the system calls of this machine are not known".into());
    }
    if rules.iter().any(Rule::blinds) {
        return Err("an audit rule (task,never) keeps processes from being audited; delete it".into());
    }
    let covered = status.is_on() && rules.iter().any(Rule::covers_execs);
    let by_luytre = rules.iter().any(|rule| Mark::parse(&rule.key).is_some());
    match status.owner() {
        0 if covered && by_luytre => Ok(Plan::Read),
        0 if status.is_locked() && covered => Ok(Plan::Read),
        0 if status.is_locked() => Err("audit is locked until the next boot (enabled is 2)".into()),
        0 => Ok(Plan::Own(before.unwrap_or(status.settings()))),
        _ if covered => Ok(Plan::Read),
        owner => Err(format!("auditd owns audit (pid {owner}) and has no rule for every execve")),
    }
}

#[cfg(test)]
#[path = "tap_tests.rs"]
mod tests;
