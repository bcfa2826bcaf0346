//! What is counted of packets whose flows are left out.

use crate::decode::Packet;

const SYN: u8 = 2;
const ACK: u8 = 16;

/// Totals by transport. Everything only grows.
#[derive(Clone, Debug, Default)]
pub struct Unsampled([Total; NAMES.len()]);

const NAMES: [&str; 4] = ["tcp", "udp", "icmp", "other"];

#[derive(Clone, Copy, Debug, Default)]
struct Total {
    packets: u64,
    bytes: u64,
    /// TCP: packets that ask for a connection.
    connections: u64,
}

impl Unsampled {
    #[inline]
    pub fn count(&mut self, packet: &Packet<'_>) {
        let total = &mut self.0[match packet.protocol {
            6 => 0,
            17 => 1,
            1 | 58 => 2,
            _ => 3,
        }];
        total.packets += 1;
        total.bytes += u64::from(packet.ip_bytes);
        total.connections += u64::from(packet.tcp.is_some_and(|tcp| tcp.flags & (SYN | ACK) == SYN));
    }

    /// By name and transport; nothing for a transport that never was left out.
    pub fn counters(&self) -> Vec<(String, u64)> {
        let mut counters = Vec::new();
        for (name, total) in NAMES.iter().zip(&self.0).filter(|(_, total)| total.packets > 0) {
            counters.push((format!("unsampled_packets/{name}"), total.packets));
            counters.push((format!("unsampled_bytes/{name}"), total.bytes));
            if total.connections > 0 {
                counters.push((format!("unsampled_connections/{name}"), total.connections));
            }
        }
        counters
    }
}
