//! Frames in, rows out.

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use proptest::prelude::*;

use super::{Config, Engine};
use crate::capture::{Frame, LinkType};
use crate::columns::json::to_json_lines;
use crate::columns::{Sealed, open};
use crate::decode::build;

const CLIENT: [u8; 4] = [10, 1, 0, 7];
const SERVER: [u8; 4] = [10, 1, 0, 53];
const QUESTION: &[u8] = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07Example\x03org\x00\x00\x01\x00\x01";
const ANSWER: &[u8] = b"\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x07eXample\x03org\x00\x00\x01\x00\x01\
    \xc0\x0c\x00\x01\x00\x01\x00\x00\x01\x2c\x00\x04\xc0\x00\x02\x07";

struct Bench {
    engine: Engine,
    time: i64,
    batches: Vec<Sealed>,
}

impl Bench {
    fn new() -> Self {
        let engine = Engine::new(Config { batch_rows: 1000, ..Config::default() });
        Self { engine, time: 1_763_863_863_000_000, batches: Vec::new() }
    }

    /// A frame, one millisecond after the last.
    fn ip(&mut self, from_client: bool, protocol: u8, body: &[u8]) {
        let (source, destination) = if from_client { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
        let data = build::ethernet(&[], 0x0800, &build::ipv4(source, destination, protocol, 0, &[], body));
        self.time += 1000;
        self.engine.frame(&frame(self.time, &data));
    }

    fn udp(&mut self, from_client: bool, payload: &[u8]) {
        let (source, destination) = if from_client { (40_000, 53) } else { (53, 40_000) };
        self.ip(from_client, 17, &build::udp(source, destination, payload));
    }

    fn tcp(&mut self, from_client: bool, sequence: u32, payload: &[u8]) {
        let (source, destination) = if from_client { (40_000, 443) } else { (443, 40_000) };
        let mut segment = build::tcp(source, destination, 0x18, &[], payload);
        segment[4..8].copy_from_slice(&sequence.to_be_bytes());
        self.ip(from_client, 6, &segment);
    }

    /// The rows of a table, after the end of the capture.
    fn rows(&mut self, table: &str) -> Vec<String> {
        self.batches.extend(self.engine.close());
        let text =
            self.batches.iter().filter(|batch| batch.table == table).map(|batch| to_json_lines(batch, 0).unwrap());
        let text: Vec<u8> = text.flatten().collect();
        String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
    }
}

fn frame(time: i64, data: &[u8]) -> Frame<'_> {
    Frame { time, link: LinkType::Ethernet, data, wire_len: data.len() as u32, vlan: 0 }
}

/// A value of a JSON line, as it is printed.
fn field<'a>(row: &'a str, name: &str) -> &'a str {
    let start = row.find(&format!("\"{name}\":")).unwrap_or_else(|| panic!("{name} in {row}")) + name.len() + 3;
    let rest = &row[start..];
    let end = if rest.starts_with('[') { rest.find(']').unwrap() + 1 } else { rest.find([',', '}']).unwrap() };
    rest[..end].trim_matches('"')
}

#[test]
fn a_question_and_its_answer_are_one_row() {
    let mut bench = Bench::new();
    bench.udp(true, QUESTION);
    bench.udp(false, ANSWER);
    let rows = bench.rows("dns");
    assert_eq!(rows.len(), 1, "{rows:#?}");
    for (name, value) in [
        ("dns_id", "4660"),
        ("dns_question_name", "example.org"),
        ("dns_question_type", "A"),
        ("dns_response_code", "NOERROR"),
        ("dns_header_flags", "RD RA"),
        ("dns_answers_data", "[\"192.0.2.7\"]"),
        ("dns_answers_ttl", "[300]"),
        ("dns_latency", "1000"),
        ("source_ip", "10.1.0.7"),
        ("destination_port", "53"),
        ("network_transport", "udp"),
        ("dns_oddities", ""),
    ] {
        assert_eq!(field(&rows[0], name), value, "{name}");
    }
    let flows = bench.rows("flows");
    assert_eq!(field(&flows[0], "flow_id"), field(&rows[0], "flow_id"));
    assert_eq!(field(&flows[0], "network_protocol"), "dns");
}

#[test]
fn what_is_left_out_is_counted_and_rows_say_the_rate() {
    let mut bench = Bench::new();
    bench.tcp(true, 1, b"GET / HTTP/1.1\r\n\r\n");
    bench.engine.ease(true, 0);
    bench.tcp(true, 20, b"more");
    bench.ip(true, 6, &build::tcp(40_001, 443, 0x02, &[], b""));
    bench.udp(true, QUESTION);
    bench.engine.ease(true, 1);
    bench.udp(false, ANSWER);
    let counters = bench.engine.counters();
    for (name, value) in [
        ("unsampled_packets/tcp", 2),
        ("unsampled_bytes/tcp", 84),
        ("unsampled_connections/tcp", 1),
        ("unsampled_packets/udp", 1),
        ("packets", 5),
        ("flows", 2),
        ("flows_cut/sampled", 1),
    ] {
        assert_eq!(counters.get(name), Some(&value), "{name} of {counters:#?}");
    }
    let flows = bench.rows("flows");
    let said: Vec<_> =
        flows.iter().map(|row| (field(row, "flow_end_reason"), field(row, "flow_sampling_rate"))).collect();
    assert_eq!(said, [("sampled", "1"), ("stop", "1")]);
}

#[test]
fn the_rate_is_that_of_the_time_of_the_packets() {
    let mut bench = Bench::new();
    bench.engine.ease(true, 3);
    for port in 1..200 {
        bench.ip(true, 17, &build::udp(port, 9, b"x"));
    }
    bench.engine.ease(true, 1);
    for port in 1..200 {
        bench.ip(true, 17, &build::udp(port, 9, b"x"));
    }
    let flows = bench.rows("flows");
    let rate = |wanted: &str| flows.iter().filter(|row| field(row, "flow_sampling_rate") == wanted).count();
    assert!((30..110).contains(&rate("3")), "{}", rate("3"));
    assert_eq!(rate("1"), 199, "all packets after the change, and none before it");
}

#[test]
fn without_details_there_is_the_protocol_but_no_hello() {
    const HELLO: &[u8] = &[22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3];
    let mut bench = Bench::new();
    bench.tcp(true, 1, HELLO);
    bench.engine.ease(false, 1);
    assert_eq!(bench.engine.counters()["rows/tls"], 1, "what was begun is written");
    bench.ip(true, 6, &build::tcp(40_001, 443, 0x18, &[], HELLO));
    bench.udp(true, QUESTION);
    bench.udp(false, ANSWER);
    let flows = bench.rows("flows");
    let mut spoken: Vec<_> = flows.iter().map(|row| field(row, "network_protocol")).collect();
    spoken.sort_unstable();
    assert_eq!(spoken, ["dns", "tls", "tls"]);
    assert_eq!((bench.rows("tls").len(), bench.rows("dns").len()), (1, 1));
}

#[test]
fn messages_with_faults_are_counted() {
    let mut bench = Bench::new();
    bench.udp(true, &[QUESTION, b"trailing"].concat());
    assert_eq!(field(&bench.rows("dns")[0], "dns_oddities"), "trailing");
    assert_eq!(bench.engine.counters()["rows_odd/dns"], 1);
}

#[test]
fn a_question_without_answer_is_written_after_a_while() {
    let mut bench = Bench::new();
    bench.udp(true, QUESTION);
    bench.engine.advance(bench.time + 10_000_000);
    assert_eq!(bench.engine.counters()["rows/dns"], 0);
    bench.engine.advance(bench.time + 10_000_001);
    assert_eq!(bench.engine.counters()["rows/dns"], 1);
    bench.udp(false, ANSWER);
    let rows = bench.rows("dns");
    let seen: Vec<_> = rows.iter().map(|row| (field(row, "dns_response_code"), field(row, "dns_latency"))).collect();
    assert_eq!(seen, [("", "0"), ("NOERROR", "0")], "the late answer stands alone");
}

#[test]
fn an_answer_to_something_else_does_not_take_the_question() {
    let mut bench = Bench::new();
    bench.udp(true, QUESTION);
    let mut guess = ANSWER.to_vec();
    guess[13..20].copy_from_slice(b"evil-ex");
    bench.udp(false, &guess);
    bench.udp(false, ANSWER);
    let rows = bench.rows("dns");
    let seen: Vec<_> = rows.iter().map(|row| (field(row, "dns_question_name"), field(row, "dns_latency"))).collect();
    assert_eq!(seen, [("evil-ex.org", "0"), ("example.org", "2000")]);
}

#[test]
fn a_question_asked_again_is_two_transactions() {
    let mut bench = Bench::new();
    bench.udp(true, QUESTION);
    bench.udp(true, QUESTION);
    bench.udp(false, ANSWER);
    let rows = bench.rows("dns");
    assert_eq!(rows.iter().map(|row| field(row, "dns_latency")).collect::<Vec<_>>(), ["0", "1000"]);
}

#[test]
fn dns_over_tcp_is_read_message_by_message() {
    let mut bench = Bench::new();
    let framed = |message: &[u8]| [&(message.len() as u16).to_be_bytes(), message].concat();
    let mut second = QUESTION.to_vec();
    second[1] = 0x35;
    bench.tcp(true, 1, &[framed(QUESTION), framed(&second)].concat());
    bench.tcp(false, 1, &framed(ANSWER));
    bench.tcp(true, 200, &framed(&second)[..20]);
    let rows = bench.rows("dns");
    assert_eq!(rows.iter().map(|row| field(row, "dns_latency")).collect::<Vec<_>>(), ["1000", "0"]);
    assert_eq!(bench.engine.counters()["dns_split"], 1);
    assert_eq!(field(&bench.rows("flows")[0], "network_protocol"), "dns");
}

/// A ClientHello of TLS 1.2 with SNI and much padding.
fn client_hello(padding: usize) -> Vec<u8> {
    let name = b"Portal.Example.org";
    let mut extensions = vec![0, 0, 0, name.len() as u8 + 5, 0, name.len() as u8 + 3, 0, 0, name.len() as u8];
    extensions.extend(name);
    extensions.extend([0, 21]);
    extensions.extend((padding as u16).to_be_bytes());
    extensions.extend(vec![0; padding]);
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0xc0, 0x2f, 1, 0]);
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    let mut record = vec![22, 3, 1];
    record.extend((body.len() as u16 + 4).to_be_bytes());
    record.extend([1, 0]);
    record.extend((body.len() as u16).to_be_bytes());
    record.extend(body);
    record
}

#[test]
fn a_hello_in_several_segments_is_one_row() {
    let hello = client_hello(2000);
    let mut bench = Bench::new();
    bench.tcp(true, 1, &hello[..1000]);
    bench.tcp(false, 1, b"");
    bench.tcp(true, 1, &hello[..1000]); // sent again
    bench.tcp(true, 1001, &hello[1000..1500]);
    bench.tcp(true, 1501, &hello[1500..]);
    bench.tcp(true, 1 + hello.len() as u32, b"more");
    let rows = bench.rows("tls");
    assert_eq!(rows.len(), 1, "{rows:#?}");
    assert_eq!(field(&rows[0], "tls_client_server_name"), "portal.example.org");
    assert_eq!((field(&rows[0], "tls_version"), field(&rows[0], "tls_oddities")), ("1.2", ""));
    assert_eq!(field(&rows[0], "event_time"), "2025-11-23T02:11:03.001000Z", "the time of its first segment");
    assert_eq!(field(&bench.rows("flows")[0], "network_protocol"), "tls");
}

#[test]
fn a_hello_that_is_not_whole_says_so() {
    let hello = client_hello(2000);
    for rest in [None, Some(3000)] {
        let mut bench = Bench::new();
        bench.tcp(true, 1, &hello[..1000]);
        if let Some(sequence) = rest {
            bench.tcp(true, sequence, &hello[1500..]);
        }
        bench.engine.advance(bench.time + 11_000_000);
        let counters = bench.engine.counters();
        assert_eq!((counters["rows/tls"], counters["rows_odd/tls"]), (1, 1), "it is not waited for longer");
        let rows = bench.rows("tls");
        assert_eq!(field(&rows[0], "tls_client_server_name"), "portal.example.org");
        assert!(field(&rows[0], "tls_oddities").contains("truncated"));
    }
}

#[test]
fn a_second_hello_after_a_retry_request_is_a_second_row() {
    let hello = client_hello(100);
    let mut bench = Bench::new();
    bench.tcp(true, 1, &hello);
    bench.tcp(false, 1, b"\x16\x03\x03\x00\x04\x02\x00\x00\x00");
    bench.tcp(true, 1 + hello.len() as u32, &hello);
    assert_eq!(bench.rows("tls").len(), 2);
}

#[test]
fn what_waits_is_bounded_and_what_has_to_go_is_written() {
    let mut bench = Bench::new();
    let hello = client_hello(300);
    for port in 0..1030u16 {
        let segment = build::tcp(port, 443, 0x18, &[], &hello[..150]);
        bench.ip(true, 6, &segment);
    }
    for number in 0..=u16::MAX {
        let question = [&number.to_be_bytes(), &QUESTION[2..]].concat();
        bench.time -= 1000; // all at the same time
        bench.udp(true, &question);
    }
    bench.ip(true, 17, &build::udp(40_001, 53, QUESTION));
    let counters = bench.engine.counters();
    assert_eq!((counters["tls_crowded_out"], counters["rows/tls"]), (6, 6));
    assert_eq!((counters["dns_crowded_out"], counters["rows/dns"]), (1, 1));
    bench.engine.close();
    let counters = bench.engine.counters();
    assert_eq!((counters["rows/tls"], counters["rows/dns"]), (1030, 65_537));
}

#[test]
fn content_names_the_protocol_of_a_flow() {
    for (payload, protocol) in
        [(b"SSH-2.0-OpenSSH_9.2\r\n".as_slice(), "ssh"), (b"GET / HTTP/1.1\r\n\r\n", "http"), (b"220 ready\r\n", "")]
    {
        let mut bench = Bench::new();
        bench.tcp(true, 1, payload);
        assert_eq!(field(&bench.rows("flows")[0], "network_protocol"), protocol);
    }
}

#[test]
fn what_cannot_be_decoded_has_a_cause() {
    let mut bench = Bench::new();
    bench.engine.frame(&frame(0, &[1, 2, 3]));
    bench.engine.frame(&frame(0, &build::ethernet(&[], 0x0806, &[0; 28])));
    let counters = bench.engine.counters();
    assert_eq!((counters["packets"], counters["bytes"], counters["flows"]), (2, 45, 0));
    assert_eq!((counters["undecoded/truncated_ethernet"], counters["undecoded/not_ip"]), (1, 1));
}

fn frames() -> impl Strategy<Value = Vec<(i64, Vec<u8>)>> {
    let body = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..80),
        Just(build::udp(40_000, 53, QUESTION)),
        Just(build::udp(53, 40_000, ANSWER)),
        (0u8..64, 0usize..400).prop_map(|(flags, cut)| build::tcp(
            40_000,
            443,
            flags,
            &[],
            client_hello(300).get(cut..).unwrap_or_default()
        )),
    ];
    let protocol = prop_oneof![Just(1u8), Just(6), Just(17), any::<u8>()];
    let packet = (body, protocol, any::<bool>(), prop_oneof![4 => Just(0u16), 1 => any::<u16>()]);
    let framed = packet.prop_map(|(body, protocol, from_client, place)| {
        let (source, destination) = if from_client { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
        build::ethernet(&[], 0x0800, &build::ipv4(source, destination, protocol, place, &[], &body))
    });
    let any_frame = prop_oneof![5 => framed, 1 => prop::collection::vec(any::<u8>(), 0..100)];
    prop::collection::vec((-2_000_000i64..40_000_000, any_frame), 0..120).prop_map(|steps| {
        let mut time = 1_763_863_863_000_000;
        steps.into_iter().map(|(step, frame)| (time += step, (time, frame)).1).collect()
    })
}

/// Rows by table, and the packets that flow rows count.
fn totals(batches: &[Sealed]) -> (std::collections::BTreeMap<&'static str, u32>, u64) {
    let mut rows = std::collections::BTreeMap::new();
    let mut packets = 0;
    for sealed in batches {
        *rows.entry(sealed.table).or_default() += sealed.rows;
        if sealed.table == "flows" {
            let batch = open(sealed).unwrap();
            for name in ["source_packets", "destination_packets"] {
                packets +=
                    batch.column_by_name(name).unwrap().as_primitive::<UInt64Type>().values().iter().sum::<u64>();
            }
        }
    }
    (rows, packets)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_frame_is_in_one_flow_row_or_one_counter(frames in frames(), batch_rows in 1usize..20, steps in 1usize..20) {
        let run = |batch_rows: usize, steps: usize| {
            let mut engine = Engine::new(Config { batch_rows, ..Config::default() });
            let mut batches = Vec::new();
            for part in frames.chunks(steps) {
                for (time, data) in part {
                    engine.frame(&frame(*time, data));
                }
                batches.extend(engine.full_batches());
            }
            batches.extend(engine.close());
            (totals(&batches), engine.counters())
        };
        let ((rows, packets), counters) = run(batch_rows, steps);
        let undecoded: u64 =
            counters.iter().filter(|(name, _)| name.starts_with("undecoded/")).map(|(_, count)| count).sum();
        prop_assert_eq!(packets + undecoded, frames.len() as u64);
        prop_assert_eq!(counters["packets"], frames.len() as u64);
        for table in ["flows", "dns", "tls"] {
            prop_assert_eq!(counters[&format!("rows/{table}")], u64::from(rows.get(table).copied().unwrap_or(0)));
        }
        prop_assert_eq!(run(10_000, 1000), ((rows, packets), counters), "where batches are cut changes nothing");
    }
}
