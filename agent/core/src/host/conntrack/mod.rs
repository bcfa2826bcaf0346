//! Translations of addresses (NAT) as the kernel's connection tracking makes them.
//!
//! Packets carry the addresses of the place where they are seen; a socket keeps those that its process asked for. Where
//! the kernel translates between the two, it alone knows what became what: `socket` hears of it, `message` reads it,
//! `table` remembers it.
//!
//! Nothing is loaded or turned on by listening. As long as nothing is tracked in a network namespace, all this costs is
//! a look at a counter each second.

mod message;
mod socket;
mod table;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::capture;
pub use message::{Translation, Tuple};
pub use table::Answer;

use message::Message;
use socket::Events;
use table::Table;

/// Entries that are tracked in the network namespace of who opens it; absent where nothing ever was.
const TRACKED: &str = "/proc/sys/net/netfilter/nf_conntrack_count";
/// How often it is looked at.
const TICK: Duration = Duration::from_secs(1);
/// And how often, if there are flows to ask for.
const ASKED: Duration = Duration::from_millis(50);
/// After the kernel refused, it is asked again so much later.
const PAUSE: Duration = Duration::from_secs(60);
const BUFFER: usize = 32_768;
/// Translations that are kept, by network namespace.
const MOST: usize = 28_672;

/// Totals over all network namespaces.
#[derive(Debug, Default)]
pub struct Totals {
    pub learnt: AtomicU64,
    pub evicted: AtomicU64,
    /// Events for which the socket had no room; the entries are asked for anew.
    pub overruns: AtomicU64,
    pub dumps: AtomicU64,
    pub malformed: AtomicU64,
    /// Times the kernel refused to tell.
    pub refused: AtomicU64,
}

impl Totals {
    /// By name, for the counters of a source.
    pub fn named(&self) -> [(&'static str, u64); 6] {
        [
            ("nat_learnt", &self.learnt),
            ("nat_evicted", &self.evicted),
            ("nat_overruns", &self.overruns),
            ("nat_dumps", &self.dumps),
            ("nat_malformed", &self.malformed),
            ("nat_refused", &self.refused),
        ]
        .map(|(name, total)| (name, total.load(Ordering::Relaxed)))
    }
}

/// The translations of every network namespace that somebody asks about, one reader for each.
#[derive(Default)]
pub struct Registry {
    readers: Mutex<HashMap<u64, Weak<Conntrack>>>,
    pub totals: Arc<Totals>,
}

impl Registry {
    /// The reader of a network namespace, by its name as ip-netns(8) has it and its inode.
    pub fn of(&self, name: &str, inode: u64) -> Arc<Conntrack> {
        let mut readers = lock(&self.readers);
        readers.retain(|_, reader| reader.strong_count() > 0);
        if let Some(reader) = readers.get(&inode).and_then(Weak::upgrade) {
            return reader;
        }
        let reader = Arc::new(Conntrack::new(name, inode, self.totals.clone()));
        readers.insert(inode, Arc::downgrade(&reader));
        reader
    }

    /// Translations that are known now.
    pub fn known(&self) -> u64 {
        let readers = lock(&self.readers);
        readers.values().filter_map(Weak::upgrade).map(|reader| lock(&reader.inner).table.len() as u64).sum()
    }
}

/// Whether anything is tracked in this thread's network namespace, and so could be translated. An error if it is, and the
/// kernel does not tell of it.
pub fn heard_here() -> io::Result<bool> {
    let tracked = fs::read_to_string(TRACKED).is_ok_and(|tracked| tracked.trim() != "0");
    if tracked {
        Events::open()?;
    }
    Ok(tracked)
}

/// The translations of one network namespace.
pub struct Conntrack {
    inner: Mutex<Inner>,
}

struct Inner {
    name: String,
    inode: u64,
    totals: Arc<Totals>,
    tracked: Option<File>,
    events: Option<Events>,
    table: Table,
    buffer: Vec<u8>,
    looked: Option<Instant>,
    refused: Option<Instant>,
    /// Events were lost, and it was not asked anew yet.
    stale: bool,
    asked: Option<Instant>,
    /// All that the kernel had told until then was taken in, microseconds.
    heard: i64,
}

impl Conntrack {
    fn new(name: &str, inode: u64, totals: Arc<Totals>) -> Self {
        let inner = Inner {
            name: name.to_owned(),
            inode,
            totals,
            tracked: None,
            events: None,
            table: Table::new(MOST),
            buffer: Vec::new(),
            looked: None,
            refused: None,
            stale: false,
            asked: None,
            heard: 0,
        };
        Self { inner: Mutex::new(inner) }
    }

    /// To be called about once a second. `now` in microseconds of UTC.
    pub fn tend(&self, now: i64) {
        lock(&self.inner).tend(now, TICK);
    }

    /// The translation of what was said between two times; see `Table::find`.
    pub fn find(&self, said: &Tuple, first: i64, last: i64, now: i64) -> Answer {
        let mut inner = lock(&self.inner);
        match inner.events {
            Some(_) => inner.drain(now),
            None => inner.tend(now, ASKED),
        }
        match inner.table.find(said, first, last) {
            Answer::None if inner.stale => Answer::Doubt,
            answer => answer,
        }
    }
}

impl Inner {
    fn tend(&mut self, now: i64, pause: Duration) {
        if self.looked.is_some_and(|looked| looked.elapsed() < pause) {
            return;
        }
        self.looked = Some(Instant::now());
        if self.events.is_some() {
            self.drain(now);
            self.table.prune(now);
        } else if self.refused.is_none_or(|refused| refused.elapsed() >= PAUSE) && self.in_use() {
            self.follow(now);
        }
    }

    /// Whether the kernel tracks anything here.
    fn in_use(&mut self) -> bool {
        if self.tracked.is_none() && fs::exists(TRACKED).unwrap_or(false) {
            self.tracked = self.there(|| File::open(TRACKED)).ok();
        }
        let mut digits = [0; 1];
        let read = self.tracked.as_ref().is_some_and(|tracked| tracked.read_exact_at(&mut digits, 0).is_ok());
        read && digits != *b"0"
    }

    fn follow(&mut self, now: i64) {
        match self.there(Events::open) {
            Ok(events) => {
                self.buffer.resize(BUFFER, 0);
                self.events = Some(events);
                self.dump(now);
            }
            Err(_) => self.refuse(),
        }
    }

    fn refuse(&mut self) {
        self.refused = Some(Instant::now());
        self.totals.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Asks for all entries. They may be as old as the world.
    fn dump(&mut self, now: i64) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut messages = Vec::new();
        let result = self.there(|| {
            socket::dump(&mut buffer, |message| {
                if messages.len() < MOST && matches!(message, Message::New(..) | Message::Malformed) {
                    messages.push(message);
                }
            })
        });
        (self.buffer, self.stale, self.asked) = (buffer, false, Some(Instant::now()));
        self.totals.dumps.fetch_add(1, Ordering::Relaxed);
        for message in messages {
            self.take(message, 0, now);
        }
        if result.is_err() {
            self.refuse();
        }
        self.heard = now;
    }

    fn drain(&mut self, now: i64) {
        let Some(events) = self.events.take() else { return };
        let mut buffer = std::mem::take(&mut self.buffer);
        let since = self.heard.min(now);
        while events.drain(&mut buffer, |message| self.take(message, since, now)).is_err() {
            self.totals.overruns.fetch_add(1, Ordering::Relaxed);
            self.stale = true;
        }
        (self.buffer, self.events, self.heard) = (buffer, Some(events), now);
        if self.stale && self.asked.is_none_or(|asked| asked.elapsed() >= TICK) {
            self.table.end_all(now);
            self.dump(now);
        }
    }

    fn take(&mut self, message: Message, since: i64, now: i64) {
        match message {
            Message::New(id, translation) => {
                let evicted = self.table.evicted;
                if self.table.add(id, translation, since) {
                    self.totals.learnt.fetch_add(1, Ordering::Relaxed);
                }
                self.totals.evicted.fetch_add(self.table.evicted - evicted, Ordering::Relaxed);
            }
            Message::Destroy(id, translation) => self.table.end(id, &translation, now),
            Message::Malformed => {
                self.totals.malformed.fetch_add(1, Ordering::Relaxed);
            }
            Message::Done(_) | Message::Other => {}
        }
    }

    /// Does something in the network namespace, if it is still the same one under its name.
    fn there<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        if self.name.is_empty() {
            return work();
        }
        let (name, inode) = (self.name.as_str(), self.inode);
        thread::scope(|scope| {
            let there = scope.spawn(|| {
                capture::enter(name)?;
                if fs::metadata("/proc/thread-self/ns/net")?.ino() != inode {
                    return Err(io::Error::new(io::ErrorKind::NotFound, "another network namespace has its name now"));
                }
                work()
            });
            there.join().unwrap_or_else(|_| Err(io::Error::other("the thread that enters the namespace failed")))
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
