//! The last rung: `/proc` is looked through now and then. It needs no rights, and misses what lives shorter than that.

use std::collections::VecDeque;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::event::{Action, Event, Image};
use super::feed::{Feed, Totals};
use super::procfs::{Glance, Procfs, Snapshot};
use super::rows::Rows;

/// A look may take one part in so many of the time until the next one, however many processes there are.
const SHARE: u32 = 100;
/// Kernel threads are children of kthreadd.
const KTHREADD: u32 = 2;
/// An exit takes a moment in which a process can still be seen, without anything that it had.
const ZOMBIE: u8 = b'Z';

/// A process when it was last looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    /// In clock ticks.
    start: u64,
    /// Another one after an exec; see [`Glance::mark`].
    mark: u64,
    look: u64,
}

/// Looks through /proc.
#[derive(Debug)]
pub struct Polling {
    interval: Duration,
    looked: Instant,
    due: Instant,
    seen: FxHashMap<u32, Seen>,
    events: VecDeque<Event>,
    look: u64,
    /// Forks since the boot, of processes and threads, as of the last look.
    forks: Option<u64>,
    /// Those of them that no look met; some of these are threads of processes that are known.
    unseen: u64,
    /// Only ends are told; what begins is learnt from elsewhere.
    ends_only: bool,
    hidden: bool,
    confined: bool,
}

impl Polling {
    /// Takes what runs now as known.
    pub fn new(procfs: &Procfs, interval: Duration, ends_only: bool) -> Self {
        let mut polling = Self {
            interval,
            looked: Instant::now(),
            due: Instant::now() + interval,
            seen: FxHashMap::default(),
            events: VecDeque::new(),
            look: 0,
            forks: procfs.forks(),
            unseen: 0,
            ends_only,
            hidden: procfs.hides_others(),
            confined: !procfs.is_of_the_host(),
        };
        for pid in procfs.pids() {
            if let Some(glance) = procfs.glance(pid).filter(|glance| is_of_users(pid, glance)) {
                polling.remember(pid, procfs.ticks(glance.start), glance.mark);
            }
        }
        polling
    }

    /// The next event; looks if it is time.
    pub fn next(&mut self, rows: &mut Rows) -> Option<Event> {
        if self.events.is_empty() && Instant::now() >= self.due {
            let begun = Instant::now();
            self.look(rows);
            self.looked = begun;
            self.due = begun + self.interval.max(begun.elapsed() * SHARE);
        }
        self.events.pop_front()
    }

    /// How long until the next look.
    pub fn due(&self) -> Duration {
        self.due.saturating_duration_since(Instant::now())
    }

    /// Learns of a process from elsewhere, so that its end will be noticed; its start is 0 if it ended already.
    pub fn expect(&mut self, pid: u32, start_ticks: u64) {
        self.remember(pid, start_ticks, 0);
    }

    fn remember(&mut self, pid: u32, start: u64, mark: u64) {
        self.seen.insert(pid, Seen { start, mark, look: self.look });
    }

    fn look(&mut self, rows: &mut Rows) {
        self.look += 1;
        let now = rows.clock().now().unwrap_or(0);
        let (mut begun, mut ended) = (Vec::new(), Vec::new());
        for pid in rows.procfs().pids() {
            let Some(glance) = rows.procfs().glance(pid).filter(|glance| is_of_users(pid, glance)) else { continue };
            if glance.state == ZOMBIE && glance.threads <= 1 {
                // Forgotten like one that is gone, but with what it leaves behind.
                if let Some(seen) =
                    self.seen.remove(&pid).filter(|seen| seen.start == rows.procfs().ticks(glance.start))
                {
                    let usage = rows.procfs().usage(pid);
                    let action = glance.status.map_or(Action::Gone, |status| Action::Exit(status, usage));
                    ended.push(event(action, now, pid, rows.procfs().nanoseconds(seen.start), glance.parent_pid));
                }
                continue;
            }
            let start = rows.procfs().ticks(glance.start);
            match self.seen.get_mut(&pid) {
                Some(seen) if seen.start == start || seen.start == 0 => {
                    seen.look = self.look;
                    if seen.mark != glance.mark {
                        seen.mark = glance.mark;
                        begun.push((now, pid, false));
                    }
                }
                other => {
                    if let Some(other) = other {
                        ended.push(event(Action::Gone, now, pid, rows.procfs().nanoseconds(other.start), 0));
                    }
                    self.remember(pid, start, glance.mark);
                    begun.push((glance.start, pid, true));
                }
            }
        }
        self.count_unseen(rows.procfs(), begun.iter().filter(|(_, _, is_new)| *is_new).count());
        let look = self.look;
        self.seen.retain(|pid, seen| {
            if seen.look != look {
                ended.push(event(Action::Gone, now, *pid, rows.procfs().nanoseconds(seen.start), 0));
            }
            seen.look == look
        });
        // The pid of one that ended may be that of one that began.
        self.events.extend(ended);
        // Parents come before their children.
        begun.sort_unstable();
        if !self.ends_only {
            self.events.extend(begun.into_iter().filter_map(|(time, pid, is_new)| begin(time, pid, is_new, rows)));
        }
    }

    fn count_unseen(&mut self, procfs: &Procfs, begun: usize) {
        let forks = procfs.forks();
        if let (Some(before), Some(now)) = (self.forks, forks) {
            self.unseen += now.saturating_sub(before).saturating_sub(begun as u64);
        }
        self.forks = forks;
    }
}

impl Feed for Polling {
    fn receive(&mut self, rows: &mut Rows) -> Option<Event> {
        self.next(rows)
    }

    fn in_turn(&self) -> bool {
        false
    }

    fn behind(&self) -> Duration {
        self.looked.elapsed()
    }

    fn wait(&self, timeout: Duration) -> io::Result<()> {
        thread::sleep(timeout.min(self.due()));
        Ok(())
    }

    /// A last look, for what began or ended since the one before.
    fn stop(&mut self) {
        self.due = Instant::now();
    }

    fn totals(&self) -> Totals {
        vec![("lost", 0), ("malformed", 0), ("forks_unseen", self.unseen), ("looks", self.look)]
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = vec![format!("what lives shorter than {:.1} s is not seen", self.interval.as_secs_f64())];
        if self.confined {
            notes.push("only processes of this pid namespace are seen, which is not the host's".into());
        }
        if self.hidden {
            notes.push(
                "processes of other users are hidden from this agent (hidepid of /proc): give it CAP_SYS_PTRACE".into(),
            );
        }
        notes
    }
}

/// What a process began to run, or that it is a fork of its parent.
fn begin(time: u64, pid: u32, is_new: bool, rows: &mut Rows) -> Option<Event> {
    let Snapshot { name, parent_pid, start, identity, image } = rows.procfs().read(pid)?;
    let is_fork = is_new && rows.procfs().read(parent_pid).is_some_and(|parent| is_same(&parent.image, &image));
    let action = if is_fork { Action::Fork } else { Action::Exec(image) };
    Some(Event { name, identity, ..event(action, time, pid, start, parent_pid) })
}

fn is_same(parent: &Image, image: &Image) -> bool {
    parent.file == image.file && parent.executable == image.executable && parent.arguments == image.arguments
}

fn is_of_users(pid: u32, glance: &Glance) -> bool {
    pid != KTHREADD && glance.parent_pid != KTHREADD
}

fn event(action: Action, time: u64, pid: u32, start: u64, parent_pid: u32) -> Event {
    Event { start, parent_pid, ..Event::new(action, time, pid) }
}
