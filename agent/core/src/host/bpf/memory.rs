//! The memory of a BPF ring buffer (<https://docs.kernel.org/bpf/ringbuf.html>): a page with the reader's position, a page
//! with the writers', and the data, which the kernel offers twice in a row so that no record is cut in two. Here it is
//! mapped once, because every mapped page counts as resident; a record at the end is put together.

use std::io;
use std::os::fd::AsFd;
use std::slice;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crate::mapping::Mapping;

/// Length and two flags, then the offset of its page, which is of no use to readers.
const HEADER: usize = 8;
/// include/uapi/linux/bpf.h: BPF_RINGBUF_BUSY_BIT, the record is not complete.
const BUSY: u32 = 1 << 31;
/// include/uapi/linux/bpf.h: BPF_RINGBUF_DISCARD_BIT, the record does not count.
const DISCARDED: u32 = 1 << 30;

/// The reader's view of a ring.
pub struct Memory {
    /// The reader's position, alone on its page.
    read: Mapping,
    /// The writers' position on the first page, then the data.
    written: Mapping,
    page: usize,
    /// As in `read`: bytes since the ring was made.
    position: usize,
    /// A record that goes round the end.
    joined: Vec<u8>,
}

impl Memory {
    /// Maps a ring of `bytes` of data.
    pub fn new(fd: &impl AsFd, bytes: usize) -> io::Result<Self> {
        // SAFETY: sysconf has no preconditions.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
        let read = Mapping::new(fd, 0, page, libc::PROT_READ | libc::PROT_WRITE)?;
        let written = Mapping::new(fd, page, page + bytes, libc::PROT_READ)?;
        let mut memory = Self { read, written, page, position: 0, joined: Vec::new() };
        memory.position = memory.reader().load(Ordering::Acquire);
        Ok(memory)
    }

    /// Hands the next complete record to `each`; None if there is none.
    pub fn next<T>(&mut self, each: impl FnOnce(&[u8]) -> T) -> Option<T> {
        loop {
            let waiting = self.writers().load(Ordering::Acquire).wrapping_sub(self.position);
            if waiting < HEADER {
                return None;
            }
            let (size, at) = (self.size(), self.position & (self.size() - 1));
            let header = self.header(at).load(Ordering::Acquire);
            if header & BUSY != 0 {
                return None;
            }
            let length = (header & !DISCARDED) as usize;
            let taken = (HEADER + length).next_multiple_of(8);
            assert!(taken <= waiting && waiting <= size, "the kernel's ring makes no sense");
            if header & DISCARDED != 0 {
                self.advance(taken);
                continue;
            }
            let begin = at + HEADER;
            let answer = if begin + length <= size {
                each(self.data(begin, length))
            } else {
                // A header that ends with the ring has all of its record at the beginning.
                let before = size - begin;
                let mut joined = std::mem::take(&mut self.joined);
                joined.clear();
                joined.extend_from_slice(self.data(begin, before));
                joined.extend_from_slice(self.data(0, length - before));
                let answer = each(&joined);
                self.joined = joined;
                answer
            };
            self.advance(taken);
            return Some(answer);
        }
    }

    fn size(&self) -> usize {
        self.written.len() - self.page
    }

    /// Gives the memory of a record back.
    fn advance(&mut self, taken: usize) {
        self.position = self.position.wrapping_add(taken);
        self.reader().store(self.position, Ordering::Release);
    }

    fn reader(&self) -> &AtomicUsize {
        // SAFETY: the mapping begins with this word, on a page of its own; the kernel only reads it, atomically.
        unsafe { AtomicUsize::from_ptr(self.read.start().cast()) }
    }

    fn writers(&self) -> &AtomicUsize {
        // SAFETY: the mapping begins with this word; the kernel writes it atomically, and it is only loaded here, which
        // memory that cannot be written to allows for words.
        unsafe { AtomicUsize::from_ptr(self.written.start().cast()) }
    }

    /// The header of a record: records begin at multiples of eight, so that it is in one piece.
    fn header(&self, at: usize) -> &AtomicU32 {
        assert!(at.is_multiple_of(8) && at + HEADER <= self.size());
        // SAFETY: in bounds and aligned by the assertion; only loaded, as `writers`.
        unsafe { AtomicU32::from_ptr(self.written.start().add(self.page + at).cast()) }
    }

    /// A part of a complete record, which the kernel leaves alone until `advance`.
    fn data(&self, at: usize, length: usize) -> &[u8] {
        assert!(at + length <= self.size());
        // SAFETY: in bounds by the assertion; `advance` needs the value mutably, so no view outlives the record.
        unsafe { slice::from_raw_parts(self.written.start().add(self.page + at), length) }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::FromRawFd;
    use std::os::unix::fs::FileExt;

    use super::*;
    use proptest::prelude::*;

    const BYTES: usize = 4096;

    /// A ring in a file, written as the kernel does it.
    struct Writer {
        file: File,
        page: usize,
        position: usize,
    }

    impl Writer {
        fn new() -> (Self, Memory) {
            // SAFETY: the name is a C string; the descriptor, if any, is new and owned by nobody else.
            let file = unsafe { File::from_raw_fd(libc::memfd_create(c"ring".as_ptr(), libc::MFD_CLOEXEC)) };
            // SAFETY: sysconf has no preconditions.
            let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
            file.set_len((2 * page + BYTES) as u64).expect("memory");
            let memory = Memory::new(&file, BYTES).expect("mapped");
            (Self { file, page, position: 0 }, memory)
        }

        fn put(&mut self, flags: u32, record: &[u8]) {
            let mut bytes = (record.len() as u32 | flags).to_ne_bytes().to_vec();
            bytes.extend_from_slice(&[0; 4]);
            bytes.extend_from_slice(record);
            for (i, byte) in bytes.iter().enumerate() {
                let at = 2 * self.page + (self.position + i) % BYTES;
                self.file.write_all_at(&[*byte], at as u64).expect("memory");
            }
            self.position += bytes.len().next_multiple_of(8);
            self.file.write_all_at(&self.position.to_ne_bytes(), self.page as u64).expect("memory");
        }

        fn read(&self) -> usize {
            let mut position = [0; size_of::<usize>()];
            self.file.read_exact_at(&mut position, 0).expect("memory");
            usize::from_ne_bytes(position)
        }
    }

    #[test]
    fn what_is_not_complete_waits_and_what_does_not_count_is_passed_over() {
        let (mut writer, mut memory) = Writer::new();
        assert_eq!(memory.next(<[u8]>::to_vec), None);
        writer.put(DISCARDED, b"never mind");
        writer.put(0, b"first");
        writer.put(BUSY, b"not yet");
        assert_eq!(memory.next(<[u8]>::to_vec).as_deref(), Some(&b"first"[..]));
        assert_eq!(memory.next(<[u8]>::to_vec), None);
        assert_eq!(writer.read(), 24 + 16, "the writer may use what was read again");
    }

    proptest! {
        #[test]
        fn records_come_out_as_they_went_in(
            records in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..1500), 1..20)
        ) {
            let (mut writer, mut memory) = Writer::new();
            for record in records {
                writer.put(0, &record);
                prop_assert_eq!(memory.next(<[u8]>::to_vec), Some(record));
            }
            prop_assert_eq!(writer.read(), writer.position);
        }
    }
}
