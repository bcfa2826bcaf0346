//! Messages of sock_diag(7): linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h, linux/tcp.h.

/// linux/sock_diag.h: SOCK_DIAG_BY_FAMILY.
const BY_FAMILY: u16 = 20;
const HEADER: usize = 16;
/// struct inet_diag_req_v2 behind the header.
pub const REQUEST: usize = HEADER + 56;
/// struct inet_diag_msg; attributes follow.
const SOCKET: usize = 72;
/// linux/inet_diag.h: attributes.
const INFO: u16 = 2;
const PROTOCOL: u16 = 10;

/// include/net/tcp_states.h; also those of UDP, which is established when connected and else closed.
pub const ESTABLISHED: u8 = 1;
pub const LISTEN: u8 = 10;
const TIME_WAIT: u8 = 6;
const CLOSE: u8 = 7;
const CLOSE_WAIT: u8 = 8;
const LAST_ACK: u8 = 9;
const CLOSING: u8 = 11;
/// All states in which a process may hold the socket: not TIME_WAIT, and no half-open connections of listeners.
pub const HELD: u32 = 0xfff & !(1 << 3 | 1 << TIME_WAIT | 1);

pub const TCP: u8 = 6;
pub const UDP: u8 = 17;

/// One socket, as the kernel tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Socket {
    pub protocol: u8,
    pub state: u8,
    pub cookie: u64,
    /// IPv6, or IPv4 mapped.
    pub local: [u8; 16],
    pub local_port: u16,
    pub remote: [u8; 16],
    pub remote_port: u16,
    /// Whose files the socket counts as.
    pub uid: u32,
    /// 0: no process holds it.
    pub inode: u32,
    pub traffic: Traffic,
}

/// What a TCP connection carried so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Payload bytes.
    pub sent: u64,
    pub received: u64,
    /// Smoothed round-trip time, microseconds.
    pub rtt: u32,
    /// Whether the peer opened the connection, where the kernel's counts tell.
    pub passive: Option<bool>,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    Socket(Socket),
    /// The dump ends, with an error number or 0.
    End(i32),
    Other,
}

/// A message, the sequence number of the request that it answers, and whether the dump was interrupted by a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub message: Message,
    pub sequence: u32,
    pub interrupted: bool,
}

/// Asks for all sockets of a family and protocol, TCP with its counts.
pub fn request(family: u8, protocol: u8, sequence: u32) -> [u8; REQUEST] {
    let mut request = [0; REQUEST];
    request[0..4].copy_from_slice(&(REQUEST as u32).to_ne_bytes());
    request[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
    request[6..8].copy_from_slice(&((libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16).to_ne_bytes());
    request[8..12].copy_from_slice(&sequence.to_ne_bytes());
    request[HEADER] = family;
    request[HEADER + 1] = protocol;
    request[HEADER + 2] = if protocol == TCP { 1 << (INFO - 1) } else { 0 };
    request[HEADER + 4..HEADER + 8].copy_from_slice(&HELD.to_ne_bytes());
    request
}

/// Takes what the kernel sent apart; an item is None where the rest cannot be read. `protocol` is that of sockets that do
/// not tell theirs, as in dumps.
pub fn parts(mut bytes: &[u8], protocol: u8) -> impl Iterator<Item = Option<Part>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let Some((message, rest)) = split(bytes, HEADER, |head| u32_at(head, 0) as usize) else {
            bytes = &[];
            return Some(None);
        };
        bytes = rest;
        let body = &message[HEADER..];
        let said = match i32::from(u16_at(message, 4)) {
            libc::NLMSG_DONE | libc::NLMSG_ERROR => Message::End(body.first_chunk().map_or(0, |code| {
                let code = i32::from_ne_bytes(*code);
                code.saturating_neg()
            })),
            kind if kind == i32::from(BY_FAMILY) => match socket(body, protocol) {
                Some(socket) => Message::Socket(socket),
                None => return Some(None),
            },
            _ => Message::Other,
        };
        let interrupted = i32::from(u16_at(message, 6)) & libc::NLM_F_DUMP_INTR != 0;
        Some(Some(Part { message: said, sequence: u32_at(message, 8), interrupted }))
    })
}

fn socket(body: &[u8], protocol: u8) -> Option<Socket> {
    let (head, mut attributes) = body.split_at_checked(SOCKET)?;
    let six = match i32::from(head[0]) {
        libc::AF_INET => false,
        libc::AF_INET6 => true,
        _ => return None,
    };
    let mut socket = Socket {
        protocol,
        state: head[1],
        local_port: u16::from_be_bytes([head[4], head[5]]),
        remote_port: u16::from_be_bytes([head[6], head[7]]),
        local: address(&head[8..24], six)?,
        remote: address(&head[24..40], six)?,
        cookie: u64::from(u32_at(head, 44)) | u64::from(u32_at(head, 48)) << 32,
        uid: u32_at(head, 64),
        inode: u32_at(head, 68),
        traffic: Traffic::default(),
    };
    let mut info: &[u8] = &[];
    while let Some((attribute, rest)) = split(attributes, 4, |head| usize::from(u16_at(head, 0))) {
        attributes = rest;
        match (u16_at(attribute, 2), &attribute[4..]) {
            (PROTOCOL, [protocol]) => socket.protocol = *protocol,
            (INFO, body) => info = body,
            _ => {}
        }
    }
    if socket.protocol == TCP && socket.state != LISTEN {
        socket.traffic = traffic(socket.state, info);
    }
    Some(socket)
}

/// struct tcp_info, which grew over time: what an older kernel does not tell is 0.
fn traffic(state: u8, info: &[u8]) -> Traffic {
    let short = |at: usize| info.get(at..at + 4).map(|bytes| u32_at(bytes, 0));
    let long = |at: usize| info.get(at..at + 8)?.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes));
    let (unacked, rtt, unsent) = (short(24), short(68), short(144));
    let (acked, received) = (long(120), long(128));
    // Linux 4.19 counts what it sends; before, what is acknowledged counts the SYN of who connects, or the FIN.
    let counted = long(200).zip(long(208)).map(|(all, again)| all.saturating_sub(again));
    let sent = counted.or(acked.map(|acked| acked.saturating_sub(1)));
    // When everything is acknowledged and no FIN was sent, the difference is the SYN, which only who connects sends
    // (who accepts begins to count behind it).
    let settled = matches!(state, ESTABLISHED | CLOSE_WAIT) && unacked == Some(0) && unsent == Some(0);
    let passive = match (counted, acked) {
        (Some(counted), Some(acked)) if settled && acked == counted => Some(true),
        (Some(counted), Some(acked)) if settled && acked == counted + 1 => Some(false),
        _ => None,
    };
    // What is received counts the FIN. A socket that is gone has seen one, unless it was reset.
    let fin = matches!(state, CLOSE | CLOSE_WAIT | LAST_ACK | CLOSING);
    Traffic {
        sent: sent.unwrap_or(0),
        received: received.unwrap_or(0).saturating_sub(u64::from(fin)),
        rtt: rtt.unwrap_or(0),
        passive,
    }
}

fn address(bytes: &[u8], six: bool) -> Option<[u8; 16]> {
    if six {
        return bytes.try_into().ok();
    }
    let mut mapped = [0; 16];
    mapped[10..12].fill(0xff);
    mapped[12..].copy_from_slice(bytes.get(..4)?);
    Some(mapped)
}

/// Splits the first thing off that says its own length, which is padded to 4 bytes (netlink(7)).
fn split(bytes: &[u8], least: usize, length: impl Fn(&[u8]) -> usize) -> Option<(&[u8], &[u8])> {
    let length = length(bytes.get(..least)?);
    if length < least {
        return None;
    }
    let thing = bytes.get(..length)?;
    Some((thing, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
