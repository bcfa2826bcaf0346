use super::{Flags, MAX_ANSWERS, MAX_TEXT, Oddities, looks_like_dns, parse};
use proptest::prelude::*;

/// A message: identifier 0x1234, the flag bits, the counts and what follows.
fn message(bits: u16, counts: [u16; 4], sections: &[&[u8]]) -> Vec<u8> {
    let mut message = vec![0x12, 0x34];
    message.extend(bits.to_be_bytes());
    message.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
    message.extend(sections.concat());
    message
}

fn name(labels: &[&[u8]]) -> Vec<u8> {
    let mut name: Vec<u8> = labels.iter().flat_map(|label| [&[label.len() as u8][..], label].concat()).collect();
    name.push(0);
    name
}

fn question(labels: &[&[u8]], kind: u16, class: u16) -> Vec<u8> {
    [name(labels), kind.to_be_bytes().to_vec(), class.to_be_bytes().to_vec()].concat()
}

/// A record whose name is a pointer to the question.
fn record(kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u16).to_be_bytes();
    [&[0xc0, 12][..], &kind.to_be_bytes(), &[0, 1], &ttl.to_be_bytes(), &length, data].concat()
}

fn example() -> Vec<u8> {
    question(&[b"Example", b"ORG"], 1, 1)
}

#[test]
fn a_question() {
    let payload = message(0x0120, [1, 0, 0, 1], &[&example(), &[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]]);
    let read = parse(&payload).unwrap();
    assert_eq!((read.id, read.response, read.opcode), (0x1234, false, 0));
    assert_eq!(read.flags.text(), "RD AD");
    assert_eq!((read.question_name.as_str(), &*read.question_type, &*read.question_class), ("example.org", "A", "IN"));
    assert_eq!((&*read.response_code, read.answers.len(), read.oddities.text()), ("", 0, String::new()));
    assert!(looks_like_dns(&payload));
}

#[test]
fn answers_in_presentation_form() {
    let soa = [&[2, b'n', b's', 0xc0, 12, 0xc0, 12][..], &[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5]]
        .concat();
    let cases: [(u16, &[u8], &str); 15] = [
        (1, &[192, 0, 2, 7], "192.0.2.7"),
        (28, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7], "2001:db8::7"),
        (5, &[3, b'W', b'w', b'w', 0xc0, 12], "www.example.org"),
        (2, &[0], "."),
        (12, &name(&[b"a.b", b"c d", &[0xff]]), "a\\046b.c\\032d.\\255"),
        (15, &[0, 10, 4, b'm', b'a', b'i', b'l', 0xc0, 12], "10 mail.example.org"),
        (33, &[0, 1, 0, 2, 0x13, 0xc4, 0xc0, 12], "1 2 5060 example.org"),
        (6, &soa, "ns.example.org example.org 1 2 3 4 5"),
        (16, b"\x03a b\x05\"\\\x00\xff!", "\"a b\" \"\\034\\092\\000\\255!\""),
        (16, b"\x00", "\"\""),
        (65, &[0, 1, 0], "\\# 3 000100"),
        (46, &[], "\\# 0"),
        (39, &[0xc0, 20], "org"),
        (99, b"\x01x", "\"x\""),
        (4711, &[0xab], "\\# 1 ab"),
    ];
    let records: Vec<u8> = cases.iter().flat_map(|(kind, data, _)| record(*kind, u32::from(*kind), data)).collect();
    let payload = message(0x8580, [1, cases.len() as u16, 0, 0], &[&example(), &records]);
    let read = parse(&payload).unwrap();
    assert_eq!((read.response, read.flags.text(), &*read.response_code), (true, "AA RD RA".into(), "NOERROR"));
    for ((kind, _, expected), answer) in cases.iter().zip(&read.answers) {
        assert_eq!((answer.data.as_str(), answer.ttl), (*expected, u32::from(*kind)));
    }
    assert_eq!(read.oddities.text(), "");
    assert!(looks_like_dns(&payload));
}

#[test]
fn data_that_its_type_does_not_allow() {
    for (kind, data) in [
        (1, &[1, 2, 3][..]),
        (28, &[0; 15]),
        (5, &[0, 0]),
        (5, &[3, b'a']),
        (15, &[0]),
        (33, &[0, 0, 0, 0, 0, 1]),
        (6, &[0, 0, 1]),
        (16, &[9, b'x']),
    ] {
        let payload =
            message(0x8180, [1, 2, 0, 0], &[&example(), &record(kind, 1, data), &record(1, 1, &[1, 1, 1, 1])]);
        let read = parse(&payload).unwrap();
        assert_eq!(read.oddities.text(), "bad_rdata", "type {kind}");
        assert!(read.answers[0].data.starts_with(&format!("\\# {}", data.len())), "{}", read.answers[0].data);
        assert_eq!(read.answers[1].data, "1.1.1.1", "the next record is not lost");
    }
}

#[test]
fn codes_flags_types_and_classes() {
    let code = |bits: u16, upper: u8| {
        let option = [0, 0, 41, 4, 208, upper, 0, 0, 0, 0, 0];
        parse(&message(0x8000 | bits, [1, 0, 0, 1], &[&example(), &option])).unwrap().response_code.into_owned()
    };
    assert_eq!(code(3, 0), "NXDOMAIN");
    assert_eq!(code(5, 0), "REFUSED");
    assert_eq!(code(0, 1), "BADVERS");
    assert_eq!(code(15, 2), "RCODE47");
    let mut flags = Flags(0);
    flags |= parse(&message(0x07b0, [0; 4], &[])).unwrap().flags;
    assert_eq!(flags.text(), "AA TC RD RA AD CD");
    let read = parse(&message(0x0100, [1, 0, 0, 0], &[&question(&[], 65_280, 7)])).unwrap();
    assert_eq!(
        (read.question_name.as_str(), &*read.question_type, &*read.question_class),
        (".", "TYPE65280", "CLASS7")
    );
}

#[test]
fn pointers_that_lead_nowhere() {
    let of = |tail: &[u8]| {
        let read = parse(&message(0x0100, [1, 0, 0, 0], &[tail, &[0, 1, 0, 1]])).unwrap();
        (read.question_name, read.question_type.into_owned(), read.oddities.text())
    };
    let kind = || "A".to_owned();
    assert_eq!(of(&[0xc0, 12]), (String::new(), kind(), "pointer_loop".into()));
    assert_eq!(of(&[1, b'a', 0xc0, 12]), ("a".into(), kind(), "pointer_loop".into()));
    assert_eq!(of(&[1, b'a', 0xc0, 15]), ("a".into(), kind(), "pointer_loop".into()));
    assert_eq!(of(&[1, b'a', 0xc0, 3]), ("a".into(), kind(), "bad_pointer".into()));
    assert_eq!(of(&[1, b'a', 0xc0, 17]), ("a".into(), kind(), "bad_pointer".into()));
    assert_eq!(of(&[1, b'a', 0xff, 0xff]), ("a".into(), kind(), "bad_pointer".into()));
}

#[test]
fn labels_and_names_beyond_their_limits() {
    let of = |tail: &[u8]| parse(&message(0x0100, [1, 0, 0, 0], &[tail])).unwrap();
    let long = of(&question(&[&[b'a'; 63][..]; 5], 1, 1));
    assert_eq!(
        (long.question_name.len(), &*long.question_type, long.oddities.text()),
        (3 * 64 - 1, "A", "label_limit".into())
    );
    let exact = of(&question(&[&[b'a'; 63], &[b'b'; 63], &[b'c'; 63], &[b'd'; 61]], 1, 1));
    assert_eq!((exact.question_name.len(), exact.oddities.text()), (253, String::new()));
    let label = of(&[1, b'a', 0x40, 0, 0, 1, 0, 1]);
    assert_eq!((label.question_name.as_str(), label.oddities.text()), ("a", "label_limit".into()));
}

#[test]
fn counts_and_ends() {
    let oddities = |payload: &[u8]| parse(payload).unwrap().oddities;
    let answer = record(1, 1, &[1, 2, 3, 4]);
    assert_eq!(oddities(&message(0x8000, [1, 2, 0, 0], &[&example(), &answer])), Oddities::COUNT_MISMATCH);
    assert_eq!(oddities(&message(0x0000, [1, 0, 0, 0], &[])), Oddities::COUNT_MISMATCH);
    assert_eq!(oddities(&message(0x8000, [1, 1, 0, 0], &[&example(), &answer, b"x"])), Oddities::TRAILING);
    let whole = message(0x8000, [1, 1, 0, 0], &[&example(), &answer]);
    for end in 13..whole.len() {
        let read = parse(&whole[..end]).unwrap();
        let expected = if end == 29 { Oddities::COUNT_MISMATCH } else { Oddities::TRUNCATED };
        assert_eq!(read.oddities, expected, "cut at {end}");
        assert!(read.answers.is_empty());
    }
    assert_eq!(parse(&whole[..11]), None);
}

#[test]
fn work_is_bounded() {
    let many: Vec<u8> = (0..5000_u16).flat_map(|i| record(1, 1, &[10, 0, (i >> 8) as u8, i as u8])).collect();
    let read = parse(&message(0x8000, [1, 5000, 0, 0], &[&example(), &many])).unwrap();
    assert_eq!((read.answers.len(), read.oddities.text()), (MAX_ANSWERS, "answers_cut".into()));
    let wide: Vec<u8> = (0..5).flat_map(|_| record(10, 1, &[0xff; 12_000])).collect();
    let read = parse(&message(0x8000, [1, 5, 0, 0], &[&example(), &wide])).unwrap();
    assert_eq!(read.answers.iter().map(|answer| answer.data.len()).sum::<usize>(), MAX_TEXT);
    assert_eq!(read.oddities.text(), "answers_cut");
}

#[test]
fn what_is_not_dns() {
    assert!(!looks_like_dns(b""));
    assert!(!looks_like_dns(b"GET / HTTP/1.1\r\nHost: a\r\n"));
    assert!(!looks_like_dns(&[0; 40]));
    assert!(!looks_like_dns(&[0xff; 40]));
    assert!(!looks_like_dns(&message(0x0100, [2, 0, 0, 0], &[&example()])));
    assert!(!looks_like_dns(&message(0x0140, [1, 0, 0, 0], &[&example()])));
    assert!(looks_like_dns(&message(0x8401, [0, 0, 0, 0], &[])), "a bare refusal");
    assert!(
        looks_like_dns(&message(0x8400, [0, 1, 0, 0], &[&[0, 0, 1, 0, 1]])),
        "multicast DNS answers without a question"
    );
    assert!(looks_like_dns(&message(0x2800, [1, 0, 1, 0], &[&example()])), "an update");
}

proptest! {
    #[test]
    fn any_bytes(
        noise in prop::collection::vec(any::<u8>(), 0..200),
        counts: [u16; 4],
        bits: u16,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        end: prop::sample::Index,
    ) {
        let soa = [&[1, b'x', 0xc0, 12, 0xc0, 12][..], &[0; 20]].concat();
        let records = [record(5, 1, &[3, b'w', b'w', b'w', 0xc0, 12]), record(6, 1, &soa), record(16, 1, b"\x02ab")].concat();
        let mut valid = message(0x8180, [1, 3, 0, 0], &[&example(), &records]);
        for (at, value) in changes {
            let at = at.index(valid.len());
            valid[at] = value;
        }
        for payload in [&valid[..end.index(valid.len() + 1)], &noise, &message(bits, counts, &[&noise]), &[&valid[..], &noise].concat()] {
            looks_like_dns(payload);
            if let Some(read) = parse(payload) {
                prop_assert!(read.question_name.len() <= 4 * 255 && read.question_name.is_ascii());
                prop_assert!(read.answers.iter().map(|answer| answer.data.len()).sum::<usize>() <= MAX_TEXT);
                prop_assert!(read.answers.iter().all(|answer| answer.data.is_ascii()));
            }
        }
    }
}
