//! Reading what may make us wait: pipes, FIFOs without a writer, terminals. A signal must end that.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Asked whenever a signal comes while we wait; an error ends the waiting.
pub type OnSignal = fn() -> io::Result<()>;

/// Longest time between two questions, milliseconds: a signal that came just before the wait does not end it.
const STEP_MS: i32 = 200;

/// Opens a file for reading; never waits. What is no regular file is read patiently.
pub fn open(path: &Path, on_signal: OnSignal) -> io::Result<Box<dyn Read + Send>> {
    if fs::metadata(path)?.is_file() {
        return Ok(Box::new(File::open(path)?));
    }
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    Ok(Box::new(Patient { file, on_signal }))
}

struct Patient {
    file: File,
    on_signal: OnSignal,
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            // A FIFO that no writer has opened yet reads as ended, but is not ready (fifo(7)).
            if self.ready()? {
                match self.file.read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    other => return other,
                }
            }
            (self.on_signal)()?;
        }
    }
}

impl Patient {
    /// Waits a while for something to read, or for the end.
    fn ready(&self) -> io::Result<bool> {
        let mut asked = libc::pollfd { fd: self.file.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: `asked` is one valid pollfd of an open file.
        match unsafe { libc::poll(&mut asked, 1, STEP_MS) } {
            0 => Ok(false),
            count if count > 0 => Ok(true),
            _ => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => Ok(false),
                error => Err(error),
            },
        }
    }
}
