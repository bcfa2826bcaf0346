use super::*;
use proptest::prelude::*;

/// As an x86-64 kernel 6.18 sent it: a connection to ::ffff:127.0.0.1 port 22, 5 bytes sent and acknowledged.
fn recorded(state: u8, protocol: u8) -> Vec<u8> {
    let mut body = vec![0; SOCKET];
    body[0] = libc::AF_INET as u8;
    body[1] = state;
    body[4..8].copy_from_slice(&[0xc3, 0x50, 0, 22]);
    body[8..12].copy_from_slice(&[10, 0, 0, 1]);
    body[24..28].copy_from_slice(&[10, 0, 0, 2]);
    body[44..52].copy_from_slice(&0x1_0000_0007_u64.to_ne_bytes());
    body[64..68].copy_from_slice(&1000_u32.to_ne_bytes());
    body[68..72].copy_from_slice(&4711_u32.to_ne_bytes());
    let mut info = vec![0; 232];
    info[68..72].copy_from_slice(&412_u32.to_ne_bytes());
    for (at, count) in [(120, 6_u64), (128, 10), (200, 8), (208, 3)] {
        info[at..at + 8].copy_from_slice(&count.to_ne_bytes());
    }
    body.extend([5, 0, 10, 0, protocol, 0, 0, 0]);
    body.extend(((info.len() + 4) as u16).to_ne_bytes());
    body.extend(2_u16.to_ne_bytes());
    body.extend(info);
    message(BY_FAMILY, 0, &body)
}

fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let mut message = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend(9_u32.to_ne_bytes());
    message.extend([0; 4]);
    message.extend(body);
    message
}

fn one(bytes: &[u8]) -> Message {
    let parts: Vec<Option<Part>> = parts(bytes, UDP).collect();
    let [Some(part)] = &parts[..] else { panic!("{parts:?}") };
    part.message.clone()
}

#[test]
fn a_connection_is_read() {
    let Message::Socket(socket) = one(&recorded(ESTABLISHED, TCP)) else { panic!("a socket") };
    assert_eq!((socket.protocol, socket.local_port, socket.remote_port), (TCP, 50_000, 22));
    assert_eq!((socket.local[12..].to_vec(), socket.remote[10..13].to_vec()), (vec![10, 0, 0, 1], vec![255, 255, 10]));
    assert_eq!((socket.cookie, socket.uid, socket.inode), (0x1_0000_0007, 1000, 4711));
    assert_eq!(socket.traffic, Traffic { sent: 5, received: 10, rtt: 412, passive: Some(false) });
}

#[test]
fn a_fin_is_no_payload_and_listeners_and_datagrams_carry_nothing() {
    let Message::Socket(socket) = one(&recorded(CLOSE_WAIT, TCP)) else { panic!("a socket") };
    assert_eq!(socket.traffic.received, 9);
    for (state, protocol) in [(LISTEN, TCP), (ESTABLISHED, UDP)] {
        let Message::Socket(socket) = one(&recorded(state, protocol)) else { panic!("a socket") };
        assert_eq!(socket.traffic, Traffic::default());
    }
}

#[test]
fn who_accepts_has_sent_no_syn() {
    let mut bytes = recorded(ESTABLISHED, TCP);
    let at = bytes.len() - 232 + 120;
    bytes[at] = 5;
    let Message::Socket(socket) = one(&bytes) else { panic!("a socket") };
    assert_eq!(socket.traffic.passive, Some(true));
    bytes[at] = 3;
    let Message::Socket(socket) = one(&bytes) else { panic!("a socket") };
    assert_eq!(socket.traffic.passive, None, "not everything is acknowledged");
}

#[test]
fn a_dump_ends_with_done_or_an_error() {
    assert_eq!(one(&message(libc::NLMSG_DONE as u16, 0, &[0; 4])), Message::End(0));
    assert_eq!(one(&message(libc::NLMSG_ERROR as u16, 0, &(-2_i32).to_ne_bytes())), Message::End(libc::ENOENT));
    assert_eq!(one(&message(77, 0, &[])), Message::Other);
    let interrupted = message(libc::NLMSG_DONE as u16, libc::NLM_F_DUMP_INTR as u16, &[0; 4]);
    let parts: Vec<Option<Part>> = parts(&interrupted, TCP).collect();
    assert!(parts[0].as_ref().is_some_and(|part| part.interrupted && part.sequence == 9));
}

#[test]
fn what_is_cut_ends_the_reading() {
    let whole = recorded(ESTABLISHED, TCP);
    for length in 1..whole.len() {
        assert_eq!(parts(&whole[..length], TCP).collect::<Vec<_>>(), [None], "{length} bytes");
    }
    let mut two = whole.clone();
    two.extend(whole);
    assert_eq!(parts(&two, TCP).flatten().count(), 2);
}

#[test]
fn a_request_asks_for_what_is_held() {
    let request = request(10, TCP, 5);
    assert_eq!((request.len(), request[0], request[16], request[17], request[18]), (72, 72, 10, TCP, 2));
    let states = u32_at(&request, 20);
    assert!(states & (1 << LISTEN) != 0 && states & (1 << ESTABLISHED) != 0 && states & (1 << TIME_WAIT) == 0);
}

proptest! {
    #[test]
    fn never_panics_never_loops(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(parts(&bytes, TCP).count() <= bytes.len() / HEADER + 1);
    }

    #[test]
    fn a_changed_message_never_panics(at in 0_usize..340, to in any::<u8>(), cut in 0_usize..340, twice in any::<bool>()) {
        let mut bytes = recorded(ESTABLISHED, TCP);
        if twice {
            bytes.extend(recorded(LISTEN, TCP));
        }
        let length = bytes.len();
        bytes[at % length] = to;
        bytes.truncate(length - cut % length);
        prop_assert!(parts(&bytes, TCP).count() <= length / HEADER + 1);
    }
}
