use std::io::Write;

use super::message::tests::example;
use super::*;

fn count(reader: &Conntrack, name: &str) -> u64 {
    let named = lock(&reader.inner).totals.named();
    named.into_iter().find(|(known, _)| *known == name).expect("a counter").1
}

#[test]
fn what_is_learnt_evicted_and_malformed_is_counted() {
    let registry = Registry::default();
    let reader = registry.of("", 1);
    let mut inner = lock(&reader.inner);
    inner.table = Table::new(2);
    for id in 0..3 {
        let mut one = example();
        one.original.source_port = id;
        inner.take(Message::New(id.into(), one), 0, 0);
        inner.take(Message::New(id.into(), one), 0, 0);
    }
    inner.take(Message::Malformed, 0, 0);
    drop(inner);
    assert_eq!(["nat_learnt", "nat_evicted", "nat_malformed"].map(|name| count(&reader, name)), [3, 1, 1]);
    assert_eq!(registry.known(), 2);
}

#[test]
fn what_may_have_been_missed_is_a_doubt() {
    let reader = Registry::default().of("", 1);
    let ask = || reader.find(&example().original, 0, 0, 0);
    lock(&reader.inner).looked = Some(Instant::now());
    assert_eq!(ask(), Answer::None);
    lock(&reader.inner).stale = true;
    assert_eq!(ask(), Answer::Doubt);
    lock(&reader.inner).table.add(1, example(), 0);
    assert_eq!(ask(), Answer::One(example()));
}

#[test]
fn a_namespace_has_one_reader_as_long_as_somebody_asks() {
    let registry = Registry::default();
    let (one, again, other) = (registry.of("", 1), registry.of("", 1), registry.of("", 2));
    assert!(Arc::ptr_eq(&one, &again) && !Arc::ptr_eq(&one, &other));
    drop((one, again, other));
    registry.of("", 3);
    assert_eq!(lock(&registry.readers).len(), 1);
}

#[test]
fn nothing_is_asked_for_where_nothing_is_tracked_and_a_refusal_is_counted_once_in_a_while() {
    let reader = Registry::default().of("no-such-namespace", 1);
    let tracked = |digits: &str| {
        let mut file = tempfile();
        file.write_all(digits.as_bytes()).expect("a file");
        lock(&reader.inner).tracked = Some(file);
        lock(&reader.inner).looked = None;
        reader.tend(0);
    };
    tracked("0\n");
    assert_eq!(count(&reader, "nat_refused"), 0);
    tracked("12\n");
    tracked("12\n");
    assert_eq!(count(&reader, "nat_refused"), 1);
    assert_eq!(reader.find(&example().original, 0, 0, 0), Answer::None);
}

/// A file without a name.
fn tempfile() -> File {
    use std::os::fd::FromRawFd;
    // SAFETY: the name is a C string; the descriptor, if any, is new and owned by nobody else.
    unsafe {
        let descriptor = libc::memfd_create(c"tracked".as_ptr(), libc::MFD_CLOEXEC);
        assert!(descriptor >= 0);
        File::from_raw_fd(descriptor)
    }
}
