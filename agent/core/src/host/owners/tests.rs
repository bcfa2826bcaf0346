use super::super::conntrack::{Translation, Tuple};
use super::ends::REMEMBER_US;
use super::find::{ANY, SLACK_US};
use super::*;

const ANY_IPV4: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0];

fn four(last: u8) -> [u8; 16] {
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, last]
}

fn owner(entity: u64) -> Arc<Owner> {
    Arc::new(Owner { pid: entity as u32, entity, method: "ebpf", ..Owner::default() })
}

fn end(protocol: u8, local: [u8; 16], local_port: u16, remote: [u8; 16], remote_port: u16) -> End {
    End { netns: 1, protocol, local, local_port, remote, remote_port }
}

/// From 10.0.0.1:40000 to 10.0.0.2:53.
fn question(protocol: u8, first: i64, last: i64) -> Question {
    Question {
        netns: 1,
        protocol,
        source: four(1),
        source_port: 40_000,
        destination: four(2),
        destination_port: 53,
        first,
        last,
    }
}

fn ask(owners: &Owners, question: &Question) -> Option<(u64, u8)> {
    owners.find(question, None, &mut |address| *address == four(2)).map(|found| (found.owner.entity, found.confidence))
}

const S: i64 = 1_000_000;

#[test]
fn either_end_may_be_ours_and_the_originator_comes_first() {
    let owners = Owners::new(100);
    owners.open(end(6, four(2), 53, four(1), 40_000), 2, 0, owner(2), 100);
    assert_eq!(ask(&owners, &question(6, S, 2 * S)), Some((2, 100)));
    owners.open(end(6, four(1), 40_000, four(2), 53), 1, 0, owner(1), 100);
    assert_eq!(ask(&owners, &question(6, S, 2 * S)), Some((1, 100)));
    assert_eq!(ask(&owners, &Question { netns: 2, ..question(6, S, 2 * S) }), None, "another namespace");
    assert_eq!(owners.counts(), Counts { attributed: 2, unattributed: 1, ..Counts::default() });
}

#[test]
fn a_port_that_is_used_again_belongs_to_whom_it_belonged_then() {
    let owners = Owners::new(100);
    let reused = end(6, four(1), 40_000, four(2), 53);
    owners.open(reused, 1, S, owner(1), 100);
    owners.close(1, 2 * S);
    owners.open(reused, 2, 3 * S, owner(2), 100);
    assert_eq!(ask(&owners, &question(6, S, 2 * S)), Some((1, 100)));
    assert_eq!(ask(&owners, &question(6, 3 * S, 4 * S)), Some((2, 100)));
    assert_eq!(ask(&owners, &question(6, S, 4 * S)), None, "it could be either");
    assert_eq!(ask(&owners, &question(6, 2 * S + SLACK_US + 1, 3 * S - SLACK_US - 1)), None, "nobody's then");
    assert_eq!(owners.counts().doubtful, 1);
}

#[test]
fn a_socket_that_changes_hands_is_the_last_ones() {
    let owners = Owners::new(100);
    let one = end(6, four(1), 40_000, four(2), 53);
    owners.open(one, 1, 0, owner(1), 80);
    owners.open(one, 1, S, owner(2), 100);
    assert_eq!((ask(&owners, &question(6, 0, S)), owners.known()), (Some((2, 100)), 1));
}

#[test]
fn a_server_bound_to_any_address_answers_for_its_own_addresses_only() {
    for any in [ANY, ANY_IPV4] {
        let owners = Owners::new(100);
        owners.open(end(17, any, 53, any, 0), 1, 0, owner(1), 100);
        owners.open(end(6, any, 53, any, 0), 2, 0, owner(2), 100);
        assert_eq!(owners.known(), 2);
        let [udp, tcp] = [17, 6].map(|protocol| question(protocol, S, S));
        if any == ANY {
            assert_eq!(ask(&owners, &udp), Some((1, 100)));
            assert_eq!(ask(&owners, &tcp), Some((2, 50)), "who accepts is not known");
        }
        assert_eq!(ask(&owners, &Question { destination: four(9), ..udp }), None, "somebody else's packets");
    }
}

#[test]
fn two_servers_of_one_port_are_a_doubt() {
    let owners = Owners::new(100);
    let server = end(17, ANY, 53, ANY, 0);
    owners.open(server, 1, 0, owner(1), 100);
    owners.open(server, 2, 0, owner(2), 100);
    assert_eq!(ask(&owners, &question(17, S, S)), None);
    owners.close(1, S / 2);
    assert_eq!(ask(&owners, &question(17, S, S)), Some((2, 100)));
}

#[test]
fn processes_that_read_from_one_socket_are_a_doubt() {
    for confidence in [HANDED_ON, IN_TURN] {
        let owners = Owners::new(100);
        let server = end(17, ANY, 53, ANY, 0);
        owners.open(server, 1, 0, owner(1), 100);
        assert_eq!(ask(&owners, &question(17, S, S)), Some((1, 100)));
        owners.open(server, 1, 0, owner(2), confidence);
        assert_eq!(ask(&owners, &question(17, S, S)), None);
        let connected = end(17, four(2), 53, four(1), 40_000);
        owners.open(connected, 2, 0, owner(2), confidence);
        assert_eq!(ask(&owners, &question(17, S, S)), Some((2, confidence)), "one conversation, one after the other");
    }
}

#[test]
fn a_socket_without_an_owner_is_a_doubt_and_no_other_answers_for_it() {
    let owners = Owners::new(100);
    owners.open(end(6, ANY, 53, ANY, 0), 1, 0, owner(1), 100);
    owners.open(end(6, four(2), 53, four(1), 40_000), 2, 0, owner(0), 0);
    assert_eq!(ask(&owners, &question(6, S, 2 * S)), None);
    assert_eq!(owners.counts().doubtful, 1);
}

#[test]
fn who_uses_a_connection_comes_before_who_listens_for_it() {
    let owners = Owners::new(100);
    let one = end(6, four(2), 53, four(1), 40_000);
    owners.open(one, 1, 0, owner(1), 50);
    assert_eq!(ask(&owners, &question(6, S, 2 * S)), Some((1, 50)));
    owners.open(one, 2, S + 100, owner(2), 100);
    assert_eq!(ask(&owners, &question(6, S, 2 * S)), Some((2, 100)));
}

#[test]
fn loopback_is_the_originators_or_nobodys() {
    let owners = Owners::new(100);
    let lo = |last| [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, last];
    owners.open(end(6, lo(1), 53, lo(1), 40_000), 2, 0, owner(2), 100);
    let question = Question { source: lo(1), destination: lo(1), ..question(6, 0, S) };
    assert_eq!(ask(&owners, &question), None);
    owners.open(end(6, lo(1), 40_000, lo(1), 53), 1, 0, owner(1), 100);
    assert_eq!(ask(&owners, &question), Some((1, 100)));
}

#[test]
fn memory_is_bounded_and_the_closed_go_first() {
    let owners = Owners::new(100);
    for port in 0..100 {
        owners.open(end(6, four(1), port, four(2), 53), port.into(), 0, owner(1), 100);
    }
    owners.close(50, S);
    for port in 100..1000 {
        owners.open(end(6, four(1), port, four(2), 53), port.into(), 0, owner(1), 100);
        assert!(owners.known() <= 100);
    }
    assert_eq!(owners.counts().evicted, 900);
    assert_eq!(lock(&owners.ends).sizes()[..2], [100, 100]);
    let known = |port| ask(&owners, &Question { source_port: port, ..question(6, 0, S) }).is_some();
    assert!(!known(899) && known(900) && known(999));
}

#[test]
fn the_closed_are_forgotten_after_a_while() {
    let owners = Owners::new(100);
    owners.open(end(6, four(1), 40_000, four(2), 53), 1, 0, owner(1), 100);
    owners.close(1, S);
    owners.prune(S + REMEMBER_US - 1);
    assert_eq!(owners.known(), 1);
    owners.prune(S + REMEMBER_US);
    assert_eq!(owners.known(), 0);
    assert_eq!(lock(&owners.ends).sizes()[..2], [0, 0]);
}

#[test]
fn the_room_of_a_burst_is_given_back() {
    let owners = Owners::new(100_000);
    for number in 0..50_000u64 {
        let one = end(6, four(1), number as u16, four((number >> 16) as u8), 53);
        owners.open(one, number, S, owner(1), 100);
        owners.close(number, 2 * S);
    }
    assert!(lock(&owners.ends).room()[0] >= 50_000);
    owners.prune(2 * S + REMEMBER_US);
    let room = lock(&owners.ends).room();
    assert!(room.iter().all(|one| *one < 5_000), "{room:?}");
}

#[test]
fn a_flood_of_ends_leaves_bounded_memory_and_is_counted() {
    let owners = Owners::new(1000);
    let one = end(17, four(1), 40_000, four(2), 53);
    for number in 0..1_000_000_u64 {
        // Of three kinds: the same tuple again and again, other peers of one socket, and sockets that stay open.
        let (end, socket) = match number % 3 {
            0 => (one, number),
            1 => (End { remote_port: number as u16, netns: number >> 16, ..one }, 1),
            _ => (End { local_port: number as u16, netns: number >> 16, ..one }, number),
        };
        owners.open(end, socket, number as i64, owner(number), 100);
        if number % 3 == 0 {
            owners.close(socket, number as i64);
        }
        assert!(owners.known() <= 1000);
    }
    let [lines, sockets, order, closed] = lock(&owners.ends).sizes();
    assert!(lines <= 1000 && sockets <= 1000 && order <= 3025 && closed <= 3025, "{lines} {sockets} {order} {closed}");
    assert!(owners.counts().evicted >= 900_000);
    assert!(lock(&owners.ends).namespaces().count() <= 1000);
}

#[test]
fn one_tuple_may_be_used_a_thousand_times_in_a_fifth_of_a_second() {
    let owners = Owners::new(131_072);
    let one = end(6, four(1), 40_000, four(2), 53);
    for number in 0..20_000_u64 {
        owners.open(one, number, number as i64 * 200, owner(number + 1), 100);
        owners.close(number, number as i64 * 200 + 150);
    }
    assert_eq!((owners.known(), owners.counts().evicted), (16_384, 3616), "and one tuple does not crowd out the rest");
    for number in 10_000..20_000 {
        let flow = question(6, number * 200 + 10, number * 200 + 140);
        assert_eq!(ask(&owners, &flow), Some((number as u64 + 1, 100)));
    }
}

#[test]
fn sockets_that_share_a_port_are_a_doubt_however_short_one_of_them_was_there() {
    let owners = Owners::new(100);
    let server = end(17, ANY, 53, ANY, 0);
    owners.open(server, 1, 0, owner(1), 100);
    owners.open(server, 2, 2 * S - 10, owner(2), 100);
    assert_eq!(ask(&owners, &question(17, S, 2 * S)), None, "the second may have had it in its queue");
    assert_eq!(ask(&owners, &question(17, S, S)), Some((1, 100)));
}

#[test]
fn times_within_the_blur_of_the_clocks_are_a_doubt() {
    let owners = Owners::new(100);
    let one = end(6, four(1), 40_000, four(2), 53);
    owners.open(one, 1, 0, owner(1), 100);
    owners.close(1, S);
    owners.open(one, 2, S + 3, owner(2), 100);
    assert_eq!(ask(&owners, &question(6, S, S)), None);
    assert_eq!(ask(&owners, &question(6, S + 30, S + 30)), Some((2, 100)));
}

#[test]
fn a_datagram_that_leaves_after_its_sender_is_the_senders() {
    let owners = Owners::new(100);
    let one = end(17, four(1), 40_000, four(2), 53);
    owners.open(one, 1, 0, owner(1), 100);
    owners.close(1, S);
    assert_eq!(ask(&owners, &question(17, S + S / 2, S + S / 2)), Some((1, 70)));
    assert_eq!(ask(&owners, &question(17, 5 * S, 5 * S)), None, "that is too long ago");
    assert_eq!(ask(&owners, &question(6, S + S / 2, S + S / 2)), None, "TCP tells when it ends");
    let late = Question {
        source: four(2),
        source_port: 53,
        destination: four(1),
        destination_port: 40_000,
        ..question(17, S + S / 2, S + S / 2)
    };
    assert_eq!(ask(&owners, &late), None, "what comes in had no part of it");
}

/// From 10.0.0.1:40000 to 10.0.0.2:53; in truth from 10.0.0.7:1234 to 10.0.0.8:5353.
fn translation(protocol: u8) -> Translation {
    let original = Tuple { protocol, source: four(7), source_port: 1234, destination: four(2), destination_port: 53 };
    let arriving =
        Tuple { source: four(1), source_port: 40_000, destination: four(8), destination_port: 5353, ..original };
    Translation { original, arriving }
}

fn ask_translated(owners: &Owners, question: &Question) -> Option<(u64, &'static str, u8)> {
    let found = owners.find(question, Some(&translation(question.protocol)), &mut |address| *address == four(8));
    found.map(|found| (found.owner.entity, found.method, found.confidence))
}

#[test]
fn through_a_translation_the_originator_has_the_addresses_before_and_the_responder_those_after() {
    let owners = Owners::new(100);
    owners.open(end(6, four(2), 53, four(1), 40_000), 9, 0, owner(9), 100);
    assert_eq!(ask_translated(&owners, &question(6, 0, S)), None, "as it is on the wire nobody has it");
    owners.open(end(6, four(8), 5353, four(1), 40_000), 2, 0, owner(2), 100);
    assert_eq!(ask_translated(&owners, &question(6, 0, S)), Some((2, "ebpf+conntrack", 100)));
    owners.open(end(6, four(7), 1234, four(2), 53), 1, 0, owner(1), 100);
    assert_eq!(ask_translated(&owners, &question(6, 0, S)), Some((1, "ebpf+conntrack", 100)));
    owners.doubt();
    let counts = Counts { attributed: 2, unattributed: 1, translated: 2, doubtful: 1, ..Counts::default() };
    assert_eq!(owners.counts(), counts);
}

#[test]
fn what_is_passed_on_belongs_to_the_only_namespace_that_has_it() {
    let owners = Owners::new(100);
    let forwarded = Question { destination: four(3), ..question(6, 0, S) };
    let there = |netns| End { netns, ..end(6, four(1), 40_000, four(3), 53) };
    assert_eq!(ask(&owners, &forwarded), None);
    owners.open(there(5), 1, 0, owner(1), 100);
    assert_eq!(ask(&owners, &forwarded), Some((1, 85)));
    assert_eq!(owners.counts().elsewhere, 1);
    owners.open(there(6), 2, 0, owner(2), 100);
    assert_eq!(ask(&owners, &forwarded), None, "two namespaces have the same addresses");
    owners.open(End { netns: 5, ..end(6, four(1), 40_000, four(2), 53) }, 3, 0, owner(3), 100);
    assert_eq!(ask(&owners, &question(6, 0, S)), None, "10.0.0.2 is our own: it was not passed on");
}

#[test]
fn a_ticket_is_served_by_the_second_round_or_when_nobody_tells() {
    let owners = Owners::new(100);
    let ticket = owners.ticket();
    assert!(owners.served(ticket) && owners.heard(S), "nobody tells");
    owners.feeding(true);
    assert!(!owners.served(ticket) && !owners.heard(S));
    owners.drained(S);
    assert!(!owners.served(ticket), "that round may have begun before");
    assert!(owners.heard(S) && !owners.heard(S + 1));
    owners.drained(S);
    assert!(owners.served(ticket));
}
