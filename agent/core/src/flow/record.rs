//! One flow: its endpoints, what each side sent, and where its connection stands.

use super::history::{History, Logarithmic};
use super::key::Key;
use super::tcp::State;

/// Why a row was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No packets for the inactive timeout.
    Idle,
    /// The flow lives on; it has its active timeout behind it.
    Active,
    /// The connection was closed or reset.
    End,
    /// The end of the capture.
    Stop,
    /// The table was full.
    Evicted,
    /// From now on the flow is left out.
    Sampled,
}

impl Reason {
    pub const ALL: [Reason; 6] = [Self::Idle, Self::Active, Self::End, Self::Stop, Self::Evicted, Self::Sampled];

    /// The value of `flow_end_reason`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Active => "active",
            Self::End => "end",
            Self::Stop => "stop",
            Self::Evicted => "evicted",
            Self::Sampled => "sampled",
        }
    }
}

/// What one side sent since the flow's last row, and its half of the connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Side {
    pub packets: u64,
    /// Network layer, from the IP header.
    pub bytes: u64,
    /// Transport payload, retransmissions included.
    pub payload: u64,
    /// OR of the TCP flags, of the whole flow.
    pub flags: u8,
    pub(super) state: State,
    /// Where this side's connection stood before `state`.
    pub(super) before: State,
    /// Letters that were written.
    pub(super) letters: u8,
    /// Whether any packet of this side carried payload, in the whole flow.
    pub(super) spoke: bool,
    /// One past the highest sequence number sent.
    pub(super) next: u32,
    pub(super) last_syn: u32,
    pub(super) last_fin: u32,
    pub(super) last_reset: u32,
    pub(super) repeats: Logarithmic,
    pub(super) zero_windows: Logarithmic,
    pub(super) gaps: Logarithmic,
}

/// A flow. Side 0 is the originator.
///
/// Laid out by hand: what every packet touches is in the first cache line, each side has one of its own, and what only rows
/// need comes last.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub struct Flow {
    pub(super) key: Key,
    /// Time of the last packet so far.
    pub last: i64,
    /// When the part that the next row covers began.
    pub(super) part_start: i64,
    /// For whoever reads the payload to keep notes in; 0 at first. The flow table does not look at it.
    pub app: u32,
    pub protocol: u8,
    /// The originator is the first endpoint of the key.
    pub(super) first: bool,
    /// Closed or reset: waits for trailing packets only.
    pub(super) ended: bool,
    pub sides: [Side; 2],
    pub id: u64,
    /// Time of the first packet.
    pub start: i64,
    /// Time of the originator's last SYN.
    pub(super) syn_time: i64,
    pub source: [u8; 16],
    pub destination: [u8; 16],
    pub source_port: u16,
    pub destination_port: u16,
    pub vlan: u16,
    pub(super) slot: u16,
    pub(super) next: u32,
    pub(super) previous: u32,
    /// Microseconds from SYN to the ACK of the SYN-ACK; 0 if not seen.
    pub handshake_rtt: u32,
    pub source_mac: [u8; 6],
    pub destination_mac: [u8; 6],
    pub history: History,
}

// Five cache lines. A larger flow is a decision, not an accident.
const _: () = assert!(size_of::<Side>() == 64 && size_of::<Flow>() == 320);

impl Flow {
    /// Zeek's `conn_state` (https://docs.zeek.org/en/master/scripts/base/protocols/conn/main.zeek.html).
    pub fn connection_state(&self) -> &'static str {
        let [source, destination] = &self.sides;
        match self.protocol {
            6 if source.state != State::Inactive || destination.state != State::Inactive => self.tcp_state(),
            17 => match (source.letters != 0, destination.letters != 0) {
                (true, true) => "SF",
                (true, false) => "S0",
                (false, true) => "SHR",
                (false, false) => "OTH",
            },
            _ => "OTH",
        }
    }

    fn tcp_state(&self) -> &'static str {
        let [source, destination] = &self.sides;
        let absent = |state| matches!(state, State::Inactive | State::Partial);
        let silent = !source.spoke && !destination.spoke;
        match (source.state, destination.state) {
            (State::SynSent, State::Reset) => "REJ",
            (State::Reset, State::Reset) if silent => "REJ",
            (state, State::Reset) if absent(state) => "RSTRH",
            (_, State::Reset) => "RSTR",
            (State::Reset, state) if !absent(state) => "RSTO",
            (State::Reset, _) if self.history.is_syn_then_reset() => "RSTOS0",
            (State::Reset, _) => "OTH",
            (State::Closed, State::Closed) => "SF",
            (State::Closed, state) if absent(state) => "SH",
            (State::Closed, _) => "S2",
            (state, State::Closed) if absent(state) => "SHR",
            (_, State::Closed) => "S3",
            (State::SynSent, State::Inactive) => "S0",
            (State::Established, State::Established) => "S1",
            _ => "OTH",
        }
    }

    /// Starts the part that the next row covers.
    pub(super) fn start_part(&mut self, time: i64) {
        self.part_start = time;
        for side in &mut self.sides {
            (side.packets, side.bytes, side.payload) = (0, 0, 0);
        }
    }
}
