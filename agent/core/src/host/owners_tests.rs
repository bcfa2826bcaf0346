use super::*;

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
    owners.find(question, &mut |address| *address == four(2)).map(|found| (found.owner.entity, found.confidence))
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
fn a_socket_without_an_owner_is_a_doubt_and_no_other_answers_for_it() {
    let owners = Owners::new(100);
    owners.open(end(6, ANY, 53, ANY, 0), 1, 0, owner(1), 100);
    owners.open(end(6, four(2), 53, four(1), 40_000), 2, 0, owner(0), 0);
    assert_eq!(ask(&owners, &question(6, S, 2 * S)), None);
    assert_eq!(owners.counts().doubtful, 1);
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
    let ends = lock(&owners.ends);
    assert_eq!((ends.slots.len(), ends.sockets.len()), (100, 100));
    assert!(ends.slots.keys().all(|end| end.local_port >= 900));
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
    assert!(lock(&owners.ends).sockets.is_empty());
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
