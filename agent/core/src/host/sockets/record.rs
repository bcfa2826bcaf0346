//! What happened to a socket, as the eBPF programs or the looks of `diag` tell it. The layout of the programs' records is documented in `luytre_agent/ebpf/socket_record.h`.

use super::super::owners::{HANDED_ON, IN_TURN};

const LENGTH: usize = 144;

pub const TENTATIVE: u32 = 1;
pub const UNTOLD: u32 = 2;
pub const SHARED: u32 = 4;
pub const PASSIVE: u32 = 8;
pub const LISTENER: u32 = 16;
pub const USED: u32 = 32;
pub const UNCONNECTED: u32 = 64;
pub const HANDED: u32 = 128;
pub const CARRIED: u32 = 256;
/// Not told by the programs: looked up when the socket was there already.
pub const FOUND: u32 = 512;

/// What happened to a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Connect,
    Accept,
    Listen,
    Bind,
    Close,
    Owner,
    Seed,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub kind: Kind,
    pub flags: u32,
    /// Nanoseconds of CLOCK_BOOTTIME, as the other times.
    pub time: u64,
    pub cookie: u64,
    pub netns: u64,
    pub start: u64,
    pub cgroup: u64,
    pub since: u64,
    pub sent: u64,
    pub received: u64,
    pub pid: u32,
    pub uid: u32,
    pub rtt: u32,
    pub local: [u8; 16],
    pub local_port: u16,
    pub remote: [u8; 16],
    pub remote_port: u16,
    pub protocol: u8,
    pub name: String,
}

impl Record {
    /// Reads a record; None if it is none of this layout.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; LENGTH] = bytes.first_chunk()?;
        let kind = match u32_at(bytes, 0) {
            1 => Kind::Connect,
            2 => Kind::Accept,
            3 => Kind::Listen,
            4 => Kind::Bind,
            5 => Kind::Close,
            6 => Kind::Owner,
            7 => Kind::Seed,
            _ => return None,
        };
        let name = &bytes[128..144];
        let name = &name[..name.iter().position(|byte| *byte == 0).unwrap_or(name.len())];
        Some(Self {
            kind,
            flags: u32_at(bytes, 4) & (FOUND - 1),
            time: u64_at(bytes, 8),
            cookie: u64_at(bytes, 16),
            netns: u64_at(bytes, 24),
            start: u64_at(bytes, 32),
            cgroup: u64_at(bytes, 40),
            since: u64_at(bytes, 48),
            sent: u64_at(bytes, 56),
            received: u64_at(bytes, 64).saturating_sub(u64::from(bytes[121])),
            pid: u32_at(bytes, 72),
            uid: u32_at(bytes, 76),
            rtt: u32_at(bytes, 80),
            local: address_at(bytes, 88),
            local_port: u16_at(bytes, 84),
            remote: address_at(bytes, 104),
            remote_port: u16_at(bytes, 86),
            protocol: bytes[120],
            name: String::from_utf8_lossy(name).into_owned(),
        })
    }

    /// How it is known: `event_source` and `attribution_method`.
    pub fn source(&self) -> &'static str {
        if self.flags & FOUND != 0 { "sock_diag" } else { "ebpf" }
    }

    /// The peer opened the connection.
    pub fn passive(&self) -> bool {
        self.flags & PASSIVE != 0
    }

    /// The owner is the listener's: nobody used the connection yet.
    pub fn tentative(&self) -> bool {
        self.flags & TENTATIVE != 0
    }

    /// UDP that may have other peers as well: the port is the socket's, whoever the peer is.
    pub fn unconnected(&self) -> bool {
        self.flags & UNCONNECTED != 0 || self.remote_port == 0
    }

    /// A close before which nothing was told.
    pub fn untold(&self) -> bool {
        self.flags & UNTOLD != 0
    }

    /// Of MPTCP, which other connections carry.
    pub fn carried(&self) -> bool {
        self.flags & CARRIED != 0
    }

    /// A socket that waits for others: its own end is the destination.
    pub fn listener(&self) -> bool {
        self.flags & LISTENER != 0 || matches!(self.kind, Kind::Listen | Kind::Bind)
    }

    /// How sure the owner is, percent: who uses the socket is; who only made it, or was found
    /// to hold it, may have handed it on.
    pub fn confidence(&self) -> u8 {
        match self.flags {
            _ if self.pid == 0 => 0,
            flags if flags & TENTATIVE != 0 => 50,
            flags if flags & SHARED != 0 => IN_TURN,
            flags if flags & FOUND != 0 => 70,
            flags if flags & USED == 0 => 80,
            flags if flags & HANDED != 0 => HANDED_ON,
            _ => 100,
        }
    }
}

fn u16_at(bytes: &[u8; LENGTH], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8; LENGTH], at: usize) -> u32 {
    u32::from_ne_bytes(std::array::from_fn(|index| bytes[at + index]))
}

fn u64_at(bytes: &[u8; LENGTH], at: usize) -> u64 {
    u64::from_ne_bytes(std::array::from_fn(|index| bytes[at + index]))
}

fn address_at(bytes: &[u8; LENGTH], at: usize) -> [u8; 16] {
    std::array::from_fn(|index| bytes[at + index])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read() {
        let mut bytes = [0; LENGTH];
        bytes[0] = 5;
        bytes[4] = (PASSIVE | USED) as u8;
        bytes[64] = 9;
        bytes[72] = 7;
        bytes[84..88].copy_from_slice(&[443_u16.to_ne_bytes(), 50_000_u16.to_ne_bytes()].concat());
        bytes[103] = 1;
        bytes[120] = 6;
        bytes[121] = 1;
        bytes[128..132].copy_from_slice(b"sshd");
        let record = Record::parse(&bytes).expect("a record");
        assert_eq!((record.kind, record.local_port, record.remote_port), (Kind::Close, 443, 50_000));
        assert_eq!((record.received, record.local[15], record.name.as_str()), (8, 1, "sshd"));
        assert!(record.passive() && !record.tentative() && !record.untold() && !record.listener());
        assert_eq!(record.confidence(), 100);
    }

    #[test]
    fn what_other_connections_carry_is_told_from_what_has_its_own() {
        let mut bytes = [0; LENGTH];
        bytes[0] = 6;
        assert!(!Record::parse(&bytes).expect("a record").carried());
        bytes[4..8].copy_from_slice(&CARRIED.to_ne_bytes());
        assert!(Record::parse(&bytes).expect("a record").carried());
    }

    #[test]
    fn what_is_no_record_is_none() {
        assert_eq!(Record::parse(&[1; 143]), None);
        assert_eq!(Record::parse(&[0; LENGTH]), None);
    }
}
