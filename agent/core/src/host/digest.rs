//! SHA-256 of executables: computed once for every version of a file, on a thread of its own, and never waited for
//! long.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustc_hash::{FxHashMap, FxHashSet};
use sha2::{Digest, Sha256};

use super::event::FileKey;
use super::procfs::file_key;

/// Larger files are not read.
pub const SIZE_MAX: u64 = 64 << 20;
/// Files that wait to be read.
const QUEUE: usize = 256;
/// Files that are remembered.
const REMEMBERED: usize = 8192;

struct Request {
    key: FileKey,
    pid: u32,
    path: String,
}

#[derive(Default)]
struct Known {
    /// None: too large.
    digests: FxHashMap<FileKey, Option<Arc<str>>>,
    order: VecDeque<FileKey>,
    /// Asked for, and not answered.
    open: FxHashSet<FileKey>,
}

#[derive(Default)]
struct Shared {
    known: Mutex<Known>,
    answered: Condvar,
    hashed: AtomicU64,
    too_large: AtomicU64,
    failed: AtomicU64,
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread and what it found out.
pub struct Digests {
    shared: Arc<Shared>,
    queue: Option<SyncSender<Request>>,
    worker: Option<JoinHandle<()>>,
    crowded_out: u64,
}

/// How often each thing happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub hashed: u64,
    pub too_large: u64,
    /// The file was gone, another one, or unreadable.
    pub failed: u64,
    /// Too many files waited.
    pub crowded_out: u64,
}

impl Digests {
    /// Starts the thread. `proc` is where proc(5) is mounted.
    pub fn start(proc: &Path) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (queue, requests) = sync_channel(QUEUE);
        let (theirs, proc) = (shared.clone(), proc.to_owned());
        let worker =
            thread::Builder::new().name("luytre-digest".into()).spawn(move || work(&theirs, &requests, &proc))?;
        Ok(Self { shared, queue: Some(queue), worker: Some(worker), crowded_out: 0 })
    }

    /// What is known of a version of a file.
    pub fn get(&self, key: &FileKey) -> Option<Arc<str>> {
        self.shared.known().digests.get(key).cloned().flatten()
    }

    /// Asks for the digest of what `pid` runs, unless somebody did; true if there is something to wait for.
    pub fn ask(&mut self, key: FileKey, pid: u32, path: &str) -> bool {
        let mut known = self.shared.known();
        if known.digests.contains_key(&key) || known.open.contains(&key) {
            return false;
        }
        if key.size > SIZE_MAX {
            self.shared.too_large.fetch_add(1, Ordering::Relaxed);
            remember(&mut known, key, None);
            return false;
        }
        match self.queue.as_ref().map(|queue| queue.try_send(Request { key, pid, path: path.to_owned() })) {
            Some(Ok(())) => known.open.insert(key),
            Some(Err(TrySendError::Full(_))) => {
                self.crowded_out += 1;
                false
            }
            Some(Err(TrySendError::Disconnected(_))) | None => false,
        }
    }

    /// Waits until everything that was asked for is answered, or for `patience`.
    pub fn wait(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let mut known = self.shared.known();
        while !known.open.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            known = self.shared.answered.wait_timeout(known, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub fn counts(&self) -> Counts {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            hashed: load(&self.shared.hashed),
            too_large: load(&self.shared.too_large),
            failed: load(&self.shared.failed),
            crowded_out: self.crowded_out,
        }
    }
}

impl Drop for Digests {
    fn drop(&mut self) {
        self.queue = None;
        // Requests that wait are read to their end: 64 MiB each at most. A panic there has been reported.
        self.shared.known().open.clear();
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

fn work(shared: &Shared, requests: &Receiver<Request>, proc: &Path) {
    // SAFETY: setpriority on the calling thread has no preconditions. If refused, it runs as the others do.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 10) };
    for Request { key, pid, path } in requests {
        // Forgotten: we are being stopped.
        if !shared.known().open.contains(&key) {
            continue;
        }
        let link = proc.join(pid.to_string()).join("exe");
        let digest = digest(&link, true, &key).or_else(|_| digest(Path::new(&path), false, &key));
        let mut known = shared.known();
        known.open.remove(&key);
        match digest {
            Ok(digest) => {
                shared.hashed.fetch_add(1, Ordering::Relaxed);
                remember(&mut known, key, Some(digest.into()));
            }
            // Not remembered: the next process that runs it may be readable.
            Err(_) => _ = shared.failed.fetch_add(1, Ordering::Relaxed),
        }
        shared.answered.notify_all();
    }
}

fn remember(known: &mut Known, key: FileKey, digest: Option<Arc<str>>) {
    if known.digests.insert(key, digest).is_none() {
        known.order.push_back(key);
    }
    while known.order.len() > REMEMBERED {
        if let Some(oldest) = known.order.pop_front() {
            known.digests.remove(&oldest);
        }
    }
}

/// The digest of the file at `path`, if that is the version that `key` says, before and after. Nothing is opened but a
/// regular file: a descriptor that cannot do anything (O_PATH) is looked at first. `follow` only for links of proc(5).
fn digest(path: &Path, follow: bool, key: &FileKey) -> io::Result<String> {
    let no_follow = if follow { 0 } else { libc::O_NOFOLLOW };
    let place = OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_CLOEXEC | no_follow).open(path)?;
    check(&place, key)?;
    let same = PathBuf::from(format!("/proc/self/fd/{}", place.as_raw_fd()));
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open(same)?;
    let (mut hasher, mut buffer, mut left) = (Sha256::new(), vec![0; 64 << 10], SIZE_MAX + 1);
    while left > 0 {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            check(&file, key)?;
            return Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        hasher.update(&buffer[..read]);
        left = left.saturating_sub(read as u64);
    }
    Err(io::Error::other("it grew"))
}

/// The device is left out: on some file systems stat(2) says another one than the kernel's own.
fn check(file: &File, key: &FileKey) -> io::Result<()> {
    let metadata = file.metadata()?;
    let found = file_key(&metadata);
    if metadata.is_file() && (found.inode, found.size, found.changed) == (key.inode, key.size, key.changed) {
        return Ok(());
    }
    Err(io::Error::other("another file"))
}

#[cfg(test)]
#[path = "digest_tests.rs"]
mod tests;
