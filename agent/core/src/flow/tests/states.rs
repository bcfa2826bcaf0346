//! Zeek's states and histories, one conversation each.

use super::super::{Config, FlowTable, Reason};
use super::script::{STEP, script};
use super::{Row, address, run, udp};
use crate::decode::Packet;

fn only(packets: &[Packet<'_>]) -> Row {
    let rows = run(&mut FlowTable::new(Config::default()), packets, true);
    assert_eq!(rows.len(), 1, "{rows:#?}");
    rows[0].clone()
}

#[test]
fn connections_end_in_zeeks_states() {
    for (words, state, history) in [
        (">S", "S0", "S"),
        (">S ~>S", "S0", "S"),
        (">S <SA >A", "S1", "ShA"),
        (">S <SA >A >PA10 <PA20 >FA <FA >A", "SF", "ShADdFf"),
        (">S <SA >A >PA10 <A <FA >A >FA <A", "SF", "ShADafF"),
        (">S <RA", "REJ", "Sr"),
        (">S <SA >A >FA", "S2", "ShAF"),
        (">S <SA >A <FA", "S3", "ShAf"),
        (">S <SA >A >PA5 >R", "RSTO", "ShADR"),
        (">S <SA >A <PA5 <R", "RSTR", "ShAdr"),
        (">S >R", "RSTOS0", "SR"),
        (">S <A >R", "RSTOS0", "SaR"),
        (">S <A >FA >R", "OTH", "SaFR"),
        (">R", "OTH", "R"),
        ("<SA <R", "RSTRH", "^hr"),
        (">S >FA", "SH", "SF"),
        ("<SA <FA", "SHR", "^hf"),
        (">PA10 <PA10", "OTH", "Dd"),
        // A reverse scan's SYN-ACK, and the host that knows nothing of it.
        ("<SA >R", "RSTO", "^hR"),
        // The tap saw the answer before the question.
        ("<SA >S~ >A >PA10", "S1", "^hSAD"),
        // The SYN was missed.
        (">S! <SA >A >PA3 >FA <FA", "SF", "^hADFf"),
        // FIN, then RST, then the other's FIN.
        (">S <SA >A >FA >R <FA", "SF", "ShAFRf"),
    ] {
        let row = only(&script(words));
        assert_eq!((row.state, row.history.as_str()), (state, history), "{words}");
    }
}

#[test]
fn letters_that_repeat_are_written_on_their_scales() {
    let again = |count: usize| format!(">S <SA >A >PA10 {}", ">PA10~ ".repeat(count));
    assert_eq!(only(&script(&again(1))).history, "ShADT");
    assert_eq!(only(&script(&again(9))).history, "ShADT");
    assert_eq!(only(&script(&again(10))).history, "ShADTT");
    assert_eq!(only(&script(&again(100))).history, "ShADTTT");
    assert_eq!(only(&script(">S <SA >A <A-0 <A-0 >PA1 <PA1")).history, "ShAawDd");
    assert_eq!(only(&script(">S <SA >A >PA10! <A >PA10 <A")).history, "ShAaGD");
    assert_eq!(only(&script(">S <SA >A >FR >SF >SF")).history, "ShAIQ");
    // A SYN sent again is not new, one with another number is.
    assert_eq!(only(&script(">S >S >S~ >S")).history, "SSS");
}

#[test]
fn a_history_does_not_grow_without_bound() {
    let words = ">S <SA >A ".to_owned() + &">FA >FA ".repeat(200);
    let row = only(&script(&words));
    assert_eq!(row.history.len(), 30);
    assert_eq!(row.packets, [402, 1]);
}

#[test]
fn the_handshake_is_measured_from_the_last_syn() {
    assert_eq!(i64::from(only(&script(">S <SA >A >PA10")).rtt), 2 * STEP);
    assert_eq!(i64::from(only(&script(">S >S~ <SA >PA10")).rtt), 2 * STEP);
    assert_eq!(only(&script(">S <SA")).rtt, 0);
    assert_eq!(only(&script("<SA >A")).rtt, 0);
}

#[test]
fn sides_are_counted_from_the_originators_point_of_view() {
    let row = only(&script("<SA >A >PA10 <PA20 <PA30"));
    assert_eq!(row.source, address(1), "who sent the SYN-ACK answers");
    assert_eq!(row.ports, (40_000, 80));
    assert_eq!(row.packets, [2, 3]);
    assert_eq!(row.payload, [10, 50]);
    assert_eq!(row.bytes, [90, 170]);
    assert_eq!(row.flags, [16 | 8, 2 | 16 | 8]);
}

#[test]
fn ports_are_used_again_after_the_end() {
    let mut packets = script(">S <RA");
    let again = script(">S! >S <RA");
    packets.extend(again.into_iter().map(|packet| Packet { time: packet.time + 4 * STEP, ..packet }));
    let rows = run(&mut FlowTable::new(Config::default()), &packets, true);
    assert_eq!(
        rows.iter().map(|row| (row.state, row.reason)).collect::<Vec<_>>(),
        [("REJ", Reason::End), ("REJ", Reason::Stop)]
    );
    assert_ne!(rows[0].id, rows[1].id);
    // But the same SYN once more is still the first attempt.
    assert_eq!(only(&script(">S <RA >S~ <RA~")).packets, [2, 2]);
}

#[test]
fn datagrams_have_zeeks_states() {
    let (client, server) = ((1, 5353), (2, 53));
    let asked = udp(0, client, server, 30);
    let row = only(std::slice::from_ref(&asked));
    assert_eq!((row.state, row.history.as_str()), ("S0", "D"));
    let row = only(&[asked, udp(10, server, client, 90)]);
    assert_eq!((row.state, row.history.as_str(), row.payload), ("SF", "Dd", [30, 90]));
}

fn icmp(time: i64, from: u8, to: u8, protocol: u8, kind: u16, code: u16) -> Packet<'static> {
    Packet { protocol, ..udp(time, (from, kind), (to, code), 56) }
}

#[test]
fn icmp_requests_meet_their_replies() {
    for (protocol, request, reply) in [(1, 8, 0), (1, 13, 14), (58, 128, 129), (58, 135, 136)] {
        let row = only(&[icmp(0, 1, 2, protocol, request, 0), icmp(5, 2, 1, protocol, reply, 0)]);
        assert_eq!((row.ports, row.packets, row.state), ((request, reply), [1, 1], "OTH"));
    }
}

#[test]
fn icmp_messages_without_counterpart_go_one_way() {
    // Type 3 code 1 one way is not the counterpart of type 1 code 3 the other way.
    let packets = [icmp(0, 1, 2, 58, 1, 3), icmp(5, 2, 1, 58, 3, 1), icmp(9, 1, 2, 58, 1, 3)];
    let mut rows = run(&mut FlowTable::new(Config::default()), &packets, true);
    rows.sort_by_key(|row| row.start);
    assert_eq!(
        rows.iter().map(|row| (row.ports, row.packets)).collect::<Vec<_>>(),
        [((1, 3), [2, 0]), ((3, 1), [1, 0])]
    );
}
