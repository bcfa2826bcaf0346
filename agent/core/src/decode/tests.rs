use super::build::{MAC_A, MAC_B, ethernet, ipv4, ipv6, tcp, udp};
use super::{Fragment, Packet, Tcp, Undecoded, decode};
use crate::capture::{Frame, LinkType};
use proptest::prelude::*;

const A4: [u8; 4] = [10, 1, 0, 7];
const B4: [u8; 4] = [10, 1, 0, 53];
const A6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
const B6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8];

fn frame(link: LinkType, data: &[u8]) -> Frame<'_> {
    Frame { time: 1_000_001, link, data, wire_len: data.len() as u32, vlan: 0 }
}

fn of_ethernet(data: &[u8]) -> Result<Packet<'_>, Undecoded> {
    decode(&frame(LinkType::Ethernet, data))
}

fn of_raw(data: &[u8]) -> Result<Packet<'_>, Undecoded> {
    decode(&frame(LinkType::RawIp, data))
}

fn mapped(address: [u8; 4]) -> [u8; 16] {
    std::net::Ipv4Addr::from(address).to_ipv6_mapped().octets()
}

fn udp4(payload: &[u8]) -> Vec<u8> {
    ipv4(A4, B4, 17, 0, &[], &udp(51514, 53, payload))
}

#[test]
fn every_field_of_a_tcp_packet() {
    let segment = tcp(40000, 443, 0x18, &[2, 4, 5, 0xb4], b"hello");
    let data = ethernet(&[], 0x0800, &ipv4(A4, B4, 6, 0x4000, &[], &segment));
    let expected = Packet {
        time: 1_000_001,
        source_mac: MAC_A,
        destination_mac: MAC_B,
        source: mapped(A4),
        destination: mapped(B4),
        protocol: 6,
        source_port: 40000,
        destination_port: 443,
        ip_bytes: 49,
        payload_bytes: 5,
        payload: b"hello",
        tcp: Some(Tcp { flags: 0x18, sequence: 0x0102_0304, acknowledgement: 0x0506_0708, window: 0x2000 }),
        ..Packet::default()
    };
    assert_eq!(of_ethernet(&data), Ok(expected));
}

#[test]
fn padding_of_short_frames_is_not_payload() {
    let mut data = ethernet(&[], 0x0800, &udp4(b"ab"));
    data.resize(60, 0xee);
    let packet = of_ethernet(&data).unwrap();
    assert_eq!((packet.ip_bytes, packet.payload_bytes, packet.payload), (30, 2, &b"ab"[..]));
}

#[test]
fn a_snapped_frame_keeps_its_lengths() {
    let data = ethernet(&[], 0x0800, &udp4(&[7; 1000]));
    let snapped = Frame { wire_len: data.len() as u32, ..frame(LinkType::Ethernet, &data[..128]) };
    let packet = decode(&snapped).unwrap();
    assert_eq!((packet.ip_bytes, packet.payload_bytes, packet.payload.len()), (1028, 1000, 128 - 42));
    assert_eq!(of_ethernet(&data[..128]), Err(Undecoded::BadIpv4Length), "a total length beyond the frame is a lie");
}

#[test]
fn a_tcp_header_cut_after_20_bytes_is_enough() {
    let data = ethernet(&[], 0x0800, &ipv4(A4, B4, 6, 0, &[], &tcp(1, 2, 2, &[1; 20], b"xyz")));
    let snapped = Frame { wire_len: data.len() as u32, ..frame(LinkType::Ethernet, &data[..54]) };
    let packet = decode(&snapped).unwrap();
    assert_eq!((packet.payload_bytes, packet.payload), (3, &b""[..]));
}

#[test]
fn vlan_tags() {
    let inner = udp4(b"x");
    for (tags, vlan) in [
        (&[(0x8100, 100)][..], 100),
        (&[(0x88a8, 0x2000 | 7), (0x8100, 8)], 7),
        (&[(0x9100, 0xe000), (0x8100, 9)], 9),
        (&[(0x8100, 1), (0x8100, 2), (0x8100, 3), (0x8100, 4)], 1),
    ] {
        let data = ethernet(tags, 0x0800, &inner);
        assert_eq!(of_ethernet(&data).unwrap().vlan, vlan);
        let stripped = Frame { vlan: 42, ..frame(LinkType::Ethernet, &data) };
        assert_eq!(decode(&stripped).unwrap().vlan, 42, "the tag that the kernel took out was the outermost");
    }
    let data = ethernet(&[(0x8100, 1); 5], 0x0800, &inner);
    assert_eq!(of_ethernet(&data), Err(Undecoded::TooManyTags));
    assert_eq!(of_ethernet(&ethernet(&[(0x8100, 1)], 0x0800, &[])[..17]), Err(Undecoded::TruncatedEthernet));
}

#[test]
fn what_is_not_ip() {
    for ethertype in [0x0806, 0x88cc, 0x0026] {
        assert_eq!(of_ethernet(&ethernet(&[], ethertype, &[0; 46])), Err(Undecoded::NotIp));
    }
    assert_eq!(of_ethernet(&[0; 13]), Err(Undecoded::TruncatedEthernet));
}

#[test]
fn other_link_types() {
    let v4 = udp4(b"x");
    let v6 = ipv6(A6, B6, 17, &udp(1, 2, b"x"));
    assert_eq!(of_raw(&v4).unwrap().source, mapped(A4));
    assert_eq!(of_raw(&v6).unwrap().source, A6);
    assert_eq!(of_raw(&[0x50; 40]), Err(Undecoded::BadIpVersion));
    assert_eq!(of_raw(&[]), Err(Undecoded::TruncatedIpv4));
    for family in [[2, 0, 0, 0], [0, 0, 0, 2]] {
        assert_eq!(decode(&frame(LinkType::Loopback, &[&family[..], &v4].concat())).unwrap().destination_port, 53);
    }
    for family in [[10, 0, 0, 0], [24, 0, 0, 0], [0, 0, 0, 28], [30, 0, 0, 0]] {
        assert_eq!(decode(&frame(LinkType::Loopback, &[&family[..], &v6].concat())).unwrap().destination_port, 2);
    }
    assert_eq!(decode(&frame(LinkType::Loopback, &[7, 0, 0, 0, 1])), Err(Undecoded::NotIp));
    assert_eq!(decode(&frame(LinkType::Loopback, &[2, 0, 0])), Err(Undecoded::TruncatedLoopback));

    let sll = [&[0, 0, 0, 1, 0, 6][..], &MAC_A, &[0, 0, 0x81, 0, 0, 5, 8, 0], &v4].concat();
    let packet = decode(&frame(LinkType::LinuxSll, &sll)).unwrap();
    assert_eq!((packet.source_mac, packet.vlan, packet.destination_port), (MAC_A, 5, 53));
    assert_eq!(decode(&frame(LinkType::LinuxSll, &sll[..15])), Err(Undecoded::TruncatedSll));

    let sll2 = [&[0x86, 0xdd, 0, 0, 0, 0, 0, 2, 0, 1, 4, 6][..], &MAC_A, &[0, 0], &v6].concat();
    let packet = decode(&frame(LinkType::LinuxSll2, &sll2)).unwrap();
    assert_eq!((packet.source_mac, packet.destination), (MAC_A, B6));
}

#[test]
fn ipv4_options_and_faults() {
    let data = ipv4(A4, B4, 17, 0, &[1; 40], &udp(9, 10, b"abc"));
    let packet = of_raw(&data).unwrap();
    assert_eq!((packet.source_port, packet.ip_bytes, packet.payload), (9, 71, &b"abc"[..]));

    let broken = |at: usize, value: u8| {
        let mut copy = data.clone();
        copy[at] = value;
        copy
    };
    let as_ethernet = |body: &[u8]| of_ethernet(&ethernet(&[], 0x0800, body)).map(|_| ());
    assert_eq!(as_ethernet(&broken(0, 0x44)), Err(Undecoded::BadIpv4HeaderLength));
    assert_eq!(as_ethernet(&broken(0, 0x6f)), Err(Undecoded::BadIpVersion));
    assert_eq!(as_ethernet(&broken(3, 59)), Err(Undecoded::BadIpv4Length));
    assert_eq!(as_ethernet(&data[..19]), Err(Undecoded::TruncatedIpv4));
    let snapped = Frame { wire_len: 71, ..frame(LinkType::RawIp, &data[..59]) };
    assert_eq!(decode(&snapped), Err(Undecoded::TruncatedIpv4), "options beyond the capture");
}

#[test]
fn a_total_length_left_to_the_hardware() {
    let mut v4 = ipv4(A4, B4, 6, 0, &[], &tcp(1, 2, 16, &[], &[3; 100]));
    v4[2..4].copy_from_slice(&[0, 0]);
    let big = Frame { wire_len: 100_054, ..frame(LinkType::RawIp, &v4) };
    let packet = decode(&big).unwrap();
    assert_eq!((packet.ip_bytes, packet.payload_bytes, packet.payload.len()), (100_054, 100_014, 100));

    let mut v6 = ipv6(A6, B6, 6, &tcp(1, 2, 16, &[], &[3; 100]));
    v6[4..6].copy_from_slice(&[0, 0]);
    let big = Frame { wire_len: 100_060, ..frame(LinkType::RawIp, &v6) };
    assert_eq!(decode(&big).unwrap().payload_bytes, 100_000);

    let none = ipv6(A6, B6, 59, &[]);
    let packet = decode(&Frame { wire_len: 46, ..frame(LinkType::RawIp, &none) }).unwrap();
    assert_eq!((packet.protocol, packet.ip_bytes), (59, 40), "padding after an empty packet");
}

#[test]
fn jumbograms_say_their_length_in_an_option() {
    let body = [&[6, 0, 0xc2, 4][..], &70_028_u32.to_be_bytes(), &tcp(1, 2, 16, &[], &[])].concat();
    let mut data = ipv6(A6, B6, 0, &body);
    data[4..6].copy_from_slice(&[0, 0]);
    let packet = decode(&Frame { wire_len: 70_090, ..frame(LinkType::RawIp, &data) }).unwrap();
    assert_eq!((packet.ip_bytes, packet.payload_bytes), (70_068, 70_000));
    assert_eq!(of_raw(&data), Err(Undecoded::BadIpv6Length));
}

#[test]
fn ipv4_fragments() {
    let whole = udp(7, 8, &[1; 100]);
    let first = ipv4(A4, B4, 17, 0x2000, &[], &whole[..64]);
    let packet = of_raw(&first).unwrap();
    assert_eq!((packet.source_port, packet.payload_bytes, packet.later_fragment), (7, 56, false));
    assert_eq!(packet.fragment, Some(Fragment { identification: 0xbeef, offset: 0, more: true }));

    let last = ipv4(A4, B4, 17, 8, &[], &whole[64..]);
    let packet = of_raw(&last).unwrap();
    assert_eq!((packet.source_port, packet.payload_bytes, packet.payload), (0, 44, &b""[..]));
    assert!(packet.later_fragment);
    assert_eq!(packet.fragment, Some(Fragment { identification: 0xbeef, offset: 64, more: false }));

    let tiny = ipv4(A4, B4, 6, 0x2000, &[], &tcp(1, 2, 2, &[], &[])[..8]);
    assert_eq!(of_raw(&tiny), Err(Undecoded::TruncatedTcp), "RFC 1858: ports without flags");
}

#[test]
fn ipv6_extension_headers() {
    let options = |next: u8| vec![next, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let authentication = |next: u8| [&[next, 4][..], &[0; 22]].concat();
    let body = [
        options(60),
        options(43),
        vec![51, 0, 0, 0, 0, 0, 0, 0],
        authentication(44),
        vec![17, 0, 0, 0, 0, 0, 0, 9],
        udp(546, 547, b"hi"),
    ]
    .concat();
    let data = ipv6(A6, B6, 0, &body);
    let packet = of_raw(&data).unwrap();
    assert_eq!(
        (packet.protocol, packet.source_port, packet.destination_port, packet.payload),
        (17, 546, 547, &b"hi"[..])
    );
    assert_eq!(packet.fragment, None, "an atomic fragment is a whole packet");
    assert_eq!(packet.ip_bytes as usize, data.len());

    let later = ipv6(A6, B6, 44, &[&[17, 0, 0, 0x41, 0, 0, 0, 9][..], &[5; 30]].concat());
    let packet = of_raw(&later).unwrap();
    assert_eq!((packet.protocol, packet.later_fragment, packet.payload_bytes), (17, true, 30));
    assert_eq!(packet.fragment, Some(Fragment { identification: 9, offset: 64, more: true }));

    let endless = ipv6(A6, B6, 60, &[60, 0, 0, 0, 0, 0, 0, 0].repeat(20));
    assert_eq!(of_raw(&endless), Err(Undecoded::TooManyIpv6Extensions));
    let beyond = ipv6(A6, B6, 60, &[17, 200, 0, 0, 0, 0, 0, 0]);
    assert_eq!(of_raw(&beyond), Err(Undecoded::TruncatedIpv6Extension));
    let cut = ipv6(A6, B6, 60, &[17, 0, 0, 0]);
    assert_eq!(of_raw(&cut), Err(Undecoded::TruncatedIpv6Extension));
}

#[test]
fn ipv6_faults() {
    let data = ipv6(A6, B6, 17, &udp(1, 2, b"abc"));
    assert_eq!(of_raw(&data[..39]), Err(Undecoded::TruncatedIpv6));
    assert_eq!(of_raw(&data[..50]), Err(Undecoded::BadIpv6Length));
    let wrong = ethernet(&[], 0x86dd, &udp4(&[0; 40]));
    assert_eq!(of_ethernet(&wrong), Err(Undecoded::BadIpVersion));
}

#[test]
fn other_transports() {
    let echo = of_raw_owned(ipv4(A4, B4, 1, 0, &[], &[8, 0, 0, 0, 0, 1, 0, 1, 9, 9]));
    assert_eq!(echo, Ok((1, 8, 0, 2)));
    let neighbour = of_raw_owned(ipv6(A6, B6, 58, &[135, 4, 0, 0, 0, 0, 0, 0]));
    assert_eq!(neighbour, Ok((58, 135, 4, 0)));
    let sctp = of_raw_owned(ipv4(A4, B4, 132, 0, &[], &[0x0b, 0x59, 0x0b, 0x5a, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3]));
    assert_eq!(sctp, Ok((132, 2905, 2906, 3)));
    let gre = of_raw_owned(ipv4(A4, B4, 47, 0, &[], &[0; 24]));
    assert_eq!(gre, Ok((47, 0, 0, 24)));
}

fn of_raw_owned(data: Vec<u8>) -> Result<(u8, u16, u16, u32), Undecoded> {
    of_raw(&data).map(|p| (p.protocol, p.source_port, p.destination_port, p.payload_bytes))
}

#[test]
fn transport_faults() {
    let v4 = |protocol, body: &[u8]| of_raw_owned(ipv4(A4, B4, protocol, 0, &[], body));
    assert_eq!(v4(6, &[0; 19]), Err(Undecoded::TruncatedTcp));
    assert_eq!(v4(17, &[0; 7]), Err(Undecoded::TruncatedUdp));
    assert_eq!(v4(1, &[0; 7]), Err(Undecoded::TruncatedIcmp));
    assert_eq!(v4(132, &[0; 11]), Err(Undecoded::TruncatedSctp));
    let mut segment = tcp(1, 2, 2, &[], b"abcd");
    segment[12] = 0x40;
    assert_eq!(v4(6, &segment), Err(Undecoded::BadTcpHeaderLength));
    segment[12] = 0x70;
    assert_eq!(v4(6, &segment), Err(Undecoded::BadTcpHeaderLength));
    let mut datagram = udp(1, 2, b"abcd");
    datagram[5] = 7;
    assert_eq!(v4(17, &datagram), Err(Undecoded::BadUdpLength));
    datagram[5] = 10;
    assert_eq!(v4(17, &datagram), Ok((17, 1, 2, 2)), "UDP may end before IP does");
    datagram[5] = 0;
    assert_eq!(v4(17, &datagram), Ok((17, 1, 2, 4)));
}

#[test]
fn causes_have_distinct_names_and_indexes() {
    let mut names: Vec<_> = Undecoded::ALL.iter().map(|cause| cause.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Undecoded::ALL.len());
    assert!(Undecoded::ALL.iter().enumerate().all(|(index, cause)| *cause as usize == index));
}

fn links() -> impl Strategy<Value = LinkType> {
    prop_oneof![
        Just(LinkType::Ethernet),
        Just(LinkType::RawIp),
        Just(LinkType::LinuxSll),
        Just(LinkType::LinuxSll2),
        Just(LinkType::Loopback),
    ]
}

/// Valid frames of many kinds.
fn valid() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop::collection::vec(any::<u8>(), 0..80);
    let transport = (any::<u16>(), any::<u16>(), any::<u8>(), payload, 0..5_u8).prop_map(
        |(a, b, flags, payload, kind)| match kind {
            0 => (6, tcp(a, b, flags, &[1; 8], &payload)),
            1 => (17, udp(a, b, &payload)),
            2 => (1, [&[flags, 0, 0, 0, 0, 0, 0, 0][..], &payload].concat()),
            3 => (132, [&[0; 12][..], &payload].concat()),
            _ => (50, payload),
        },
    );
    let place = prop_oneof![3 => Just(0_u16), 1 => any::<u16>()];
    (transport, 0..4_usize, place, any::<bool>(), any::<bool>()).prop_map(
        |((protocol, body), tags, place, six, extended)| {
            let tags = vec![(0x8100, place & 0xfff); tags];
            if six && extended {
                let body =
                    [&[44, 0, 1, 4, 0, 0, 0, 0][..], &[protocol, 0, 0, (place & 1) as u8, 0, 0, 0, 1], &body].concat();
                ethernet(&tags, 0x86dd, &ipv6(A6, B6, 60, &body))
            } else if six {
                ethernet(&tags, 0x86dd, &ipv6(A6, B6, protocol, &body))
            } else {
                ethernet(&tags, 0x0800, &ipv4(A4, B4, protocol, place, if extended { &[1; 12] } else { &[] }, &body))
            }
        },
    )
}

/// What holds of every packet, whatever it was made from.
fn check(data: &[u8], wire_len: u32, link: LinkType) -> Result<(), TestCaseError> {
    if let Ok(packet) = decode(&Frame { wire_len, ..frame(link, data) }) {
        let wire = wire_len.max(data.len() as u32);
        prop_assert!(packet.ip_bytes <= wire);
        prop_assert!(packet.payload_bytes <= packet.ip_bytes);
        prop_assert!(packet.payload.len() as u32 <= packet.payload_bytes);
        prop_assert!(packet.tcp.is_none() || packet.protocol == 6);
        prop_assert!(packet.vlan < 4096);
        prop_assert!(!packet.later_fragment || packet.payload.is_empty());
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes(data in prop::collection::vec(any::<u8>(), 0..200), wire_len: u32, link in links()) {
        check(&data, wire_len, link)?;
    }

    #[test]
    fn mutated_frames(
        mut data in valid(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        wire_len in 0..70_000_u32,
    ) {
        for (at, value) in changes {
            let at = at.index(data.len());
            data[at] = value;
        }
        check(&data, wire_len, LinkType::Ethernet)?;
        check(&data[14..], wire_len, LinkType::RawIp)?;
    }

    #[test]
    fn every_prefix_of_a_valid_frame(data in valid()) {
        for end in 0..=data.len() {
            check(&data[..end], data.len() as u32, LinkType::Ethernet)?;
            check(&data[..end], end as u32, LinkType::Ethernet)?;
        }
    }
}
