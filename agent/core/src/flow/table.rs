//! The flow table.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::fragments::Fragments;
use super::history::History;
use super::key::{Keyed, flow_id};
use super::record::{Flow, Reason, Side};
use super::sampling::Sampling;
use super::tcp::{self, ACK, FIN, RST, SYN};
use super::wheel::{NONE, SLOTS, Wheel};
use super::{Config, tcp::is_reuse};
use crate::decode::Packet;

/// How many flows of the nearest slot are looked at for one that was not active lately.
const EVICTION_TRIES: usize = 16;

/// What the table counts. Everything only grows.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Rows cut, in the order of [`Reason::ALL`].
    pub cut: [u64; Reason::ALL.len()],
    pub flows: u64,
    pub fragments_unmatched: u64,
    pub time_went_back: u64,
}

/// Where a packet was counted.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub flow: usize,
    pub from_originator: bool,
}

/// The flows that live. Rows are handed to the `cut` function of each call; counters of the flow start anew after it.
pub struct FlowTable {
    config: Config,
    flows: Vec<Flow>,
    free: Vec<u32>,
    index: HashTable<u32>,
    keys: RandomState,
    wheel: Wheel,
    fragments: Fragments,
    sampling: Sampling,
    /// The latest time seen.
    now: i64,
    pub counters: Counters,
}

impl FlowTable {
    pub fn new(config: Config) -> Self {
        Self {
            config,
            flows: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            keys: RandomState::default(),
            wheel: Wheel::new(),
            fragments: Fragments::new(),
            sampling: Sampling::ALL,
            now: i64::MIN,
            counters: Counters::default(),
        }
    }

    /// Flows that live.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    pub fn flow_mut(&mut self, place: Place) -> &mut Flow {
        &mut self.flows[place.flow]
    }

    /// Counts a packet to its flow; `None` if the flow is left out.
    #[inline]
    pub fn packet(&mut self, packet: &Packet<'_>, cut: &mut impl FnMut(&Flow, Reason)) -> Option<Place> {
        if packet.time > self.now || packet.time < self.now.saturating_sub(self.config.inactive_timeout) {
            self.advance(packet.time, cut);
        }
        let ports = self.fragments.ports(packet);
        self.counters.fragments_unmatched += u64::from(ports.is_none());
        let keyed = Keyed::of(packet, ports);
        let hash = self.keys.hash_one(keyed.key);
        if !self.sampling.takes(hash) {
            return None;
        }
        let flows = &self.flows;
        let found = self.index.find(hash, |&index| flows[index as usize].key == keyed.key).copied();
        let index = match found.filter(|&index| self.goes_on(index, &keyed, packet, cut)) {
            Some(index) => index as usize,
            None => self.begin(&keyed, hash, packet, cut),
        };
        let from_originator = self.count(index, keyed.first, packet);
        Some(Place { flow: index, from_originator })
    }

    /// Whether the packet belongs to the flow found for it; if not, the flow is cut and gone. A part that is over is cut.
    #[inline]
    fn goes_on(&mut self, index: u32, keyed: &Keyed, packet: &Packet<'_>, cut: &mut impl FnMut(&Flow, Reason)) -> bool {
        let flow = &mut self.flows[index as usize];
        let late = packet.time > deadline(flow, &self.config);
        if late || (flow.ended && packet.tcp.is_some_and(|tcp| is_reuse(flow, keyed.first == flow.first, &tcp))) {
            self.end(index, None, cut);
            return false;
        }
        if packet.time.saturating_sub(flow.part_start) >= self.config.active_timeout {
            self.counters.cut[Reason::Active as usize] += 1;
            cut(flow, Reason::Active);
            flow.start_part(packet.time);
        }
        true
    }

    /// A new flow, with the packet's sender as the originator unless it answers.
    fn begin(&mut self, keyed: &Keyed, hash: u64, packet: &Packet<'_>, cut: &mut impl FnMut(&Flow, Reason)) -> usize {
        while self.index.len() >= self.config.max_flows.max(1) {
            self.evict(cut);
        }
        let flow = new_flow(keyed, packet, self.config.salt);
        let deadline = deadline(&flow, &self.config);
        let index = match self.free.pop() {
            Some(index) => {
                self.flows[index as usize] = flow;
                index
            }
            None => {
                self.flows.push(flow);
                (self.flows.len() - 1) as u32
            }
        };
        let (keys, flows) = (&self.keys, &self.flows);
        self.index.insert_unique(hash, index, |&other| keys.hash_one(flows[other as usize].key));
        let slot = self.wheel.place(deadline);
        self.wheel.link(&mut self.flows, index, slot);
        self.counters.flows += 1;
        index as usize
    }

    /// Adds the packet to its flow; returns whether the originator sent it.
    #[inline]
    fn count(&mut self, index: usize, sender_first: bool, packet: &Packet<'_>) -> bool {
        let flow = &mut self.flows[index];
        let from_originator = sender_first == flow.first;
        flow.last = flow.last.max(packet.time);
        let side = &mut flow.sides[usize::from(!from_originator)];
        side.packets += 1;
        side.bytes += u64::from(packet.ip_bytes);
        side.payload += u64::from(packet.payload_bytes);
        if let Some(tcp) = &packet.tcp {
            side.flags |= tcp.flags;
            let was_ended = flow.ended;
            tcp::update(flow, from_originator, tcp, packet.payload_bytes, packet.time);
            if flow.ended && !was_ended {
                // Due earlier than the wheel has it.
                let due = deadline(flow, &self.config);
                self.wheel.unlink(&mut self.flows, index as u32);
                let slot = self.wheel.place(due);
                self.wheel.link(&mut self.flows, index as u32, slot);
            }
        } else if packet.protocol == 17 {
            tcp::datagram(flow, from_originator);
        }
        from_originator
    }

    /// Moves the time on and cuts the flows that are over. Also to be called by the clock, when there are no packets.
    pub fn advance(&mut self, now: i64, cut: &mut impl FnMut(&Flow, Reason)) {
        if now < self.now {
            if now < self.now.saturating_sub(self.config.inactive_timeout) {
                self.counters.time_went_back += 1;
                self.close(cut);
                self.now = now;
                self.wheel.tick = Wheel::tick_of(now);
            }
            return;
        }
        self.now = now;
        let tick = Wheel::tick_of(now);
        if tick <= self.wheel.tick {
            return;
        }
        let behind = tick.saturating_sub(self.wheel.tick);
        if self.index.is_empty() || behind > SLOTS as i64 {
            // One turn looks at every flow.
            self.wheel.tick = if self.index.is_empty() { tick } else { tick - SLOTS as i64 };
        }
        while self.wheel.tick < tick {
            self.wheel.tick += 1;
            self.look(Wheel::slot_of(self.wheel.tick), cut);
        }
    }

    /// Cuts the flows of a slot that are over and puts the others where they are due now.
    fn look(&mut self, slot: usize, cut: &mut impl FnMut(&Flow, Reason)) {
        let mut index = self.wheel.head(slot);
        while index != NONE {
            let flow = &self.flows[index as usize];
            let (next, due) = (flow.next, deadline(flow, &self.config));
            if self.now > due {
                self.end(index, None, cut);
            } else {
                self.wheel.unlink(&mut self.flows, index);
                let slot = self.wheel.place(due);
                self.wheel.link(&mut self.flows, index, slot);
            }
            index = next;
        }
    }

    /// Makes room by cutting a flow that was not active lately: from the slot that is due next, the first that did not become
    /// due later, or after a few tries the last one looked at.
    fn evict(&mut self, cut: &mut impl FnMut(&Flow, Reason)) {
        for attempt in 1.. {
            let Some(slot) = self.wheel.nearest() else { return };
            let index = self.wheel.head(slot);
            let due = self.wheel.place(deadline(&self.flows[index as usize], &self.config));
            if due == slot || attempt >= EVICTION_TRIES {
                self.end(index, Some(Reason::Evicted), cut);
                return;
            }
            self.wheel.unlink(&mut self.flows, index);
            self.wheel.link(&mut self.flows, index, due);
        }
    }

    /// From now on looks at these flows. All rows so far are cut, so that each belongs to one rate.
    pub fn sample(&mut self, sampling: Sampling, cut: &mut impl FnMut(&Flow, Reason)) {
        if sampling == self.sampling {
            return;
        }
        self.sampling = sampling;
        let indexes: Vec<u32> = self.index.iter().copied().collect();
        for index in indexes {
            let flow = &mut self.flows[index as usize];
            if !sampling.takes(self.keys.hash_one(flow.key)) {
                let reason = (!flow.ended).then_some(Reason::Sampled);
                self.end(index, reason, cut);
            } else if flow.sides.iter().any(|side| side.packets > 0) {
                self.counters.cut[Reason::Active as usize] += 1;
                cut(flow, Reason::Active);
                flow.start_part(self.now);
            }
        }
    }

    /// Cuts every flow with reason `stop`.
    pub fn close(&mut self, cut: &mut impl FnMut(&Flow, Reason)) {
        while let Some(slot) = self.wheel.nearest() {
            while self.wheel.head(slot) != NONE {
                self.end(self.wheel.head(slot), Some(Reason::Stop), cut);
            }
        }
    }

    /// Cuts a flow for the last time; without a reason, the one it has by itself.
    fn end(&mut self, index: u32, reason: Option<Reason>, cut: &mut impl FnMut(&Flow, Reason)) {
        self.wheel.unlink(&mut self.flows, index);
        let flow = &self.flows[index as usize];
        let reason = reason.unwrap_or(if flow.ended { Reason::End } else { Reason::Idle });
        self.counters.cut[reason as usize] += 1;
        cut(flow, reason);
        if let Ok(entry) = self.index.find_entry(self.keys.hash_one(flow.key), |&other| other == index) {
            entry.remove();
        }
        self.free.push(index);
    }
}

/// After this time the flow is over unless a packet comes.
#[inline]
fn deadline(flow: &Flow, config: &Config) -> i64 {
    flow.last.saturating_add(if flow.ended { config.linger } else { config.inactive_timeout })
}

fn new_flow(keyed: &Keyed, packet: &Packet<'_>, salt: u64) -> Flow {
    let answers = packet.tcp.is_some_and(|tcp| tcp.flags & (SYN | ACK | RST | FIN) == SYN | ACK);
    let mut history = History::default();
    if answers {
        history.add(b'^', true);
    }
    let turned = |here, there| if answers { (there, here) } else { (here, there) };
    let (source, destination) =
        if answers { (packet.destination, packet.source) } else { (packet.source, packet.destination) };
    let (source_port, destination_port) = turned(keyed.source_port, keyed.destination_port);
    let macs = (packet.source_mac, packet.destination_mac);
    let (source_mac, destination_mac) = if answers { (macs.1, macs.0) } else { macs };
    let ports = (source_port, destination_port);
    Flow {
        key: keyed.key,
        first: keyed.first != answers,
        id: flow_id(&source, &destination, ports, packet.protocol, packet.vlan, packet.time, salt),
        source,
        destination,
        source_port,
        destination_port,
        protocol: packet.protocol,
        vlan: packet.vlan,
        source_mac,
        destination_mac,
        start: packet.time,
        last: packet.time,
        part_start: packet.time,
        sides: [Side::default(); 2],
        history,
        syn_time: packet.time,
        handshake_rtt: 0,
        ended: false,
        app: 0,
        next: NONE,
        previous: NONE,
        slot: 0,
    }
}
