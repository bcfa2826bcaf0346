//! The allocator's leftovers.

/// Gives memory that is free but kept by the allocator back to the system (malloc_trim(3)). Worth it after work that
/// needed much at once, such as reading the kernel's type information: otherwise its tens of megabytes stay resident.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: no preconditions; what is in use stays where it is.
    unsafe {
        libc::malloc_trim(0);
    }
}
