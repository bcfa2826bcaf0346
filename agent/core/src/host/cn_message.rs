//! Messages of the proc connector: `struct nlmsghdr` of linux/netlink.h, `struct cn_msg` of linux/connector.h and
//! `struct proc_event` of linux/cn_proc.h, native byte order.

/// nlmsghdr 16 bytes, cn_msg 20 bytes.
pub const EVENT: usize = 36;
/// proc_event: what u32, cpu u32, timestamp_ns u64; then the members of `what`.
const DATA: usize = EVENT + 16;

const CN_IDX_PROC: u32 = 1;
const CN_VAL_PROC: u32 = 1;
const NLMSG_DONE: u16 = 3;

pub const PROC_EVENT_NONE: u32 = 0;
const PROC_EVENT_FORK: u32 = 1;
const PROC_EVENT_EXEC: u32 = 2;
const PROC_EVENT_UID: u32 = 4;
const PROC_EVENT_GID: u32 = 0x40;
pub const PROC_EVENT_PTRACE: u32 = 0x100;
const PROC_EVENT_EXIT: u32 = 0x8000_0000;

/// What the kernel said. Times are nanoseconds of CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// The answer to a subscription: 0 or an errno, and the token of the subscription. Every listener hears it.
    Answer {
        code: u32,
        token: u32,
    },
    Fork {
        time: u64,
        parent: u32,
        child: u32,
    },
    Exec {
        time: u64,
        pid: u32,
    },
    /// `status` as wait(2) gives it; `parent` is 0 before Linux 4.18, which does not say.
    Exit {
        time: u64,
        pid: u32,
        status: u32,
        parent: u32,
    },
    /// The process runs as somebody else now.
    User {
        pid: u32,
        real: u32,
        effective: u32,
    },
    Group {
        pid: u32,
        real: u32,
    },
    /// A process traces another one from now on.
    Ptrace {
        time: u64,
        tracer: u32,
        tracee: u32,
    },
    /// A thread, or a kind that nobody asked for.
    Other,
}

/// Whether to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subscription {
    /// PROC_CN_MCAST_LISTEN.
    Listen = 1,
    /// PROC_CN_MCAST_IGNORE.
    Ignore = 2,
}

/// Reads a message; None if it is none of the proc connector's.
pub fn parse(bytes: &[u8]) -> Option<Message> {
    let length = u32_at(bytes, 0)? as usize;
    let bytes = bytes.get(..length)?;
    if (u32_at(bytes, 16)?, u32_at(bytes, 20)?) != (CN_IDX_PROC, CN_VAL_PROC) {
        return None;
    }
    let time = u64::from_ne_bytes(bytes.get(EVENT + 8..EVENT + 16)?.try_into().ok()?);
    let word = |index: usize| u32_at(bytes, DATA + 4 * index);
    Some(match u32_at(bytes, EVENT)? {
        PROC_EVENT_NONE => Message::Answer { code: word(0)?, token: u32_at(bytes, 28)?.wrapping_sub(1) },
        // parent_pid, parent_tgid, child_pid, child_tgid
        PROC_EVENT_FORK if word(2)? == word(3)? => Message::Fork { time, parent: word(1)?, child: word(3)? },
        // process_pid, process_tgid
        PROC_EVENT_EXEC => Message::Exec { time, pid: word(1)? },
        // process_pid, process_tgid, ruid or rgid, euid or egid
        PROC_EVENT_UID if word(0)? == word(1)? => Message::User { pid: word(1)?, real: word(2)?, effective: word(3)? },
        PROC_EVENT_GID if word(0)? == word(1)? => Message::Group { pid: word(1)?, real: word(2)? },
        // process_pid, process_tgid, tracer_pid, tracer_tgid, which are 0 at the end of tracing
        PROC_EVENT_PTRACE if word(3)? != 0 => Message::Ptrace { time, tracer: word(3)?, tracee: word(1)? },
        // process_pid, process_tgid, exit_code, exit_signal, parent_pid, parent_tgid
        PROC_EVENT_EXIT if word(0)? == word(1)? => {
            Message::Exit { time, pid: word(1)?, status: word(2)?, parent: word(5).unwrap_or(0) }
        }
        _ => Message::Other,
    })
}

/// The message that subscribes. The kernel's answer carries the token plus one (cn_msg.ack).
pub fn subscription(what: Subscription, token: u32) -> [u8; 40] {
    let mut message = [0; 40];
    message[0..4].copy_from_slice(&40u32.to_ne_bytes());
    message[4..6].copy_from_slice(&NLMSG_DONE.to_ne_bytes());
    message[16..20].copy_from_slice(&CN_IDX_PROC.to_ne_bytes());
    message[20..24].copy_from_slice(&CN_VAL_PROC.to_ne_bytes());
    message[28..32].copy_from_slice(&token.to_ne_bytes());
    message[32..34].copy_from_slice(&4u16.to_ne_bytes()); // cn_msg.len
    message[36..40].copy_from_slice(&(what as u32).to_ne_bytes());
    message
}

/// The message that narrows a subscription to tracing: `struct proc_input`, since Linux 6.6. Older kernels ignore it for
/// its length.
pub fn only_tracing() -> [u8; 44] {
    let mut message = [0; 44];
    message[..40].copy_from_slice(&subscription(Subscription::Listen, 0));
    message[0..4].copy_from_slice(&44u32.to_ne_bytes());
    message[32..34].copy_from_slice(&8u16.to_ne_bytes());
    message[40..44].copy_from_slice(&PROC_EVENT_PTRACE.to_ne_bytes());
    message
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(what: u32, words: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0; DATA];
        bytes[16..20].copy_from_slice(&CN_IDX_PROC.to_ne_bytes());
        bytes[20..24].copy_from_slice(&CN_VAL_PROC.to_ne_bytes());
        bytes[36..40].copy_from_slice(&what.to_ne_bytes());
        bytes[44..52].copy_from_slice(&77u64.to_ne_bytes());
        for word in words {
            bytes.extend_from_slice(&word.to_ne_bytes());
        }
        let length = bytes.len() as u32;
        bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        bytes
    }

    #[test]
    fn reads_processes_and_skips_threads() {
        let parse = |what, words: &[u32]| parse(&event(what, words));
        assert_eq!(parse(0, &[0]), Some(Message::Answer { code: 0, token: u32::MAX }));
        assert_eq!(parse(PROC_EVENT_FORK, &[9, 8, 7, 7]), Some(Message::Fork { time: 77, parent: 8, child: 7 }));
        assert_eq!(parse(PROC_EVENT_FORK, &[9, 8, 6, 7]), Some(Message::Other));
        assert_eq!(parse(PROC_EVENT_EXEC, &[7, 7]), Some(Message::Exec { time: 77, pid: 7 }));
        let exit = Message::Exit { time: 77, pid: 7, status: 256, parent: 8 };
        assert_eq!(parse(PROC_EVENT_EXIT, &[7, 7, 256, 17, 9, 8]), Some(exit));
        assert_eq!(parse(PROC_EVENT_EXIT, &[6, 7, 256, 17, 9, 8]), Some(Message::Other));
        let old = Message::Exit { time: 77, pid: 7, status: 9, parent: 0 };
        assert_eq!(parse(PROC_EVENT_EXIT, &[7, 7, 9, 17]), Some(old));
        assert_eq!(parse(PROC_EVENT_UID, &[7, 7, 33, 34]), Some(Message::User { pid: 7, real: 33, effective: 34 }));
        assert_eq!(parse(PROC_EVENT_GID, &[7, 7, 33, 34]), Some(Message::Group { pid: 7, real: 33 }));
        assert_eq!(parse(0x80, &[7, 7]), Some(Message::Other), "a new session");
        let traced = Message::Ptrace { time: 77, tracer: 9, tracee: 7 };
        assert_eq!(parse(PROC_EVENT_PTRACE, &[6, 7, 8, 9]), Some(traced));
        assert_eq!(parse(PROC_EVENT_PTRACE, &[6, 7, 0, 0]), Some(Message::Other), "the end of it");
    }

    #[test]
    fn an_answer_is_known_by_its_token() {
        let mut answer = event(PROC_EVENT_NONE, &[22]);
        let asked = subscription(Subscription::Listen, 4711);
        assert_eq!(asked[28..32], 4711u32.to_ne_bytes());
        answer[28..32].copy_from_slice(&4712u32.to_ne_bytes());
        assert_eq!(parse(&answer), Some(Message::Answer { code: 22, token: 4711 }));
    }

    #[test]
    fn refuses_what_is_cut_or_foreign() {
        let whole = event(PROC_EVENT_EXEC, &[7, 7]);
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length]), None, "{length} bytes");
        }
        let mut foreign = whole;
        foreign[16] = 9;
        assert_eq!(parse(&foreign), None);
    }

    proptest! {
        #[test]
        fn never_panics(mut bytes in proptest::collection::vec(any::<u8>(), 0..100), what in any::<u32>()) {
            let _ = parse(&bytes);
            if bytes.len() >= DATA {
                let good = event(what, &[]);
                bytes[4..DATA].copy_from_slice(&good[4..]);
                let length = bytes.len() as u32;
                bytes[..4].copy_from_slice(&length.to_ne_bytes());
                let _ = parse(&bytes);
            }
        }
    }
}
