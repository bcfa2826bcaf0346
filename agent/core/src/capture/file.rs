//! Capture files: pcap and pcapng, plain or compressed, one frame at a time without a copy.

use std::path::{Path, PathBuf};

use super::error::{CaptureError, Fault};
use super::input::Input;
use super::patient::OnSignal;
use super::pcap::Pcap;
use super::pcapng::{PcapNg, SECTION_HEADER};
use super::{Frame, LinkType};

/// Largest packet that is believed: twice what Linux can send in one piece ("BIG TCP", 512 KiB).
pub const MAX_PACKET: u32 = 1 << 20;

/// A packet in the window of [`Input`].
#[derive(Clone, Copy)]
pub struct Record {
    pub time: i64,
    pub link: LinkType,
    pub start: usize,
    pub length: usize,
    pub wire_len: u32,
}

pub(super) fn too_long(length: u32) -> Fault {
    Fault::Corrupt(format!("record that says {length} bytes, more than it can have,"))
}

enum Format {
    Pcap(Pcap),
    PcapNg(PcapNg),
}

impl Format {
    #[inline(always)]
    fn next(&mut self, input: &mut Input) -> Result<Option<Record>, Fault> {
        match self {
            Format::Pcap(pcap) => pcap.next(input),
            Format::PcapNg(pcapng) => pcapng.next(input),
        }
    }
}

/// Reads a capture file from its beginning to its end, or to the first fault.
pub struct FileReader {
    path: PathBuf,
    input: Input,
    format: Format,
    /// The first packet, which `open` has looked at already.
    first: Option<Result<Record, CaptureError>>,
    finished: bool,
}

impl FileReader {
    /// Opens the file and looks at its first packet, so that a file of another kind or link type is refused here.
    pub fn open(path: impl AsRef<Path>) -> Result<FileReader, CaptureError> {
        FileReader::open_until(path, || Ok(()))
    }

    /// The same; an error of `on_signal` ends the waiting for a pipe or a FIFO.
    pub fn open_until(path: impl AsRef<Path>, on_signal: OnSignal) -> Result<FileReader, CaptureError> {
        let path = path.as_ref();
        let input = Input::open(path, on_signal).map_err(|error| Fault::Io(error).at(path, 0))?;
        FileReader::start(path, input)
    }

    fn start(path: &Path, mut input: Input) -> Result<FileReader, CaptureError> {
        let format = recognise(&mut input).map_err(|fault| fault.at(path, input.at()))?;
        let mut reader = FileReader { path: path.to_owned(), input, format, first: None, finished: false };
        reader.first = match reader.advance() {
            Ok(record) => record.map(Ok),
            Err(CaptureError { fault: fault @ (Fault::UnknownLink(_) | Fault::NotCapture(_)), at, path }) => {
                return Err(CaptureError { path, at, fault });
            }
            Err(error) => Some(Err(error)),
        };
        Ok(reader)
    }

    /// The next frame; `None` at the end and after an error.
    ///
    /// An error ends the file: everything before it has been handed out.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "a frame borrows from the reader, which no Iterator can say")]
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, CaptureError> {
        let record = match self.first.take() {
            Some(first) => Some(first?),
            None if self.finished => None,
            None => self.advance()?,
        };
        Ok(record.map(|Record { time, link, start, length, wire_len }| {
            let data = self.input.taken(start, length);
            Frame { time, link, data, wire_len, vlan: 0 }
        }))
    }

    #[inline(always)]
    fn advance(&mut self) -> Result<Option<Record>, CaptureError> {
        match self.format.next(&mut self.input) {
            Ok(Some(record)) => Ok(Some(record)),
            Ok(None) => {
                self.finished = true;
                Ok(None)
            }
            Err(fault) => {
                self.finished = true;
                let at = match &self.format {
                    Format::Pcap(_) => self.input.at(),
                    Format::PcapNg(pcapng) => pcapng.block_at,
                };
                Err(fault.at(&self.path, at))
            }
        }
    }

    /// Packets that were left out because the link type of their interface is unknown (pcapng files with several).
    pub fn skipped(&self) -> u64 {
        match &self.format {
            Format::Pcap(_) => 0,
            Format::PcapNg(pcapng) => pcapng.skipped,
        }
    }
}

/// Packets of a capture file and their captured bytes: only read, not decoded. The floor that benchmarks compare with.
pub fn count(path: impl AsRef<Path>) -> Result<(u64, u64), CaptureError> {
    let mut reader = FileReader::open(path)?;
    let (mut packets, mut bytes) = (0, 0);
    while let Some(frame) = reader.next()? {
        packets += 1;
        bytes += frame.data.len() as u64;
    }
    Ok((packets, bytes))
}

fn recognise(input: &mut Input) -> Result<Format, Fault> {
    if !input.need(4)? {
        return Err(Fault::NotCapture(if input.ahead().is_empty() { "it is empty" } else { "it is too short" }));
    }
    let head = input.ahead();
    let magic = [head[0], head[1], head[2], head[3]];
    if Pcap::is_magic(magic) {
        return Pcap::open(input).map(Format::Pcap);
    }
    if magic == SECTION_HEADER.to_be_bytes() {
        return Ok(Format::PcapNg(PcapNg::new()));
    }
    Err(Fault::NotCapture(match magic {
        [0xfd, b'7', b'z', b'X'] => "it is compressed with xz; unpack it first",
        [b'B', b'Z', b'h', _] => "it is compressed with bzip2; unpack it first",
        [0x04, 0x22, 0x4d, 0x18] => "it is compressed with lz4; unpack it first",
        [b'P', b'K', 3, 4] => "it is a zip archive; unpack it first",
        [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd] => "it is compressed twice; unpack it first",
        _ => "it begins with neither the number of pcap nor that of pcapng",
    }))
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
