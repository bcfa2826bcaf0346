//! The memory of a ring, shared with the kernel, which owns each block or lends it to us.

use std::io;
use std::mem::offset_of;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where in a block its status is.
const STATUS: usize = offset_of!(libc::tpacket_block_desc, hdr) + offset_of!(libc::tpacket_hdr_v1, block_status);

pub struct Mapping {
    start: *mut u8,
    length: usize,
}

// SAFETY: the mapping belongs to this value alone and is not tied to the thread that made it.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps the ring of a packet socket.
    pub fn new(socket: &OwnedFd, length: usize) -> io::Result<Mapping> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory that exists.
        let start = unsafe { libc::mmap(ptr::null_mut(), length, access, libc::MAP_SHARED, socket.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Mapping { start: start.cast(), length })
    }

    pub fn len(&self) -> usize {
        self.length
    }

    /// The block at an offset, if the kernel has lent it. Dropping it gives it back.
    pub fn take(&mut self, at: usize, length: usize) -> Option<Block<'_>> {
        assert!(at.is_multiple_of(8) && length >= STATUS + 4 && at + length <= self.length);
        // SAFETY: in bounds by the assertion; the kernel aligns blocks to pages, and reads and writes the status atomically.
        let status = unsafe { AtomicU32::from_ptr(self.start.add(at + STATUS).cast()) };
        if status.load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return None;
        }
        // SAFETY: in bounds by the assertion; until the status says otherwise the kernel leaves a lent block alone, and the
        // mutable borrow of the mapping keeps a second view from being made.
        let bytes = unsafe { slice::from_raw_parts(self.start.add(at), length) };
        Some(Block { bytes, status })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what `new` mapped; no view outlives the borrow of `self`.
        unsafe { libc::munmap(self.start.cast(), self.length) };
    }
}

/// A block that the kernel has lent.
pub struct Block<'a> {
    bytes: &'a [u8],
    status: &'a AtomicU32,
}

impl Block<'_> {
    pub fn bytes(&self) -> &[u8] {
        self.bytes
    }
}

impl Drop for Block<'_> {
    fn drop(&mut self) {
        self.status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
    }
}
