use super::*;
use crate::host::sockets::diag::message::{ESTABLISHED, UDP};

const FIRST: Look = Look { before: 0, now: 10 };
const NEXT: Look = Look { before: 10, now: 20 };

fn look(now: u64) -> Look {
    Look { before: now - 10, now }
}

fn four(last: u8) -> [u8; 16] {
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, last]
}

fn listener(cookie: u64) -> Socket {
    Socket { protocol: TCP, state: LISTEN, cookie, local: four(1), local_port: 443, inode: 1, ..Socket::default() }
}

fn connection(cookie: u64, local_port: u16, remote_port: u16) -> Socket {
    Socket { state: ESTABLISHED, local_port, remote: four(2), remote_port, ..listener(cookie) }
}

fn by(pid: u32) -> Option<Held> {
    Some(Held::One(Arc::new(Holder { pid, start: 1, uid: 33, name: "nginx".into() })))
}

fn kinds(records: &[Record]) -> Vec<(Kind, u32)> {
    records.iter().map(|record| (record.kind, record.pid)).collect()
}

#[test]
fn what_is_there_at_first_is_old_and_what_comes_later_is_news() {
    let mut watch = Watch::new(100);
    watch.heard_of(1, &listener(1));
    let seed = watch.seen(1, listener(1), by(7), FIRST).expect("news");
    assert_eq!((seed.kind, seed.pid, seed.since, seed.listener(), seed.confidence()), (Kind::Seed, 7, 0, true, 70));
    let news = [connection(2, 443, 50_000), connection(3, 50_001, 443), Socket { cookie: 4, ..listener(4) }]
        .map(|socket| watch.seen(1, socket, by(8), NEXT).expect("news"));
    assert_eq!(kinds(&news), [(Kind::Accept, 8), (Kind::Connect, 8), (Kind::Listen, 8)]);
    assert!(news[0].passive() && !news[1].passive());
    assert_eq!((news[0].since, news[0].time), (10, 20));
    assert!(watch.seen(1, listener(1), None, NEXT).is_none() && watch.seen(1, listener(1), by(7), NEXT).is_none());
    let udp = Socket { protocol: UDP, state: 7, ..listener(5) };
    assert_eq!(watch.seen(1, udp.clone(), by(8), NEXT).map(|record| record.kind), Some(Kind::Bind));
    let peer = Socket { cookie: 6, state: ESTABLISHED, remote_port: 53, ..udp };
    assert_eq!(watch.seen(1, peer, by(8), NEXT).map(|record| record.kind), Some(Kind::Connect));
}

#[test]
fn the_counts_of_the_kernel_come_before_the_port() {
    let mut watch = Watch::new(100);
    watch.heard_of(1, &listener(1));
    let passive = |passive| Traffic { passive: Some(passive), ..Traffic::default() };
    let opened = Socket { traffic: passive(false), ..connection(2, 443, 50_000) };
    assert_eq!(watch.seen(1, opened, by(8), NEXT).map(|record| record.kind), Some(Kind::Connect));
    let accepted = Socket { traffic: passive(true), ..connection(3, 8443, 50_000) };
    assert_eq!(watch.seen(1, accepted, by(8), NEXT).map(|record| record.kind), Some(Kind::Accept));
    let elsewhere = watch.seen(2, connection(4, 443, 50_000), by(8), NEXT);
    assert_eq!(elsewhere.map(|record| record.kind), Some(Kind::Connect), "nobody listens in that namespace");
}

#[test]
fn several_holders_are_a_doubt_until_one_is_left() {
    let mut watch = Watch::new(100);
    let doubt = watch.seen(1, connection(2, 443, 50_000), Some(Held::Several), NEXT).expect("news");
    assert_eq!((doubt.pid, doubt.confidence(), watch.shared), (0, 0, 1));
    assert!(watch.is_shared(2));
    let owner = watch.seen(1, connection(2, 443, 50_000), by(9), look(30)).expect("news");
    assert_eq!((owner.kind, owner.pid, owner.confidence()), (Kind::Owner, 9, 70));
    assert!(watch.seen(1, connection(2, 443, 50_000), Some(Held::Nobody), look(40)).is_none(), "still the last one's");
    let handed = watch.seen(1, connection(2, 443, 50_000), by(10), look(50)).expect("news");
    assert_eq!((handed.kind, handed.pid), (Kind::Owner, 10));
}

#[test]
fn the_end_is_told_once_with_what_was_carried() {
    let mut watch = Watch::new(100);
    let traffic = Traffic { sent: 5, received: 6, rtt: 7, passive: None };
    watch.seen(1, Socket { traffic, ..connection(2, 50_000, 443) }, by(8), NEXT);
    let close = watch.ended(1, Socket { state: 7, inode: 0, ..connection(2, 50_000, 443) }, look(30)).expect("known");
    assert_eq!((close.kind, close.pid, close.sent, close.received, close.rtt), (Kind::Close, 8, 5, 6, 7));
    assert!(!close.untold() && watch.len() == 0);
}

#[test]
fn what_came_and_went_between_two_looks_has_no_owner() {
    let mut watch = Watch::new(100);
    watch.heard_of(1, &listener(1));
    let close = watch.ended(1, connection(2, 443, 50_000), NEXT).expect("a connection");
    assert!(close.untold() && close.passive());
    assert_eq!((close.kind, close.pid, close.since), (Kind::Close, 0, 10));
    assert!(watch.ended(1, Socket { remote_port: 0, ..connection(3, 1, 0) }, NEXT).is_none(), "never connected");
}

#[test]
fn a_socket_that_is_missing_twice_has_ended() {
    let mut watch = Watch::new(100);
    let mut closes = Vec::new();
    watch.seen(1, connection(2, 50_000, 443), by(8), NEXT);
    watch.missing(&FxHashSet::default(), look(30), |record| closes.push(record));
    assert!(watch.seen(1, connection(2, 50_000, 443), None, look(40)).is_none(), "the dump overlooked it");
    watch.missing(&FxHashSet::default(), look(40), |record| closes.push(record));
    watch.missing(&FxHashSet::default(), look(50), |record| closes.push(record));
    watch.missing(&FxHashSet::from_iter([1]), look(60), |record| closes.push(record));
    assert!(closes.is_empty());
    watch.missing(&FxHashSet::default(), look(70), |record| closes.push(record));
    assert_eq!((kinds(&closes), closes[0].time, watch.len()), (vec![(Kind::Close, 8)], 50, 0));
}

#[test]
fn memory_is_bounded() {
    let mut watch = Watch::new(2);
    for cookie in 1..=5 {
        watch.seen(1, connection(cookie, 443, 50_000), by(8), NEXT);
    }
    assert_eq!((watch.len(), watch.skipped), (2, 3));
}
