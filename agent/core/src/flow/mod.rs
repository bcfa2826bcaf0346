//! Packets to bidirectional flows.
//!
//! A flow is what two endpoints say to each other: addresses, ports, protocol and VLAN, in both directions. The originator
//! is who sent the first packet; if that packet is a SYN-ACK, its sender is the responder and the history begins with
//! `^`, as Zeek has it.
//!
//! **Rows.** A flow is cut into one row when it ends, and every active timeout while it lives. The counters of a row (packets,
//! bytes, payload bytes) cover what came since the flow's last row; `flow_start`, flags, state, history and handshake time
//! are the flow's so far. So `SUM` over the rows of one `flow_id` is the truth, and exactly one row of each flow has a
//! `flow_end_reason` other than `active`.
//!
//! **Time** is the packets' own, advanced by the clock when there are none. Timeouts are exact: a packet that comes after
//! the timeout begins a new flow, however late the table looked. A capture whose time goes back by more than the
//! inactive timeout (files put together) ends all flows with reason `stop` and goes on from there.
//!
//! **Bounds.** The table holds at most `max_flows`. When it is full, a flow that was not active lately is cut with reason
//! `evicted`. Hashes are keyed per process, so nobody outside can choose tuples that collide.
//!
//! **Sampling.** When [`FlowTable::sample`] was told so, only some flows are looked at, each whole. A row belongs to one rate: when
//! the rate changes, all parts are cut; flows that are left out from then on end with reason `sampled`.
//!
//! **Fragments.** A later fragment is counted to the flow of its first fragment if that came before it; otherwise to a flow
//! of its addresses without ports, and counted in `fragments_unmatched`.

mod fragments;
mod history;
mod icmp;
mod key;
mod record;
mod sampling;
mod table;
mod tcp;
#[cfg(test)]
mod tests;
mod wheel;

pub use key::salt;
pub use record::{Flow, Reason, Side};
pub use sampling::Sampling;
pub use table::{Counters, FlowTable, Place};

/// How flows are cut. Times in microseconds.
#[derive(Clone, Debug)]
pub struct Config {
    /// A flow without packets for longer than this has ended.
    pub inactive_timeout: i64,
    /// A flow that lives longer than this gets a row every so often.
    pub active_timeout: i64,
    /// A connection that was closed or reset waits so long for trailing packets.
    pub linger: i64,
    pub max_flows: usize,
    /// Mixed into `flow_id`, so that the same packet seen at two interfaces makes two flows. 0 for files, whose
    /// identifiers are the same in every run.
    pub salt: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            inactive_timeout: 60_000_000,
            active_timeout: 300_000_000,
            linger: 5_000_000,
            max_flows: 65_536,
            salt: 0,
        }
    }
}
