//! Classic BPF (<https://docs.kernel.org/networking/filter.html>) for the ring: leave out the agent's own uplink, cut the
//! rest to the snap length.
//!
//! A load beyond the end of a packet makes the kernel drop it, so every load is preceded by a check of the length:
//! nothing but the uplink may be missing from the capture.

use libc::sock_filter;
use std::fmt;
use std::net::IpAddr;

/// `BPF_MAXINSNS` of the kernel.
const MAX_INSTRUCTIONS: usize = 4096;

const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF_AT_X: u16 = 0x48;
const LOAD_LENGTH: u16 = 0x80;
/// X = 4 * (byte & 15): an IPv4 header length.
const LOAD_X_HEADER_LENGTH: u16 = 0xb1;
const SUBTRACT: u16 = 0x14;
const SUBTRACT_X: u16 = 0x1c;
const AND: u16 = 0x54;
const GOTO: u16 = 0x05;
const IF_EQUAL: u16 = 0x15;
const IF_AT_LEAST: u16 = 0x35;
const IF_AT_LEAST_X: u16 = 0x3d;
const IF_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

/// `SKF_AD_OFF + SKF_AD_PKTTYPE`: the direction of the packet, in place of an offset.
const PACKET_TYPE: u32 = 0xffff_f000 + 4;

/// What the packets that the filter sees begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    Ethernet,
    /// The network layer at once.
    Network,
}

/// The exclude list makes a program longer than the kernel takes.
#[derive(Debug, PartialEq, Eq)]
pub struct TooLong {
    pub instructions: usize,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the exclude list needs {} filter instructions, the kernel takes {MAX_INSTRUCTIONS}; list fewer addresses",
            self.instructions
        )
    }
}

impl std::error::Error for TooLong {}

/// The program that drops everything.
pub const NOTHING: [sock_filter; 1] = [sock_filter { code: RETURN, jt: 0, jf: 0, k: 0 }];

/// Builds the program: it returns 0 for TCP to or from the excluded addresses and ports, `snap_length` for everything else.
///
/// In Ethernet frames it looks behind one VLAN tag; the kernel takes the outermost out of received frames before. With
/// `skip_outgoing` it drops what this host sends, which on a loopback interface arrives a second time as received.
pub fn program(
    exclude: &[(IpAddr, u16)],
    snap_length: u32,
    layer: Layer,
    skip_outgoing: bool,
) -> Result<Vec<sock_filter>, TooLong> {
    let mut code = Code { snap_length, instructions: Vec::new() };
    if skip_outgoing {
        code.load(LOAD_BYTE, PACKET_TYPE);
        code.when(IF_EQUAL, u32::from(libc::PACKET_OUTGOING), |code| code.drop());
    }
    let v4: Vec<_> = exclude.iter().filter_map(|(address, port)| version4_of(*address).map(|a| (a, *port))).collect();
    let v6: Vec<_> = exclude.iter().filter_map(|(address, port)| version6_of(*address).map(|a| (a, *port))).collect();
    if !exclude.is_empty() {
        match layer {
            Layer::Network => {
                code.require(LOAD_LENGTH, 0, IF_AT_LEAST, 1);
                code.load(LOAD_BYTE, 0);
                code.load(AND, 0xf0);
                code.section(0x40, |code| code.ipv4(0, &v4));
                code.section(0x60, |code| code.ipv6(0, &v6));
            }
            Layer::Ethernet => {
                code.require(LOAD_LENGTH, 0, IF_AT_LEAST, 18);
                code.load(LOAD_HALF, 12);
                for tag in [0x8100, 0x88a8] {
                    code.section(tag, |code| {
                        code.load(LOAD_HALF, 16);
                        code.section(0x0800, |code| code.ipv4(18, &v4));
                        code.section(0x86dd, |code| code.ipv6(18, &v6));
                    });
                }
                code.section(0x0800, |code| code.ipv4(14, &v4));
                code.section(0x86dd, |code| code.ipv6(14, &v6));
            }
        }
    }
    code.keep();
    let instructions = code.instructions.len();
    if instructions > MAX_INSTRUCTIONS { Err(TooLong { instructions }) } else { Ok(code.instructions) }
}

fn version4_of(address: IpAddr) -> Option<[u8; 4]> {
    match address {
        IpAddr::V4(v4) => Some(v4.octets()),
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map(|v4| v4.octets()),
    }
}

fn version6_of(address: IpAddr) -> Option<[u8; 16]> {
    match address {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_none() => Some(v6.octets()),
        _ => None,
    }
}

/// A program in the making.
struct Code {
    snap_length: u32,
    instructions: Vec<sock_filter>,
}

impl Code {
    fn push(&mut self, code: u16, jt: u8, jf: u8, k: u32) {
        self.instructions.push(sock_filter { code, jt, jf, k });
    }

    fn load(&mut self, code: u16, k: u32) {
        self.push(code, 0, 0, k);
    }

    fn keep(&mut self) {
        self.push(RETURN, 0, 0, self.snap_length);
    }

    fn drop(&mut self) {
        self.push(RETURN, 0, 0, 0);
    }

    /// Loads, and keeps the packet unless the test holds.
    fn require(&mut self, load: u16, at: u32, test: u16, k: u32) {
        self.load(load, at);
        self.push(test, 1, 0, k);
        self.keep();
    }

    /// One instruction that runs only if the test holds.
    fn when(&mut self, test: u16, k: u32, then: impl FnOnce(&mut Code)) {
        self.push(test, 0, 1, k);
        then(self);
    }

    /// A body for packets whose accumulator is `value`; they are kept if they reach its end. Others go on behind it, with
    /// the accumulator as it was.
    fn section(&mut self, value: u32, body: impl FnOnce(&mut Code)) {
        self.push(IF_EQUAL, 1, 0, value);
        let goto = self.instructions.len();
        self.push(GOTO, 0, 0, 0);
        body(self);
        self.keep();
        self.instructions[goto].k = (self.instructions.len() - goto - 1) as u32;
    }

    fn ipv4(&mut self, base: u32, exclude: &[([u8; 4], u16)]) {
        self.require(LOAD_LENGTH, 0, IF_AT_LEAST, base + 20);
        self.require(LOAD_BYTE, base + 9, IF_EQUAL, 6);
        // Later fragments have no ports.
        self.load(LOAD_HALF, base + 6);
        self.push(IF_ANY_BIT, 0, 1, 0x1fff);
        self.keep();
        self.load(LOAD_BYTE, base);
        self.load(AND, 0x0f);
        self.push(IF_AT_LEAST, 1, 0, 5);
        self.keep();
        self.load(LOAD_X_HEADER_LENGTH, base);
        self.load(LOAD_LENGTH, 0);
        self.load(SUBTRACT, base);
        self.push(IF_AT_LEAST_X, 1, 0, 0);
        self.keep();
        self.load(SUBTRACT_X, 0);
        self.push(IF_AT_LEAST, 1, 0, 4);
        self.keep();
        for (address, port) in exclude {
            for (at, port_at) in [(12, 0), (16, 2)] {
                self.load(LOAD_WORD, base + at);
                self.push(IF_EQUAL, 0, 3, u32::from_be_bytes(*address));
                self.load(LOAD_HALF_AT_X, base + port_at);
                self.when(IF_EQUAL, u32::from(*port), |code| code.drop());
            }
        }
    }

    fn ipv6(&mut self, base: u32, exclude: &[([u8; 16], u16)]) {
        self.require(LOAD_LENGTH, 0, IF_AT_LEAST, base + 44);
        self.require(LOAD_BYTE, base + 6, IF_EQUAL, 6);
        for (address, port) in exclude {
            for (at, port_at) in [(8, 0), (24, 2)] {
                for (index, word) in address.chunks_exact(4).enumerate() {
                    self.load(LOAD_WORD, base + at + 4 * index as u32);
                    // Beyond the words that are left, the load of the port, its test and the return.
                    let rest = 2 * (3 - index as u8) + 3;
                    self.push(IF_EQUAL, 0, rest, u32::from_be_bytes([word[0], word[1], word[2], word[3]]));
                }
                self.load(LOAD_HALF, base + 40 + port_at);
                self.when(IF_EQUAL, u32::from(*port), |code| code.drop());
            }
        }
    }
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
