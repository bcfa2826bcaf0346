use super::{Layer, TooLong, program};
use crate::decode::build::{ethernet, ipv4, ipv6, tcp, udp};
use libc::sock_filter;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const HOST: u8 = 0;
const OUTGOING: u8 = 4;
const SNAP: u32 = 2048;

/// What the kernel would return, by its documentation. Panics on an opcode or jump that the kernel's checker would refuse.
fn run(program: &[sock_filter], packet: &[u8], packet_type: u8) -> u32 {
    let (mut a, mut x, mut at) = (0_u32, 0_u32, 0);
    let load = |offset: u32, size: usize| -> Option<u32> {
        if offset == 0xffff_f004 {
            return Some(u32::from(packet_type));
        }
        let offset = offset as usize;
        let bytes = packet.get(offset..offset + size)?;
        Some(bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
    };
    loop {
        let sock_filter { code, jt, jf, k } = program[at];
        at += 1;
        let mut jump = |holds: bool| at += usize::from(if holds { jt } else { jf });
        let loaded = match code {
            0x20 => load(k, 4),
            0x28 => load(k, 2),
            0x30 => load(k, 1),
            0x48 => load(x.wrapping_add(k), 2),
            0x80 => Some(packet.len() as u32),
            0xb1 => match load(k, 1) {
                Some(byte) => {
                    x = 4 * (byte & 15);
                    continue;
                }
                None => return 0,
            },
            0x14 => Some(a.wrapping_sub(k)),
            0x1c => Some(a.wrapping_sub(x)),
            0x54 => Some(a & k),
            0x05 => {
                at += k as usize;
                continue;
            }
            0x15 => {
                jump(a == k);
                continue;
            }
            0x35 => {
                jump(a >= k);
                continue;
            }
            0x3d => {
                jump(a >= x);
                continue;
            }
            0x45 => {
                jump(a & k != 0);
                continue;
            }
            0x06 => return k,
            _ => panic!("opcode {code:#x}"),
        };
        match loaded {
            Some(value) => a = value,
            None => return 0,
        }
    }
}

const UPLINK4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 71);
const UPLINK6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x71);
const OTHER4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 72);
const OTHER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 1, 0x71);
const PORT: u16 = 7071;

fn uplinks() -> Vec<(IpAddr, u16)> {
    vec![
        (Ipv4Addr::new(203, 0, 113, 9).into(), 443),
        (UPLINK4.into(), PORT),
        (Ipv6Addr::LOCALHOST.into(), 1),
        (UPLINK6.into(), PORT),
        (Ipv4Addr::new(198, 51, 100, 1).to_ipv6_mapped().into(), 99),
    ]
}

fn ethernet_program() -> Vec<sock_filter> {
    program(&uplinks(), SNAP, Layer::Ethernet, false).unwrap()
}

fn v4(from: Ipv4Addr, to: Ipv4Addr, place: u16, options: &[u8], segment: &[u8]) -> Vec<u8> {
    ipv4(from.octets(), to.octets(), 6, place, options, segment)
}

fn v6(from: Ipv6Addr, to: Ipv6Addr, segment: &[u8]) -> Vec<u8> {
    ipv6(from.octets(), to.octets(), 6, segment)
}

/// Runs a packet through both programs, with and without tags; they must agree.
fn verdict(ethertype: u16, packet: &[u8]) -> u32 {
    let raw = run(&program(&uplinks(), SNAP, Layer::Network, false).unwrap(), packet, HOST);
    for tags in [&[][..], &[(0x8100, 5)], &[(0x88a8, 0xe005)]] {
        assert_eq!(run(&ethernet_program(), &ethernet(tags, ethertype, packet), HOST), raw, "tags {tags:?}");
    }
    raw
}

#[test]
fn the_uplink_is_left_out_in_both_directions() {
    let to = tcp(40000, PORT, 2, &[], b"x");
    let from = tcp(PORT, 40000, 18, &[], b"x");
    assert_eq!(verdict(0x0800, &v4(OTHER4, UPLINK4, 0, &[], &to)), 0);
    assert_eq!(verdict(0x0800, &v4(UPLINK4, OTHER4, 0, &[], &from)), 0);
    assert_eq!(verdict(0x0800, &v4(OTHER4, UPLINK4, 0, &[1; 40], &to)), 0, "with options");
    assert_eq!(verdict(0x0800, &v4(OTHER4, Ipv4Addr::new(198, 51, 100, 1), 0, &[], &tcp(1, 99, 2, &[], b""))), 0);
    assert_eq!(verdict(0x86dd, &v6(OTHER6, UPLINK6, &to)), 0);
    assert_eq!(verdict(0x86dd, &v6(UPLINK6, OTHER6, &from)), 0);
}

#[test]
fn everything_else_is_kept() {
    let to = tcp(40000, PORT, 2, &[], b"x");
    let from = tcp(PORT, 40000, 18, &[], b"x");
    let kept = [
        (0x0800, v4(OTHER4, UPLINK4, 0, &[], &from), "its port on the wrong side"),
        (0x0800, v4(UPLINK4, OTHER4, 0, &[], &to), "its port on the wrong side"),
        (0x0800, v4(OTHER4, UPLINK4, 0, &[], &tcp(40000, 22, 2, &[], b"x")), "another service of the collector"),
        (0x0800, v4(OTHER4, OTHER4, 0, &[], &to), "another host"),
        (0x0800, v4(OTHER4, UPLINK4, 0x2000 | 9, &[], &to), "a later fragment"),
        (0x0800, v4(OTHER4, UPLINK4, 0, &[], &[]), "nothing after the IPv4 header"),
        (0x0800, v4(OTHER4, UPLINK4, 0, &[1; 40], &[]), "nothing after the options"),
        (0x0800, ipv4(OTHER4.octets(), UPLINK4.octets(), 17, 0, &[], &udp(40000, PORT, b"x")), "UDP"),
        (0x86dd, v6(OTHER6, UPLINK6, &from), "its port on the wrong side"),
        (0x86dd, v6(OTHER6, OTHER6, &to), "another host"),
        (0x86dd, v6(OTHER6, UPLINK6, &[]), "nothing after the IPv6 header"),
        (0x86dd, ipv6(OTHER6.octets(), UPLINK6.octets(), 17, &udp(40000, PORT, b"x")), "UDP"),
    ];
    for (ethertype, packet, what) in kept {
        assert_eq!(verdict(ethertype, &packet), SNAP, "{what}");
    }
    let arp = ethernet(&[], 0x0806, &[0; 46]);
    assert_eq!(run(&ethernet_program(), &arp, HOST), SNAP);
    let short_header = {
        let mut packet = v4(OTHER4, UPLINK4, 0, &[], &to);
        packet[0] = 0x44;
        packet
    };
    assert_eq!(verdict(0x0800, &short_header), SNAP, "a broken header is for the decoder to count");
}

#[test]
fn no_length_is_lost() {
    let frames = [
        ethernet(&[], 0x0800, &v4(OTHER4, OTHER4, 0, &[1; 40], &tcp(1, 2, 2, &[], b"x"))),
        ethernet(&[(0x8100, 5)], 0x86dd, &v6(OTHER6, OTHER6, &tcp(1, 2, 2, &[], b"x"))),
    ];
    for frame in frames {
        for end in 0..=frame.len() {
            assert_eq!(run(&ethernet_program(), &frame[..end], HOST), SNAP, "cut to {end}");
        }
    }
    assert_eq!(run(&program(&uplinks(), SNAP, Layer::Network, false).unwrap(), &[], HOST), SNAP);
}

#[test]
fn outgoing_packets_of_a_loopback_interface_are_left_out() {
    let frame = ethernet(&[], 0x0800, &v4(OTHER4, OTHER4, 0, &[], &tcp(1, 2, 2, &[], b"")));
    for exclude in [vec![], uplinks()] {
        let both = program(&exclude, SNAP, Layer::Ethernet, true).unwrap();
        assert_eq!((run(&both, &frame, HOST), run(&both, &frame, OUTGOING)), (SNAP, 0));
        let all = program(&exclude, SNAP, Layer::Ethernet, false).unwrap();
        assert_eq!((run(&all, &frame, HOST), run(&all, &frame, OUTGOING)), (SNAP, SNAP));
    }
}

#[test]
fn a_list_too_long_for_the_kernel() {
    let many =
        |count: u32| (0..count).map(|i| (IpAddr::from(Ipv6Addr::from(u128::from(i) << 64)), PORT)).collect::<Vec<_>>();
    assert!(program(&many(25), SNAP, Layer::Ethernet, false).is_ok());
    let error = program(&many(100), SNAP, Layer::Ethernet, false).unwrap_err();
    assert!(error.instructions > 4096);
    assert!(TooLong { instructions: 9000 }.to_string().contains("needs 9000 filter instructions"));
}

proptest! {
    /// Random bytes and changed packets: the program ends, and what it drops bears the mark of the uplink.
    #[test]
    fn only_the_uplink_is_ever_dropped(
        noise in prop::collection::vec(any::<u8>(), 0..100),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        six: bool,
        towards: bool,
        tagged: bool,
    ) {
        let (source, destination) = if towards { (40000, PORT) } else { (PORT, 40000) };
        let segment = tcp(source, destination, 16, &[], &noise);
        let packet = match (six, towards) {
            (false, true) => v4(OTHER4, UPLINK4, 0, &[], &segment),
            (false, false) => v4(UPLINK4, OTHER4, 0, &[], &segment),
            (true, true) => v6(OTHER6, UPLINK6, &segment),
            (true, false) => v6(UPLINK6, OTHER6, &segment),
        };
        let tags: &[(u16, u16)] = if tagged { &[(0x8100, 9)] } else { &[] };
        let mut frame = ethernet(tags, if six { 0x86dd } else { 0x0800 }, &packet);
        prop_assert_eq!(run(&ethernet_program(), &frame, HOST), 0);
        prop_assert_eq!(run(&ethernet_program(), &noise, HOST), SNAP);
        for (at, value) in changes {
            let at = at.index(frame.len());
            frame[at] = value;
        }
        if run(&ethernet_program(), &frame, HOST) == 0 {
            let holds = |bytes: &[u8]| frame.windows(bytes.len()).any(|window| window == bytes);
            prop_assert!(holds(&UPLINK4.octets()) || holds(&UPLINK6.octets()));
            prop_assert!(holds(&PORT.to_be_bytes()));
        } else {
            prop_assert_eq!(run(&ethernet_program(), &frame, HOST), SNAP);
        }
    }
}
