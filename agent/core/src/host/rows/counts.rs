//! What is counted of processes.

/// How often each thing happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub fork: u64,
    pub exec: u64,
    pub exit: u64,
    /// Two last threads of one process ended at once, and the kernel told of both.
    pub exit_duplicate: u64,
    /// Ends that were noticed by absence.
    pub exit_unknown: u64,
    pub ptrace: u64,
    pub args_truncated: u64,
    pub args_unknown: u64,
    pub exe_unknown: u64,
    pub parent_unknown: u64,
    pub user_unknown: u64,
    pub place_unknown: u64,
    pub usage_unknown: u64,
    /// Processes that ran before us.
    pub seed: u64,
    /// Command lines from which something was taken out.
    pub redacted: u64,
    /// Parents that had to be looked up in /proc.
    pub parent_read: u64,
}
