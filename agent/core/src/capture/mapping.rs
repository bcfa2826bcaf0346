//! The memory of a ring, shared with the kernel, which owns each block or lends it to us.

use std::io;
use std::mem::offset_of;
use std::os::fd::OwnedFd;
use std::slice;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::mapping::Mapping;

/// Where in a block its status is.
const STATUS: usize = offset_of!(libc::tpacket_block_desc, hdr) + offset_of!(libc::tpacket_hdr_v1, block_status);

/// The blocks of a packet socket.
pub struct Blocks(Mapping);

impl Blocks {
    /// Maps the ring of a packet socket.
    pub fn new(socket: &OwnedFd, length: usize) -> io::Result<Self> {
        Mapping::new(socket, 0, length, libc::PROT_READ | libc::PROT_WRITE).map(Self)
    }

    /// Bytes of all blocks.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The block at an offset, if the kernel has lent it. Dropping it gives it back.
    pub fn take(&mut self, at: usize, length: usize) -> Option<Block<'_>> {
        assert!(at.is_multiple_of(8) && length >= STATUS + 4 && at + length <= self.0.len());
        // SAFETY: in bounds by the assertion; the kernel aligns blocks to pages, and reads and writes the status atomically.
        let status = unsafe { AtomicU32::from_ptr(self.0.start().add(at + STATUS).cast()) };
        if status.load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return None;
        }
        // SAFETY: in bounds by the assertion; until the status says otherwise the kernel leaves a lent block alone, and the
        // mutable borrow of the mapping keeps a second view from being made.
        let bytes = unsafe { slice::from_raw_parts(self.0.start().add(at), length) };
        Some(Block { bytes, status })
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
