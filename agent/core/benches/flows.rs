//! Decoding and the flow table, beside the floor of any such engine: a hash table of the five-tuples.

use std::collections::HashMap;
use std::hint::black_box;

use _core::capture::{Frame, LinkType};
use _core::engine::{Config, Engine};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const FLOWS: u32 = 10_000;
const PACKETS: u32 = 200_000;

/// Frames of TCP connections in turns: SYN, SYN-ACK, ACK, data from both sides, FIN from both.
fn capture() -> Vec<(i64, Vec<u8>)> {
    (0..PACKETS)
        .map(|number| {
            // Connections overlap: 500 at a time.
            let group = number / (500 * 20);
            let (step, flow) = (number % (500 * 20) / 500, group * 500 + number % 500);
            let (flags, payload) = match step {
                0 => (2, 0),
                1 => (18, 0),
                2 => (16, 0),
                18 | 19 => (17, 0),
                _ => (24, if step % 3 == 0 { 1400 } else { 200 }),
            };
            (1_700_000_000_000_000 + i64::from(number) * 50, frame(flow % FLOWS, step % 2 == 0, flags, step, payload))
        })
        .collect()
}

fn frame(flow: u32, from_client: bool, flags: u8, step: u32, payload: usize) -> Vec<u8> {
    let mut frame = vec![0; 14 + 40 + payload];
    frame[12..14].copy_from_slice(&[8, 0]);
    let (ip, tcp) = frame[14..].split_at_mut(20);
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&(40 + payload as u16).to_be_bytes());
    (ip[8], ip[9]) = (64, 6);
    let (client, server) = ([10, 1, (flow >> 8) as u8, flow as u8], [10, 2, 0, 1]);
    let (source, destination) = if from_client { (client, server) } else { (server, client) };
    ip[12..16].copy_from_slice(&source);
    ip[16..20].copy_from_slice(&destination);
    let (client, server) = (40_000 + (flow % 20_000) as u16, 443u16);
    let (source, destination) = if from_client { (client, server) } else { (server, client) };
    tcp[0..2].copy_from_slice(&source.to_be_bytes());
    tcp[2..4].copy_from_slice(&destination.to_be_bytes());
    tcp[4..8].copy_from_slice(&(step * 1500).to_be_bytes());
    (tcp[12], tcp[13]) = (0x50, flags);
    tcp[14..16].copy_from_slice(&u16::MAX.to_be_bytes());
    frame
}

/// What no engine can do without: find the five-tuple, count packets and bytes.
fn count_tuples(frames: &[(i64, Vec<u8>)]) -> usize {
    let mut counts: HashMap<[u8; 13], (u64, u64), foldhash::fast::RandomState> = HashMap::default();
    for (_, frame) in frames {
        let (Some(addresses), Some(ports)) = (frame.get(26..34), frame.get(34..38)) else { continue };
        let mut tuple = [0; 13];
        tuple[0] = frame[23];
        tuple[1..9].copy_from_slice(addresses);
        tuple[9..13].copy_from_slice(ports);
        let count = counts.entry(tuple).or_default();
        count.0 += 1;
        count.1 += frame.len() as u64;
    }
    counts.len()
}

fn count_flows(frames: &[(i64, Vec<u8>)]) -> usize {
    let mut engine = Engine::new(Config { batch_rows: 10_000, ..Config::default() });
    for (time, data) in frames {
        let wire_len = data.len() as u32;
        engine.frame(&Frame { time: *time, link: LinkType::Ethernet, data, wire_len, vlan: 0 });
    }
    engine.close().len()
}

fn benches(criterion: &mut Criterion) {
    let frames = capture();
    let mut group = criterion.benchmark_group("packets");
    group.throughput(Throughput::Elements(u64::from(PACKETS))).sample_size(10);
    group.bench_function("floor: five-tuples", |bench| bench.iter(|| black_box(count_tuples(&frames))));
    group.bench_function("engine: frames to batches", |bench| {
        bench.iter_batched(|| (), |()| black_box(count_flows(&frames)), BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
