//! Where frames come from: a live ring (`ring`), a capture file (`file`).

mod block;
mod error;
pub mod file;
pub mod filter;
mod input;
mod mapping;
mod patient;
mod pcap;
mod pcapng;
pub mod ring;
mod socket;
pub(crate) use socket::enter;

pub use error::{CaptureError, Fault};
pub use file::{FileReader, count};
pub use ring::{Ring, RingOptions, Statistics};

/// What a frame begins with. Numbers: <https://www.tcpdump.org/linktypes.html>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkType {
    /// IEEE 802.3: `LINKTYPE_ETHERNET`, 1.
    Ethernet,
    /// No link header, IPv4 or IPv6 by the version nibble: 101, 12 and 14 (`DLT_RAW` of some systems), 228 and 229.
    RawIp,
    /// `LINKTYPE_LINUX_SLL`, 113: what `-i any` wrote.
    LinuxSll,
    /// `LINKTYPE_LINUX_SLL2`, 276.
    LinuxSll2,
    /// `LINKTYPE_NULL`, 0 (address family in the byte order of the writer), and `LINKTYPE_LOOP`, 108 (network order).
    Loopback,
}

impl LinkType {
    /// The link type that a capture file names by `number`; `None` if the decoders do not know it.
    pub fn from_number(number: u32) -> Option<LinkType> {
        match number {
            0 | 108 => Some(LinkType::Loopback),
            1 => Some(LinkType::Ethernet),
            12 | 14 | 101 | 228 | 229 => Some(LinkType::RawIp),
            113 => Some(LinkType::LinuxSll),
            276 => Some(LinkType::LinuxSll2),
            _ => None,
        }
    }
}

/// One captured frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Microseconds since 1970-01-01 UTC.
    pub time: i64,
    pub link: LinkType,
    /// The captured part.
    pub data: &'a [u8],
    /// Bytes of the whole frame, never less than `data` has.
    pub wire_len: u32,
    /// Identifier of a VLAN tag that the kernel took out of the frame; 0 for none.
    pub vlan: u16,
}
