//! Messages of ctnetlink (linux/netfilter/nfnetlink_conntrack.h): requests out, entries in. Attributes hold numbers in
//! network byte order; headers are in the machine's.

/// linux/netfilter/nfnetlink.h: `NFNL_SUBSYS_CTNETLINK << 8`, then `IPCTNL_MSG_CT_*`.
const NEW: u16 = 0x0100;
const GET: u16 = 0x0101;
const DELETE: u16 = 0x0102;
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
pub const CTA_STATUS: u16 = 3;
const CTA_ID: u16 = 12;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
/// linux/netfilter/nf_conntrack_common.h.
pub const IPS_SRC_NAT: u32 = 1 << 4;
pub const IPS_DST_NAT: u32 = 1 << 5;
/// Flags of an attribute's type: NLA_F_NESTED, NLA_F_NET_BYTEORDER.
const FLAGS: u16 = 0xC000;
/// struct nlmsghdr, then struct nfgenmsg.
pub const HEADERS: usize = 20;

/// One direction of a conversation: who says something to whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tuple {
    pub protocol: u8,
    pub source: [u8; 16],
    pub source_port: u16,
    pub destination: [u8; 16],
    pub destination_port: u16,
}

impl Tuple {
    /// What answers it.
    pub fn reversed(self) -> Self {
        Self {
            protocol: self.protocol,
            source: self.destination,
            source_port: self.destination_port,
            destination: self.source,
            destination_port: self.source_port,
        }
    }
}

/// A conversation whose addresses or ports are translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// As the originator says it.
    pub original: Tuple,
    /// As the responder hears it.
    pub arriving: Tuple,
}

/// What the kernel says; entries by their identity in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    New(u32, Translation),
    Destroy(u32, Translation),
    /// The end of a dump; another number than 0 is an errno.
    Done(i32),
    /// Neither TCP nor UDP, or not translated.
    Other,
    Malformed,
}

/// Asks for all entries of a status. Kernels before 5.15 answer with those of any.
pub fn dump_request(status: u32) -> [u8; HEADERS + 8] {
    let mut request = [0; HEADERS + 8];
    request[0..4].copy_from_slice(&((HEADERS + 8) as u32).to_ne_bytes());
    request[4..6].copy_from_slice(&GET.to_ne_bytes());
    request[6..8].copy_from_slice(&((libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16).to_ne_bytes());
    request[20..22].copy_from_slice(&8_u16.to_ne_bytes());
    request[22..24].copy_from_slice(&CTA_STATUS.to_ne_bytes());
    request[24..28].copy_from_slice(&status.to_be_bytes());
    request
}

/// Reads the messages of one datagram.
pub fn parse(mut datagram: &[u8], mut take: impl FnMut(Message)) {
    while !datagram.is_empty() {
        let length = datagram.first_chunk().map_or(0, |length| u32::from_ne_bytes(*length) as usize);
        let Some(message) = datagram.get(..length).filter(|_| length >= 16) else { return take(Message::Malformed) };
        take(one(message).unwrap_or(Message::Malformed));
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
}

fn one(message: &[u8]) -> Option<Message> {
    let kind = u16::from_ne_bytes([message[4], message[5]]);
    if matches!(i32::from(kind), libc::NLMSG_DONE | libc::NLMSG_ERROR) {
        return Some(Message::Done(
            message.get(16..20).map_or(0, |code| -i32::from_ne_bytes([code[0], code[1], code[2], code[3]])),
        ));
    }
    if kind != NEW && kind != DELETE {
        return Some(Message::Other);
    }
    let (mut original, mut reply, mut status, mut id) = (None, None, 0, 0);
    for attribute in Attributes(message.get(HEADERS..)?) {
        match attribute? {
            (CTA_TUPLE_ORIG, value) => original = Some(tuple(value)?),
            (CTA_TUPLE_REPLY, value) => reply = Some(tuple(value)?),
            (CTA_STATUS, value) => status = u32::from_be_bytes(value.try_into().ok()?),
            (CTA_ID, value) => id = u32::from_be_bytes(value.try_into().ok()?),
            _ => {}
        }
    }
    let (original, reply) = (original?, reply?);
    if status & (IPS_SRC_NAT | IPS_DST_NAT) == 0 || !matches!(original.protocol, 6 | 17) {
        return Some(Message::Other);
    }
    let translation = Translation { original, arriving: reply.reversed() };
    Some(if kind == NEW { Message::New(id, translation) } else { Message::Destroy(id, translation) })
}

fn tuple(value: &[u8]) -> Option<Tuple> {
    let mut tuple = Tuple::default();
    for attribute in Attributes(value) {
        match attribute? {
            (CTA_TUPLE_IP, value) => {
                for attribute in Attributes(value) {
                    match attribute? {
                        (1 | 3, address) => tuple.source = address_of(address)?,
                        (2 | 4, address) => tuple.destination = address_of(address)?,
                        _ => {}
                    }
                }
            }
            (CTA_TUPLE_PROTO, value) => {
                for attribute in Attributes(value) {
                    match attribute? {
                        (1, number) => tuple.protocol = *number.first()?,
                        (2, port) => tuple.source_port = u16::from_be_bytes(port.try_into().ok()?),
                        (3, port) => tuple.destination_port = u16::from_be_bytes(port.try_into().ok()?),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Some(tuple)
}

/// IPv4 as IPv6-mapped, as everywhere.
fn address_of(bytes: &[u8]) -> Option<[u8; 16]> {
    match *bytes {
        [a, b, c, d] => Some([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]),
        _ => bytes.try_into().ok(),
    }
}

/// struct nlattr after struct nlattr, each padded to 4 bytes; None where one is longer than what is there.
struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = Option<(u16, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let bytes = std::mem::take(&mut self.0);
        let Some(&[a, b, c, d]) = bytes.first_chunk() else { return Some(None) };
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let Some(value) = bytes.get(4..length) else { return Some(None) };
        self.0 = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Some((u16::from_ne_bytes([c, d]) & !FLAGS, value)))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = ((value.len() + 4) as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn side(kind: u16, tuple: &Tuple) -> Vec<u8> {
        let ip = [attribute(3, &tuple.source), attribute(4, &tuple.destination)].concat();
        let ports = [tuple.source_port, tuple.destination_port].map(u16::to_be_bytes);
        let proto = [attribute(1, &[tuple.protocol]), attribute(2, &ports[0]), attribute(3, &ports[1])].concat();
        attribute(kind | 0x8000, &[attribute(0x8001, &ip), attribute(0x8002, &proto)].concat())
    }

    /// As linux/net/netfilter/nf_conntrack_netlink.c writes it.
    fn message(kind: u16, translation: &Translation, status: u32) -> Vec<u8> {
        let body = [
            side(CTA_TUPLE_ORIG, &translation.original),
            side(CTA_TUPLE_REPLY, &translation.arriving.reversed()),
            attribute(CTA_ID, &7_u32.to_be_bytes()),
            attribute(CTA_STATUS, &status.to_be_bytes()),
        ]
        .concat();
        let mut bytes = ((HEADERS + body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.resize(HEADERS, 0);
        bytes.extend(body);
        bytes
    }

    /// From `[1]:40000` to `[2]:80`, which is translated to `[3]:8080`.
    pub fn example() -> Translation {
        let original =
            Tuple { protocol: 6, source: [1; 16], source_port: 40_000, destination: [2; 16], destination_port: 80 };
        Translation { original, arriving: Tuple { destination: [3; 16], destination_port: 8080, ..original } }
    }

    fn all(datagram: &[u8]) -> Vec<Message> {
        let mut messages = Vec::new();
        parse(datagram, |message| messages.push(message));
        messages
    }

    #[test]
    fn entries_are_read_and_what_is_not_translated_is_left() {
        let example = example();
        let datagram = [
            message(NEW, &example, 0x188 | IPS_DST_NAT),
            message(DELETE, &example, 0x188 | IPS_SRC_NAT),
            message(NEW, &example, 0x188),
        ];
        assert_eq!(all(&datagram.concat()), [Message::New(7, example), Message::Destroy(7, example), Message::Other]);
        let mut icmp = example;
        (icmp.original.protocol, icmp.arriving.protocol) = (1, 1);
        assert_eq!(all(&message(NEW, &icmp, IPS_DST_NAT)), [Message::Other]);
    }

    #[test]
    fn a_message_that_is_cut_anywhere_is_malformed_and_nothing_worse() {
        let whole = message(NEW, &example(), IPS_DST_NAT);
        for cut in 1..whole.len() {
            let messages = all(&whole[..cut]);
            assert_eq!(messages, [Message::Malformed], "{cut}");
            let mut shorter = whole[..cut].to_vec();
            if cut >= 4 {
                shorter[..4].copy_from_slice(&(cut as u32).to_ne_bytes());
                assert_ne!(all(&shorter), [Message::New(7, example())], "{cut}");
            }
        }
    }

    #[test]
    fn errors_end_a_dump() {
        let mut error = vec![20, 0, 0, 0, libc::NLMSG_ERROR as u8, 0];
        error.resize(16, 0);
        error.extend((-libc::EPERM).to_ne_bytes());
        assert_eq!(all(&error), [Message::Done(libc::EPERM)]);
    }
}
