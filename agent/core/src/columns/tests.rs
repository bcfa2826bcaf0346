use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, UInt32Type};

use super::dynamic::{NamedBuilder, Value};
use super::json::to_json_lines;
use super::*;
use crate::schema::{self, DnsRow, FlowsRow};

fn dns<'a>(name: &'a str, kind: &'a str, answers: &'a [String], ttl: &'a [u32], time: i64) -> DnsRow<'a> {
    DnsRow {
        event_time: time,
        dns_question_name: name,
        dns_question_type: kind,
        dns_answers_data: answers,
        dns_answers_ttl: ttl,
        ..DnsRow::default()
    }
}

#[test]
fn rows_come_back_as_they_went_in() {
    let mut builder = TableBuilder::new(&schema::DNS);
    let answers = ["192.0.2.1".to_owned(), "192.0.2.2".to_owned()];
    dns("example.org", "A", &answers, &[300, 60], 20).push(&mut builder);
    dns("", "TXT", &[], &[], 10).push(&mut builder);
    dns("tre.example", "A", &answers[1..], &[7], 30).push(&mut builder);
    assert_eq!(builder.rows(), 3);
    let sealed = builder.seal().unwrap();
    assert_eq!((sealed.table, sealed.rows, sealed.first_event, sealed.last_event), ("dns", 3, 10, 30));
    let batch = open(&sealed).unwrap();
    let names = batch.column_by_name("dns_question_name").unwrap().as_string::<i32>();
    assert_eq!(names.iter().map(Option::unwrap).collect::<Vec<_>>(), ["example.org", "", "tre.example"]);
    let kinds = batch.column_by_name("dns_question_type").unwrap().as_dictionary::<Int32Type>();
    assert_eq!(kinds.values().len(), 2, "a value that comes back is not stored again");
    assert_eq!(kinds.keys().values(), &[0, 1, 0]);
    let ttl = batch.column_by_name("dns_answers_ttl").unwrap().as_list::<i32>();
    assert_eq!(ttl.value(0).as_primitive::<UInt32Type>().values(), &[300, 60]);
    assert_eq!((ttl.value(1).len(), ttl.value(2).len()), (0, 1));
}

#[test]
fn a_builder_starts_anew_after_each_seal() {
    let mut builder = TableBuilder::new(&schema::DNS);
    assert!(builder.seal().is_none());
    for round in 0..3 {
        let name = format!("round-{round}");
        dns("x", &name, &[], &[], round).push(&mut builder);
        let sealed = builder.seal().unwrap();
        assert_eq!((sealed.rows, sealed.first_event, sealed.last_event), (1, round, round));
        let batch = open(&sealed).unwrap();
        let kinds = batch.column_by_name("dns_question_type").unwrap().as_dictionary::<Int32Type>();
        assert_eq!(kinds.values().as_string::<i32>().value(0), name);
        assert_eq!(kinds.values().len(), 1);
    }
    assert!(builder.seal().is_none());
}

#[test]
fn text_fills_a_builder_before_rows_do() {
    let mut builder = TableBuilder::new(&schema::DNS);
    let long = "x".repeat(1 << 20);
    for row in 0..16 {
        assert!(!builder.is_full(1000), "after {row} rows");
        dns(&long, "A", &[], &[], 0).push(&mut builder);
    }
    assert!(builder.is_full(1000));
    builder.seal().unwrap();
    assert!(!builder.is_full(1000));
    dns("", "A", &[], &[], 0).push(&mut builder);
    assert!(builder.is_full(1));
}

#[test]
fn every_table_prints_every_column_in_order() {
    for table in schema::TABLES {
        let mut named = NamedBuilder::new(table);
        named.append([]).unwrap();
        let sealed = named.builder.seal().unwrap();
        let text = String::from_utf8(to_json_lines(&sealed, 41).unwrap()).unwrap();
        let mut rest = text.strip_prefix(&format!("{{\"table\":\"{}\"", table.name)).unwrap();
        for column in table.columns {
            let at = rest.find(&format!(",\"{}\":", column.name));
            rest = &rest[at.unwrap_or_else(|| panic!("{} in {rest}", column.name)) + 1..];
        }
        assert!(text.contains("\"sequence\":41,\"agent_time\":\"1970-01-01T00:00:00.000000Z\""), "{text}");
    }
}

#[test]
fn values_print_in_their_stable_forms() {
    let mut builder = TableBuilder::new(&schema::FLOWS);
    let mapped = |last| [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 0, last];
    let row = FlowsRow {
        flow_id: u64::MAX,
        flow_start: 1_709_164_800_000_001, // 2024-02-29, a leap day
        flow_end: 1_709_164_800_040_045,
        source_ip: mapped(7),
        destination_ip: [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        process_command_line: "sh -c \"echo 'tre\\\t\u{1}'\"\nđêm \u{1F33F}",
        ..FlowsRow::default()
    };
    row.push(&mut builder);
    row.push(&mut builder);
    let text = String::from_utf8(to_json_lines(&builder.seal().unwrap(), 7).unwrap()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2);
    for part in [
        "\"flow_id\":18446744073709551615,",
        "\"flow_start\":\"2024-02-29T00:00:00.000001Z\",\"flow_end\":\"2024-02-29T00:00:00.040045Z\",\"flow_duration\":40044,",
        "\"source_ip\":\"10.1.0.7\",",
        "\"destination_ip\":\"2001:db8::1\",",
        "\"process_command_line\":\"sh -c \\\"echo 'tre\\\\\\t\\u0001'\\\"\\nđêm \u{1F33F}\",",
    ] {
        assert!(lines[0].contains(part), "{part} in {}", lines[0]);
    }
    assert!(lines[0].contains("\"sequence\":7,") && lines[1].contains("\"sequence\":8,"));
}

#[test]
fn a_refused_value_adds_nothing() {
    let mut named = NamedBuilder::new(&schema::AGENT_HEALTH);
    let (value, _) = named.kind("value").unwrap();
    let (label, _) = named.kind("label").unwrap();
    let refusal = named.append([(label, Value::Text("eth0".into())), (value, Value::Integer(-1))]).unwrap_err();
    assert_eq!(refusal.0, "table agent_health: column value: -1 is out of range, 0 to 18446744073709551615");
    let refusal = named.append([(label, Value::Integer(1))]).unwrap_err();
    assert_eq!(refusal.0, "table agent_health: column label: wants a string");
    assert_eq!(named.builder.rows(), 0);
    named.append([(value, Value::Integer(5))]).unwrap();
    let text = String::from_utf8(to_json_lines(&named.builder.seal().unwrap(), 0).unwrap()).unwrap();
    assert!(text.contains("\"label\":\"\",\"value\":5,"), "the refused row left nothing behind: {text}");
}

#[test]
fn columns_that_rows_may_not_give_are_refused_by_name() {
    let named = NamedBuilder::new(&schema::FLOWS);
    for (name, reason) in [
        ("flow_duration", "table flows: column flow_duration is computed by SQL, not given"),
        ("agent_id", "table flows: column agent_id is made by the collector, not given"),
        ("flow_idd", "table flows: there is no column flow_idd"),
    ] {
        assert_eq!(named.kind(name).unwrap_err().0, reason);
    }
}

#[test]
fn a_body_that_is_damaged_is_an_error() {
    let mut builder = TableBuilder::new(&schema::DNS);
    dns("example.org", "A", &[], &[], 1).push(&mut builder);
    let mut sealed = builder.seal().unwrap();
    let body = sealed.body.clone();
    sealed.table = "flows";
    assert!(to_json_lines(&sealed, 0).unwrap_err().to_string().contains("not those of the schema"));
    sealed.table = "dns";
    for cut in 0..body.len() {
        sealed.body.truncate(0);
        sealed.body.extend_from_slice(&body[..cut]);
        assert!(to_json_lines(&sealed, 0).is_err(), "cut at {cut}");
    }
}
