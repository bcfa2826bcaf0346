//! What can be wrong with a capture file, in one line: the file, the byte, and what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a capture file cannot be read, or not further. Everything before `at` has been handed out.
#[derive(Debug)]
pub struct CaptureError {
    pub path: PathBuf,
    /// Byte of the (uncompressed) file.
    pub at: u64,
    pub fault: Fault,
}

/// The kinds of fault.
#[derive(Debug)]
pub enum Fault {
    /// The system refused to open or read it, or the compressed stream around it is damaged.
    Io(io::Error),
    /// Not a capture file at all; says what it looks like.
    NotCapture(&'static str),
    /// Its packets begin with a header that the decoders do not know.
    UnknownLink(u32),
    /// A header that contradicts itself or the format.
    Corrupt(String),
    /// It ends inside a header or a record.
    Truncated,
}

impl Fault {
    pub(super) fn at(self, path: &Path, at: u64) -> CaptureError {
        CaptureError { path: path.to_owned(), at, fault: self }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        Fault::Io(error)
    }
}

impl CaptureError {
    /// Whether the system is to blame (no such file, no permission, a failing disk) and not the content.
    pub fn system(&self) -> Option<&io::Error> {
        match &self.fault {
            Fault::Io(error) if error.raw_os_error().is_some() => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        let at = self.at;
        match &self.fault {
            Fault::Io(error) if self.system().is_some() => write!(f, "{path}: {error}"),
            Fault::Io(error) => {
                write!(f, "{path}: the compressed stream is damaged or cut off after byte {at} of its content: {error}")
            }
            Fault::NotCapture(what) => {
                write!(f, "{path}: not a capture file: {what}; give a pcap or pcapng file, plain, .gz or .zst")
            }
            Fault::UnknownLink(number) => write!(
                f,
                "{path}: unknown link type {number} at byte {at}; known are Ethernet (1), raw IP (12, 14, 101, 228, 229), \
                 Linux cooked (113, 276) and loopback (0, 108)"
            ),
            Fault::Corrupt(what) => write!(f, "{path}: {what} at byte {at}; the file is damaged there"),
            Fault::Truncated => write!(f, "{path}: the file ends inside the record at byte {at}; it was cut off there"),
        }
    }
}

impl std::error::Error for CaptureError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.fault {
            Fault::Io(error) => Some(error),
            _ => None,
        }
    }
}
