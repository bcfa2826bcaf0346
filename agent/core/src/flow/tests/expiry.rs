//! Ends of flows by time, by room, and by the end of the capture.

use super::super::{Config, FlowTable, Reason};
use super::script::script;
use super::{Row, run, udp};
use crate::decode::{Fragment, Packet};

const SECOND: i64 = 1_000_000;
const CLIENT: (u8, u16) = (1, 1000);
const SERVER: (u8, u16) = (2, 53);

fn advance(table: &mut FlowTable, now: i64) -> Vec<Row> {
    let mut rows = Vec::new();
    table.advance(now, &mut |flow, reason| rows.push(Row::of(flow, reason)));
    rows
}

fn reasons(rows: &[Row]) -> Vec<Reason> {
    rows.iter().map(|row| row.reason).collect()
}

#[test]
fn a_flow_is_idle_after_the_timeout_and_not_before() {
    for (gap, flows) in [(60 * SECOND, 1), (60 * SECOND + 1, 2)] {
        let packets = [udp(0, CLIENT, SERVER, 1), udp(gap, CLIENT, SERVER, 1)];
        let rows = run(&mut FlowTable::new(Config::default()), &packets, true);
        assert_eq!(rows.len(), flows, "after {gap} µs");
    }
}

#[test]
fn the_clock_ends_flows_without_packets() {
    let mut table = FlowTable::new(Config::default());
    let start = 1_700_000_000 * SECOND;
    run(&mut table, &[udp(start, CLIENT, SERVER, 1), udp(start + 30 * SECOND, CLIENT, SERVER, 1)], false);
    assert!(advance(&mut table, start + 89 * SECOND).is_empty(), "it was moved by the packet that came later");
    let rows = advance(&mut table, start + 92 * SECOND);
    assert_eq!(reasons(&rows), [Reason::Idle]);
    assert_eq!((rows[0].start, rows[0].end, rows[0].packets), (start, start + 30 * SECOND, [2, 0]));
    assert!(table.is_empty());
    assert!(advance(&mut table, start + 1000 * SECOND).is_empty());
}

#[test]
fn the_clock_may_jump_over_many_turns_of_the_wheel() {
    let config = Config { inactive_timeout: 3600 * SECOND, ..Config::default() };
    let mut table = FlowTable::new(config);
    run(&mut table, &[udp(0, CLIENT, SERVER, 1)], false);
    for hour in 0..12 {
        assert!(advance(&mut table, hour * 300 * SECOND).is_empty(), "step {hour}");
    }
    assert_eq!(reasons(&advance(&mut table, 100_000 * SECOND)), [Reason::Idle]);
}

#[test]
fn a_closed_connection_lingers_for_its_last_packets() {
    let mut table = FlowTable::new(Config::default());
    let packets = script(">S <SA >A >FA <FA >A");
    assert!(run(&mut table, &packets, false).is_empty());
    assert!(advance(&mut table, 4 * SECOND).is_empty());
    let rows = advance(&mut table, 7 * SECOND);
    assert_eq!((reasons(&rows), rows[0].packets, rows[0].state), (vec![Reason::End], [4, 2], "SF"));
}

#[test]
fn a_long_flow_is_cut_in_parts_that_add_up() {
    let mut table = FlowTable::new(Config::default());
    let packets: Vec<_> = (0..100).map(|index| udp(index * 10 * SECOND, CLIENT, SERVER, 7)).collect();
    let rows = run(&mut table, &packets, true);
    assert_eq!(reasons(&rows), [Reason::Active, Reason::Active, Reason::Active, Reason::Stop]);
    assert!(rows.iter().all(|row| row.id == rows[0].id && row.start == 0));
    assert_eq!(rows.iter().map(|row| row.packets[0]).collect::<Vec<_>>(), [30, 30, 30, 10]);
    assert_eq!(rows.iter().map(|row| row.payload[0]).sum::<u64>(), 700);
    assert_eq!(rows.iter().map(|row| row.end / SECOND).collect::<Vec<_>>(), [290, 590, 890, 990]);
    assert_eq!(table.counters.cut[Reason::Active as usize], 3);
}

#[test]
fn a_full_table_evicts_a_flow_that_was_not_active_lately() {
    let mut table = FlowTable::new(Config { max_flows: 3, ..Config::default() });
    let from = |port, second: i64| udp(second * SECOND, (1, port), SERVER, 1);
    // 1 began first but is active still; 2 is silent for longest.
    let rows = run(&mut table, &[from(1, 0), from(2, 2), from(3, 4), from(1, 6), from(4, 8)], false);
    assert_eq!(rows.iter().map(|row| (row.ports.0, row.reason)).collect::<Vec<_>>(), [(2, Reason::Evicted)]);
    assert_eq!((table.len(), table.counters.cut[Reason::Evicted as usize]), (3, 1));
}

#[test]
fn a_flood_of_flows_stays_within_bounds_and_loses_no_packet() {
    let mut table = FlowTable::new(Config { max_flows: 100, ..Config::default() });
    let packets: Vec<_> = (0..5000u32).map(|index| udp(i64::from(index), (1, index as u16), SERVER, 1)).collect();
    let rows = run(&mut table, &packets, false);
    assert_eq!((rows.len(), table.len()), (4900, 100));
    assert!(rows.is_sorted_by_key(|row| row.start), "who began first goes first");
    assert_eq!(rows.len() + run(&mut table, &[], true).len(), 5000);
}

#[test]
fn a_capture_whose_time_goes_back_starts_anew() {
    let mut table = FlowTable::new(Config::default());
    let late = 1_000_000 * SECOND;
    let packets = [udp(late, CLIENT, SERVER, 1), udp(0, CLIENT, SERVER, 1), udp(61 * SECOND, CLIENT, SERVER, 1)];
    assert_eq!(reasons(&run(&mut table, &packets, true)), [Reason::Stop, Reason::Idle, Reason::Stop]);
    assert_eq!(table.counters.time_went_back, 1);
    // Packets that were put out of order by a few milliseconds are nothing special.
    let packets = [udp(late, CLIENT, SERVER, 1), udp(late - 5000, CLIENT, SERVER, 1)];
    let rows = run(&mut FlowTable::new(Config::default()), &packets, true);
    assert_eq!((rows.len(), rows[0].start, rows[0].end), (1, late, late));
}

#[test]
fn times_at_the_ends_of_their_range_do_no_harm() {
    let mut table = FlowTable::new(Config::default());
    let packets = [i64::MIN, i64::MAX, i64::MIN, 0, i64::MAX].map(|time| udp(time, CLIENT, SERVER, 1));
    let rows = run(&mut table, &packets, true);
    assert_eq!(rows.iter().map(|row| row.packets[0]).sum::<u64>(), 5);
}

#[test]
fn later_fragments_follow_their_first_one() {
    let part = |time, offset: u16, more, identification| Packet {
        fragment: Some(Fragment { identification, offset, more }),
        later_fragment: offset > 0,
        source_port: if offset > 0 { 0 } else { CLIENT.1 },
        destination_port: if offset > 0 { 0 } else { SERVER.1 },
        ..udp(time, CLIENT, SERVER, 100)
    };
    let mut table = FlowTable::new(Config::default());
    let packets = [part(0, 0, true, 7), part(1, 100, false, 7), part(2, 100, false, 8)];
    let mut rows = run(&mut table, &packets, true);
    rows.sort_by_key(|row| row.start);
    assert_eq!(rows.iter().map(|row| (row.ports, row.packets[0])).collect::<Vec<_>>(), [((1000, 53), 2), ((0, 0), 1)]);
    assert_eq!(table.counters.fragments_unmatched, 1);
}

#[test]
fn identifiers_are_the_same_in_every_run_and_differ_by_start() {
    let run_once = |time| run(&mut FlowTable::new(Config::default()), &[udp(time, CLIENT, SERVER, 1)], true)[0].id;
    assert_eq!(run_once(5), 18_136_841_337_559_324_934);
    assert_ne!(run_once(5), run_once(6));
    let mut salted = FlowTable::new(Config { salt: 1, ..Config::default() });
    assert_ne!(run(&mut salted, &[udp(5, CLIENT, SERVER, 1)], true)[0].id, run_once(5));
}
