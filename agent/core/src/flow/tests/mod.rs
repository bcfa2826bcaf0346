mod expiry;
mod sampling;
mod script;
mod states;
mod totals;

use super::{Flow, FlowTable, Reason};
use crate::decode::Packet;

/// A row, as far as these tests look at it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub id: u64,
    pub start: i64,
    pub end: i64,
    pub state: &'static str,
    pub history: String,
    pub reason: Reason,
    pub packets: [u64; 2],
    pub bytes: [u64; 2],
    pub payload: [u64; 2],
    pub flags: [u8; 2],
    pub ports: (u16, u16),
    pub source: [u8; 16],
    pub rtt: u32,
}

impl Row {
    fn of(flow: &Flow, reason: Reason) -> Self {
        let sides = &flow.sides;
        Self {
            id: flow.id,
            start: flow.start,
            end: flow.last,
            state: flow.connection_state(),
            history: flow.history.as_str().to_owned(),
            reason,
            packets: [sides[0].packets, sides[1].packets],
            bytes: [sides[0].bytes, sides[1].bytes],
            payload: [sides[0].payload, sides[1].payload],
            flags: [sides[0].flags, sides[1].flags],
            ports: (flow.source_port, flow.destination_port),
            source: flow.source,
            rtt: flow.handshake_rtt,
        }
    }
}

/// Sends the packets through the table, cutting everything at the end if `close`.
pub fn run(table: &mut FlowTable, packets: &[Packet<'_>], close: bool) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut cut = |flow: &Flow, reason: Reason| rows.push(Row::of(flow, reason));
    for packet in packets {
        table.packet(packet, &mut cut);
    }
    if close {
        table.close(&mut cut);
    }
    rows
}

/// A UDP packet between two hosts named by their last byte.
pub fn udp(time: i64, source: (u8, u16), destination: (u8, u16), payload: u32) -> Packet<'static> {
    Packet {
        time,
        source: address(source.0),
        destination: address(destination.0),
        protocol: 17,
        source_port: source.1,
        destination_port: destination.1,
        ip_bytes: 28 + payload,
        payload_bytes: payload,
        ..Packet::default()
    }
}

pub fn address(last: u8) -> [u8; 16] {
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, last]
}
