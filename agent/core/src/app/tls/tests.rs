use super::{ClientHello, HelloReader, Oddities, Progress};
use proptest::prelude::*;

fn short(bytes: &[u8]) -> Vec<u8> {
    [&[bytes.len() as u8][..], bytes].concat()
}

fn vector(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector(data)].concat()
}

fn sni(name: &[u8]) -> Vec<u8> {
    extension(0, &vector(&[&[0][..], &vector(name)].concat()))
}

/// A ClientHello message with its handshake header.
fn message(version: u16, suites: &[u8], extensions: Option<&[Vec<u8>]>) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    body.extend([9; 32]);
    body.extend(short(&[7; 32]));
    body.extend(vector(suites));
    body.extend(short(&[0]));
    if let Some(extensions) = extensions {
        body.extend(vector(&extensions.concat()));
    }
    [&[1][..], &(body.len() as u32).to_be_bytes()[1..], &body].concat()
}

fn records(message: &[u8], size: usize) -> Vec<u8> {
    message.chunks(size).flat_map(|part| [&[22, 3, 1][..], &vector(part)].concat()).collect()
}

fn read(stream: &[u8]) -> Progress {
    HelloReader::new().push(stream)
}

fn hello(message: &[u8]) -> ClientHello {
    match read(&records(message, 16_384)) {
        Progress::Hello(hello) => *hello,
        other => panic!("{other:?}"),
    }
}

/// What a browser sends.
fn modern() -> Vec<u8> {
    message(
        0x0303,
        &[0x3a, 0x3a, 0x13, 1, 0x13, 2, 0xc0, 0x2b],
        Some(&[
            extension(0x0a0a, &[]),
            sni(b"WWW.Example.ORG"),
            extension(16, &vector(&[short(b"h2"), short(b"http/1.1"), short(&[0xca, 0xca])].concat())),
            extension(43, &short(&[0x7a, 0x7a, 3, 4, 3, 3])),
            extension(51, &[5; 1200]),
        ]),
    )
}

fn modern_hello() -> ClientHello {
    ClientHello {
        version: "1.3".into(),
        server_name: "www.example.org".into(),
        alpn: vec!["h2".into(), "http/1.1".into()],
        cipher_count: 3,
        oddities: Oddities::default(),
    }
}

#[test]
fn a_hello_in_one_record() {
    assert_eq!(hello(&modern()), modern_hello());
}

#[test]
fn a_hello_cut_into_records_and_segments() {
    for record in [1, 3, 4, 100, 5000] {
        let stream = records(&modern(), record);
        for segment in [1, 5, 7, 1000] {
            let mut reader = HelloReader::new();
            let mut last = Progress::More;
            for part in stream.chunks(segment) {
                assert_eq!(last, Progress::More);
                last = reader.push(part);
            }
            assert_eq!(last, Progress::Hello(Box::new(modern_hello())), "records of {record}, segments of {segment}");
            assert_eq!(reader.push(b"more"), Progress::NotHello);
            assert_eq!(reader.finish(), None);
        }
    }
}

#[test]
fn versions() {
    let of = |legacy, versions: Option<&[u8]>| {
        let extensions = versions.map(|versions| vec![extension(43, &short(versions))]);
        hello(&message(legacy, &[0, 47], extensions.as_deref())).version
    };
    assert_eq!(of(0x0301, None), "1.0");
    assert_eq!(of(0x0302, None), "1.1");
    assert_eq!(of(0x0303, None), "1.2");
    assert_eq!(of(0x0300, None), "0x0300");
    assert_eq!(of(0x0303, Some(&[3, 3, 3, 4, 3, 2])), "1.3");
    assert_eq!(of(0x0303, Some(&[0x7f, 0x1c])), "0x7f1c", "a draft alone");
    assert_eq!(of(0x0303, Some(&[0x7f, 0x1c, 3, 4])), "1.3");
    assert_eq!(of(0x0303, Some(&[0x0a, 0x0a])), "1.2", "GREASE alone");
}

#[test]
fn server_names_that_are_none() {
    let of = |name: &[u8]| {
        let hello = hello(&message(0x0303, &[0, 47], Some(&[sni(name)])));
        (hello.server_name, hello.oddities.text())
    };
    assert_eq!(of(b"xn--tre-0za.vn"), ("xn--tre-0za.vn".into(), ""));
    assert_eq!(of(b"a_b.example"), ("a_b.example".into(), ""));
    assert_eq!(of("tr\u{e9}.vn".as_bytes()), ("tr\\195\\169.vn".into(), "bad_sni"));
    assert_eq!(of(b"a\\b c"), ("a\\092b\\032c".into(), "bad_sni"));
    assert_eq!(of(b"192.0.2.1"), ("192.0.2.1".into(), "bad_sni"));
    assert_eq!(of(b"2001:db8::1"), ("2001:db8::1".into(), "bad_sni"));
    assert_eq!(of(b""), (String::new(), "bad_sni"));
    assert_eq!(of(&[b'a'; 300]), ("a".repeat(255), "bad_sni"));
}

#[test]
fn lengths_that_lie() {
    let mut odd_suites = hello(&message(0x0303, &[0, 47, 0], None));
    assert_eq!((odd_suites.cipher_count, odd_suites.oddities.text()), (1, "bad_length"));
    odd_suites = hello(&message(0x0303, &[], Some(&[extension(43, &[9, 3, 4])])));
    assert_eq!((odd_suites.version.as_ref(), odd_suites.oddities.text()), ("1.2", "bad_length"));
    let beyond = hello(&message(0x0303, &[0, 47], Some(&[sni(b"a.example"), vec![0, 16, 0xff, 0xff, 0]])));
    assert_eq!((beyond.server_name.as_ref(), beyond.oddities.text()), ("a.example", "bad_length"));
    let mut trailing = message(0x0303, &[0, 47], Some(&[]));
    trailing.push(0);
    trailing[3] += 1;
    assert_eq!(hello(&trailing).oddities.text(), "bad_length");
    let empty = hello(&[1, 0, 0, 0]);
    assert_eq!((empty.version.as_ref(), empty.oddities.text()), ("", "bad_length"));
}

#[test]
fn what_is_no_hello() {
    for stream in
        [&b"GET / HTTP/1.1"[..], b"\x16\x02", b"\x17\x03\x03", b"\x16\x03\x01\x00\x00", b"\x16\x03\x01\xff\xff"]
    {
        assert_eq!(read(stream), Progress::NotHello, "{}", stream.escape_ascii());
    }
    assert_eq!(read(&records(&[2, 0, 0, 1, 0], 100)), Progress::NotHello, "a ServerHello");
    let alert_inside = [&records(&modern()[..50], 100)[..], &[21, 3, 3, 0, 2, 1, 0]].concat();
    assert_eq!(read(&alert_inside), Progress::NotHello);
}

#[test]
fn a_stream_that_ends_early() {
    let stream = records(&modern(), 16_384);
    let mut reader = HelloReader::new();
    assert_eq!(reader.push(&stream[..120]), Progress::More);
    let hello = reader.finish().unwrap();
    assert_eq!((hello.server_name.as_str(), hello.cipher_count), ("www.example.org", 3));
    assert!(hello.oddities.has(Oddities::TRUNCATED));
    assert_eq!(reader.finish(), None);
    assert_eq!(HelloReader::new().finish(), None);
}

#[test]
fn a_hello_without_end_is_cut() {
    let mut endless = message(0x0303, &[0, 47], Some(&[sni(b"big.example"), extension(21, &[0; 60_000])]));
    endless[1] = 0x7f;
    let stream = records(&endless, 16_384);
    let mut reader = HelloReader::new();
    let mut last = Progress::More;
    for part in stream.chunks(1460) {
        if last == Progress::More {
            last = reader.push(part);
        }
        assert!(reader.message.capacity() <= 32 * 1024);
    }
    let Progress::Hello(hello) = last else { panic!("{last:?}") };
    assert!(hello.oddities.has(Oddities::TRUNCATED));
}

proptest! {
    #[test]
    fn any_bytes(
        noise in prop::collection::vec(any::<u8>(), 0..300),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        end: prop::sample::Index,
        segment in 1_usize..200,
    ) {
        read(&noise);
        let mut message = modern();
        message.extend(&noise);
        for (at, value) in changes {
            let at = at.index(message.len());
            message[at] = value;
        }
        let mut reader = HelloReader::new();
        let stream = records(&message, 700);
        for part in stream[..end.index(stream.len())].chunks(segment) {
            if let Progress::Hello(hello) = reader.push(part) {
                prop_assert!(hello.server_name.len() <= 4 * 255 && hello.server_name.is_ascii());
                prop_assert!(hello.alpn.len() <= 32);
            }
        }
        reader.finish();
    }
}
