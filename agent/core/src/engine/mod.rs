//! Frames to sealed batches: decode, count to flows, read metadata, build columns.
//!
//! The engine has no clock and does no IO. A live capture and a file differ only in who calls [`Engine::advance`]: the clock
//! or nobody.

mod apps;
mod dns;
mod ends;
mod hello;
pub mod join;
mod output;
mod protocol;
#[cfg(test)]
mod tests;
mod unsampled;
mod waiting;

use std::collections::BTreeMap;

use crate::capture::Frame;
use crate::columns::Sealed;
use crate::decode::{Undecoded, decode};
use crate::flow::{self, FlowTable, Reason, Sampling};
use apps::Apps;
use output::Output;
pub(crate) use output::transport;
use unsampled::Unsampled;

/// How often packets make the engine look for metadata that waited too long, microseconds.
const LOOK_INTERVAL: u64 = 1_000_000;

/// How the engine works.
#[derive(Clone, Debug, Default)]
pub struct Config {
    pub flow: flow::Config,
    /// Interface or file where the packets were seen.
    pub interface: String,
    /// Rows at which a batch is sealed.
    pub batch_rows: usize,
}

/// Packets in, batches out.
pub struct Engine {
    table: FlowTable,
    apps: Apps,
    output: Output,
    /// Up to when waiting metadata was looked at.
    looked: i64,
    packets: u64,
    bytes: u64,
    undecoded: Vec<u64>,
    unsampled: Unsampled,
}

impl Engine {
    pub fn new(config: Config) -> Self {
        Self {
            table: FlowTable::new(config.flow),
            apps: Apps::new(),
            looked: i64::MIN,
            output: Output::new(config.interface, config.batch_rows.max(1)),
            packets: 0,
            bytes: 0,
            undecoded: vec![0; Undecoded::ALL.len()],
            unsampled: Unsampled::default(),
        }
    }

    /// Takes one frame into account: in exactly one flow, or in exactly one counter of `undecoded` or `unsampled_packets`.
    #[inline]
    pub fn frame(&mut self, frame: &Frame<'_>) {
        self.packets += 1;
        self.bytes += u64::from(frame.wire_len);
        let Self { table, apps, output, undecoded, unsampled, .. } = self;
        match decode(frame) {
            Ok(packet) => match table.packet(&packet, &mut |flow, reason| output.flow(flow, reason)) {
                Some(place) if !packet.payload.is_empty() => {
                    apps.payload(table.flow_mut(place), place.from_originator, &packet, output);
                }
                Some(_) => {}
                None => unsampled.count(&packet),
            },
            Err(cause) => undecoded[cause as usize] += 1,
        }
        if frame.time.wrapping_sub(self.looked).unsigned_abs() >= LOOK_INTERVAL {
            self.looked = frame.time;
            self.apps.advance(frame.time, &mut self.output);
        }
    }

    /// From now on looks at one flow in `one_in` (1 all, 0 none), and with `details` at what connections say in their
    /// first messages besides DNS. The rows of what was before come with the next batches.
    pub fn ease(&mut self, details: bool, one_in: u32) {
        let Self { table, apps, output, .. } = self;
        apps.details(details, output);
        table.sample(Sampling::new(one_in), &mut |flow, reason| output.flow(flow, reason));
        output.sampling_rate = one_in;
    }

    /// From now on rows of flows say whose they are.
    pub fn join(&mut self, join: join::Join) {
        self.output.join = Some(join);
    }

    /// To be called about once a second: what is known for `join` is kept up to `now`, microseconds of UTC.
    pub fn tend(&mut self, now: i64) {
        if let Some(join) = &mut self.output.join {
            join.tend(now);
        }
    }

    /// Moves the time on when there are no packets. Microseconds since 1970-01-01 UTC.
    pub fn advance(&mut self, now: i64) {
        let Self { table, apps, output, .. } = self;
        table.advance(now, &mut |flow, reason| output.flow(flow, reason));
        apps.advance(now, output);
    }

    /// The batches that became full.
    pub fn full_batches(&mut self) -> Vec<Sealed> {
        self.output.push_waiting(false);
        std::mem::take(&mut self.output.sealed)
    }

    /// All rows so far as batches.
    pub fn all_batches(&mut self) -> Vec<Sealed> {
        self.output.seal_all();
        self.full_batches()
    }

    /// Whether rows wait for their batch to become full.
    pub fn has_rows(&self) -> bool {
        self.output.has_rows()
    }

    /// Cuts every open flow (reason `stop`) and returns the last batches.
    pub fn close(&mut self) -> Vec<Sealed> {
        let Self { table, apps, output, .. } = self;
        apps.close(output);
        table.close(&mut |flow, reason| output.flow(flow, reason));
        output.push_waiting(true);
        self.all_batches()
    }

    /// Every counter by its name; a label follows after a slash. All only grow, but `flows_open`.
    pub fn counters(&self) -> BTreeMap<String, u64> {
        let table = &self.table.counters;
        let fixed = [
            ("packets", self.packets),
            ("bytes", self.bytes),
            ("flows", table.flows),
            ("flows_open", self.table.len() as u64),
            ("flows_evicted", table.cut[Reason::Evicted as usize]),
            ("fragments_unmatched", table.fragments_unmatched),
            ("time_went_back", table.time_went_back),
        ];
        let mut counters: BTreeMap<String, u64> = fixed.map(|(name, value)| (name.to_owned(), value)).into();
        counters.extend(self.apps.counters().map(|(name, value)| (name.to_owned(), value)));
        counters.extend(self.unsampled.counters());
        for reason in Reason::ALL {
            counters.insert(format!("flows_cut/{}", reason.name()), table.cut[reason as usize]);
        }
        for (table, rows) in self.output.rows() {
            counters.insert(format!("rows/{table}"), rows);
        }
        for (table, rows) in self.output.odd_rows() {
            counters.insert(format!("rows_odd/{table}"), rows);
        }
        for cause in Undecoded::ALL.iter().filter(|&&cause| self.undecoded[cause as usize] > 0) {
            counters.insert(format!("undecoded/{}", cause.name()), self.undecoded[*cause as usize]);
        }
        counters
    }
}
