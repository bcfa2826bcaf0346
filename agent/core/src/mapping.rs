//! Memory that is shared with the kernel.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

/// A mapping of a descriptor's memory, for as long as this lives. What may be read and written when is the matter of the
/// protocol that the descriptor speaks.
#[derive(Debug)]
pub struct Mapping {
    start: *mut u8,
    length: usize,
}

// SAFETY: the mapping belongs to this value alone and is not tied to the thread that made it.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps `length` bytes from `offset`, with an access of mmap(2), shared.
    pub fn new(fd: &impl AsFd, offset: usize, length: usize, access: c_int) -> io::Result<Self> {
        let (fd, at) = (fd.as_fd().as_raw_fd(), offset as libc::off_t);
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory that exists.
        let start = unsafe { libc::mmap(ptr::null_mut(), length, access, libc::MAP_SHARED, fd, at) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { start: start.cast(), length })
    }

    pub fn len(&self) -> usize {
        self.length
    }

    /// Where it begins.
    pub fn start(&self) -> *mut u8 {
        self.start
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what `new` mapped; views borrow from this value.
        unsafe { libc::munmap(self.start.cast(), self.length) };
    }
}
