//! A window that slides over a file, uncompressed on the way: large reads in, slices out, no copy in between.

use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;

use super::patient::{self, OnSignal};

/// Large enough that a read costs nothing per packet, small enough for a cache to hold.
const WINDOW: usize = 1 << 20;

pub struct Input {
    source: Box<dyn Read + Send>,
    window: Vec<u8>,
    start: usize,
    end: usize,
    /// Byte of the uncompressed file that `window[0]` is.
    origin: u64,
}

impl Input {
    /// Opens a file; gzip (RFC 1952) and zstd (RFC 8878) are recognised by their first bytes. Where reading has to wait,
    /// `on_signal` may end it.
    pub fn open(path: &Path, on_signal: OnSignal) -> io::Result<Input> {
        let mut file = patient::open(path, on_signal)?;
        let mut magic = Vec::with_capacity(4);
        file.by_ref().take(4).read_to_end(&mut magic)?;
        let kind = <[u8; 4]>::try_from(magic.as_slice()).unwrap_or_default();
        let whole = Cursor::new(magic).chain(file);
        Ok(Input::new(match kind {
            [0x1f, 0x8b, _, _] => {
                Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(WINDOW / 4, whole)))
            }
            [0x28, 0xb5, 0x2f, 0xfd] => Box::new(zstd::Decoder::new(whole)?),
            _ => Box::new(whole),
        }))
    }

    pub fn new(source: Box<dyn Read + Send>) -> Input {
        Input { source, window: vec![0; WINDOW], start: 0, end: 0, origin: 0 }
    }

    /// Byte of the uncompressed file that comes next.
    #[inline]
    pub fn at(&self) -> u64 {
        self.origin + self.start as u64
    }

    /// What is in the window and not consumed.
    #[inline(always)]
    pub fn ahead(&self) -> &[u8] {
        &self.window[self.start..self.end]
    }

    /// Makes `count` bytes ready in `ahead`; false if the file ends first.
    #[inline(always)]
    pub fn need(&mut self, count: usize) -> io::Result<bool> {
        if self.end - self.start >= count { Ok(true) } else { self.refill(count) }
    }

    #[cold]
    fn refill(&mut self, count: usize) -> io::Result<bool> {
        self.window.copy_within(self.start..self.end, 0);
        self.origin += self.start as u64;
        self.end -= self.start;
        self.start = 0;
        if count > self.window.len() {
            self.window.resize(count.next_power_of_two(), 0);
        }
        while self.end < count {
            match self.source.read(&mut self.window[self.end..]) {
                Ok(0) => return Ok(false),
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Steps over `count` bytes of `ahead` and returns where in the window they are: `taken` shows them until the next
    /// `need`.
    #[inline(always)]
    pub fn consume(&mut self, count: usize) -> usize {
        let at = self.start;
        self.start += count;
        debug_assert!(self.start <= self.end);
        at
    }

    /// Bytes that were consumed since the last `need`.
    #[inline(always)]
    pub fn taken(&self, at: usize, length: usize) -> &[u8] {
        &self.window[at..at + length]
    }

    /// Steps over any number of bytes without keeping them; false if the file ends first.
    pub fn skip(&mut self, mut count: u64) -> io::Result<bool> {
        loop {
            let step = count.min((self.end - self.start) as u64);
            self.start += step as usize;
            count -= step;
            if count == 0 {
                return Ok(true);
            }
            if !self.need(1)? {
                return Ok(false);
            }
        }
    }
}
