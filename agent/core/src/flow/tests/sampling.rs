//! Flows that are left out, and what becomes of those that were looked at before.

use std::collections::BTreeMap;

use super::super::{Config, Flow, FlowTable, Reason, Sampling};
use super::{Row, run, script::script, udp};
use crate::decode::Packet;

/// Both directions of 400 conversations, one after the other in each round.
fn rounds(count: i64) -> Vec<Packet<'static>> {
    let mut packets = Vec::new();
    for round in 0..count {
        for port in 1..=400 {
            let time = round * 1_000_000 + i64::from(port);
            packets.push(udp(time, (1, port), (2, 53), 10));
            packets.push(udp(time + 500, (2, 53), (1, port), 20));
        }
    }
    packets
}

fn sample(table: &mut FlowTable, one_in: u32) -> Vec<Row> {
    let mut rows = Vec::new();
    table.sample(Sampling::new(one_in), &mut |flow: &Flow, reason| rows.push(Row::of(flow, reason)));
    rows
}

#[test]
fn a_flow_is_looked_at_whole_or_not_at_all() {
    let mut table = FlowTable::new(Config::default());
    assert!(sample(&mut table, 8).is_empty());
    let rows = run(&mut table, &rounds(5), true);
    assert!((15..110).contains(&rows.len()), "{}", rows.len());
    assert!(rows.iter().all(|row| row.packets == [5, 5]), "{rows:#?}");
}

#[test]
fn flows_that_are_left_out_from_now_on_say_so_and_the_others_go_on() {
    let mut table = FlowTable::new(Config::default());
    let mut rows = run(&mut table, &rounds(1), false);
    assert!(rows.is_empty());
    rows.extend(sample(&mut table, 4));
    assert_eq!(rows.len(), 400, "every row belongs to one rate");
    let left_out: Vec<u64> = rows.iter().filter(|row| row.reason == Reason::Sampled).map(|row| row.id).collect();
    assert!((220..380).contains(&left_out.len()), "{}", left_out.len());
    assert!(rows.iter().all(|row| row.packets == [1, 1] && matches!(row.reason, Reason::Sampled | Reason::Active)));
    assert_eq!(table.len(), 400 - left_out.len());
    let later: Vec<Packet<'_>> = rounds(3).into_iter().filter(|packet| packet.time >= 1_000_000).collect();
    let mut rest = run(&mut table, &later, false);
    rest.extend(sample(&mut table, 0));
    assert!(table.is_empty(), "none at all");
    assert_eq!(rest.len(), 400 - left_out.len());
    assert!(rest.iter().all(|row| row.packets == [2, 2] && !left_out.contains(&row.id)));
    assert!(run(&mut table, &later, true).is_empty());
    // All again: every conversation begins anew.
    sample(&mut table, 1);
    assert_eq!(run(&mut table, &later, true).len(), 400);
}

#[test]
fn a_connection_that_is_over_ends_as_it_would() {
    let mut table = FlowTable::new(Config::default());
    run(&mut table, &script(">S <SA >A >FA <FA >A"), false);
    let rows = sample(&mut table, 0);
    assert_eq!((rows[0].reason, rows[0].state), (Reason::End, "SF"));
}

#[test]
fn a_part_without_packets_makes_no_row_but_the_last() {
    let mut table = FlowTable::new(Config::default());
    run(&mut table, &rounds(1), false);
    let mut rows = sample(&mut table, 2);
    rows.extend(sample(&mut table, 1));
    rows.extend(run(&mut table, &[], true));
    let mut last = BTreeMap::<u64, u32>::new();
    for row in &rows {
        *last.entry(row.id).or_default() += u32::from(row.reason != Reason::Active);
    }
    assert_eq!(last.len(), 400);
    assert!(last.values().all(|&count| count == 1), "one last row each");
    assert_eq!(rows.iter().map(|row| row.packets[0]).sum::<u64>(), 400);
}
