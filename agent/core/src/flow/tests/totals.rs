//! Whatever the packets are: every packet is in exactly one row, and where a stream is cut changes no total.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::{Config, FlowTable};
use super::{Row, run, udp};
use crate::decode::{Packet, Tcp};

fn packets() -> impl Strategy<Value = Vec<Packet<'static>>> {
    let packet =
        (-3_000_000i64..30_000_000, 1u8..4, 1u8..4, 1u16..4, 1u16..4, 0u32..1500, any::<bool>(), any::<u8>(), 0u32..9);
    prop::collection::vec(packet, 0..300).prop_map(|steps| {
        let mut time = 1_700_000_000_000_000;
        let made = steps.into_iter().map(
            |(step, from, to, source_port, destination_port, payload, stream, flags, sequence)| {
                time += step;
                let tcp = Tcp { flags, sequence: sequence * 1000, acknowledgement: 3000, window: u16::from(flags) % 3 };
                let packet = udp(time, (from, source_port), (to, destination_port), payload);
                if stream { Packet { protocol: 6, tcp: Some(tcp), ..packet } } else { packet }
            },
        );
        made.collect()
    })
}

fn config(max_flows: usize) -> Config {
    Config { inactive_timeout: 10_000_000, active_timeout: 25_000_000, linger: 1_000_000, max_flows, salt: 0 }
}

/// Packets, bytes and payload of both sides.
type Totals = [[u64; 2]; 3];

fn by_flow(rows: &[Row]) -> BTreeMap<u64, Totals> {
    let mut totals = BTreeMap::<u64, Totals>::new();
    for row in rows {
        let total = totals.entry(row.id).or_default();
        for (total, part) in total.iter_mut().zip([row.packets, row.bytes, row.payload]) {
            total[0] += part[0];
            total[1] += part[1];
        }
    }
    totals
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_packet_is_in_exactly_one_row(packets in packets(), max_flows in 1usize..12) {
        let mut table = FlowTable::new(config(max_flows));
        let rows = run(&mut table, &packets, true);
        let count: u64 = rows.iter().map(|row| row.packets.iter().sum::<u64>()).sum();
        let bytes: u64 = rows.iter().map(|row| row.bytes.iter().sum::<u64>()).sum();
        prop_assert_eq!(count, packets.len() as u64);
        prop_assert_eq!(bytes, packets.iter().map(|packet| u64::from(packet.ip_bytes)).sum::<u64>());
        prop_assert_eq!(table.counters.cut.iter().sum::<u64>(), rows.len() as u64);
        prop_assert!(rows.iter().all(|row| row.start <= row.end));
        prop_assert!(table.is_empty());
        let last_rows = rows.iter().filter(|row| row.reason != super::Reason::Active).count() as u64;
        prop_assert_eq!(last_rows, table.counters.flows);
    }

    #[test]
    fn calls_by_the_clock_change_no_total(packets in packets(), ticks in prop::collection::vec(0usize..300, 0..20)) {
        let whole = run(&mut FlowTable::new(config(1000)), &packets, true);
        let mut table = FlowTable::new(config(1000));
        let mut rows = Vec::new();
        for (index, packet) in packets.iter().enumerate() {
            if ticks.contains(&index) {
                let latest = packets[..index].iter().map(|packet| packet.time).max().unwrap_or(packet.time);
                table.advance(latest, &mut |flow, reason| rows.push(Row::of(flow, reason)));
            }
            rows.extend(run(&mut table, std::slice::from_ref(packet), false));
        }
        rows.extend(run(&mut table, &[], true));
        prop_assert_eq!(by_flow(&whole), by_flow(&rows));
    }
}
