//! Payload to metadata: which protocol a flow speaks, DNS transactions, TLS hellos. Payload is looked at and let go.

use super::dns::{Dns, Seen};
use super::ends::Ends;
use super::hello::{Hellos, Outcome, Seen as SeenHello, Segment};
use super::output::Output;
use super::protocol::{Notes, Protocol};
use crate::app::{detect, dns};
use crate::decode::{Packet, Tcp};
use crate::flow::Flow;

const UDP: u8 = 17;
/// A DNS message over TCP follows its length (RFC 1035, 4.2.2).
const PREFIX: usize = 2;

/// Readers of payload, with what they remember of all flows.
pub struct Apps {
    dns: Dns,
    hellos: Hellos,
    gone: Vec<SeenHello>,
    /// DNS messages over TCP that did not fit their segment; they are not put together.
    dns_split: u64,
    /// Whether hellos are read.
    details: bool,
}

impl Apps {
    pub fn new() -> Self {
        Self { dns: Dns::new(), hellos: Hellos::new(), gone: Vec::new(), dns_split: 0, details: true }
    }

    /// Looks at the payload of one packet of a flow.
    #[inline]
    pub fn payload(&mut self, flow: &mut Flow, from_originator: bool, packet: &Packet<'_>, output: &mut Output) {
        let notes = Notes(flow.app);
        match (&packet.tcp, notes.protocol()) {
            (_, Protocol::Http | Protocol::Ssh) => {}
            (None, Protocol::Dns) => self.datagram(flow, packet, output),
            (None, _) => {
                if packet.protocol == UDP && notes.is_open() {
                    self.first_datagram(flow, packet, output);
                }
            }
            (Some(_), Protocol::Dns) => self.dns_stream(flow, packet, output),
            (Some(tcp), _) => {
                if notes.is_gathering() || notes.is_open() {
                    self.stream(flow, from_originator, packet, tcp, output);
                }
            }
        }
    }

    fn first_datagram(&mut self, flow: &mut Flow, packet: &Packet<'_>, output: &mut Output) {
        let found = Protocol::by_name(detect(packet.protocol, packet.payload));
        flow.app = Notes(flow.app).looked().with_protocol(found).0;
        if found == Protocol::Dns {
            self.datagram(flow, packet, output);
        }
    }

    fn datagram(&mut self, flow: &Flow, packet: &Packet<'_>, output: &mut Output) {
        if let Some(message) = dns::parse(packet.payload) {
            self.dns.message(Seen { time: packet.time, ends: flow.into(), message }, output);
        }
    }

    /// The messages of one segment.
    fn dns_stream(&mut self, flow: &Flow, packet: &Packet<'_>, output: &mut Output) {
        let mut rest = packet.payload;
        while let Some((length, after)) = rest.split_first_chunk::<PREFIX>() {
            let length = usize::from(u16::from_be_bytes(*length));
            let Some((body, after)) = after.split_at_checked(length) else {
                self.dns_split += 1;
                return;
            };
            if let Some(message) = dns::parse(body) {
                self.dns.message(Seen { time: packet.time, ends: flow.into(), message }, output);
            }
            rest = after;
        }
    }

    /// The first payloads of a connection.
    fn stream(&mut self, flow: &mut Flow, from_originator: bool, packet: &Packet<'_>, tcp: &Tcp, output: &mut Output) {
        let notes = Notes(flow.app);
        let segment = Segment {
            time: packet.time,
            sequence: tcp.sequence,
            payload: packet.payload,
            whole: packet.payload.len() as u64 == u64::from(packet.payload_bytes),
        };
        let outcome = if notes.is_gathering() {
            if !from_originator {
                return;
            }
            self.hellos.go_on(flow.id, &segment)
        } else {
            let notes = notes.looked();
            let found = Protocol::by_name(detect(packet.protocol, packet.payload));
            flow.app = if notes.protocol() == Protocol::Unknown { notes.with_protocol(found).0 } else { notes.0 };
            match found {
                Protocol::Dns => {
                    self.dns_stream(flow, packet, output);
                    return;
                }
                Protocol::Tls if self.details && matches!(packet.payload, [22, _, _, _, _, 1, ..]) => {
                    self.hellos.begin(Ends::from(&*flow), &segment, &mut self.gone)
                }
                _ => return,
            }
        };
        flow.app = Notes(flow.app).gathering(matches!(outcome, Outcome::More)).0;
        if let Outcome::Hello(hello) = outcome {
            output.tls(&hello);
        }
        for hello in self.gone.drain(..) {
            output.tls(&hello);
        }
    }

    /// From now on reads hellos or not; those that were begun are written.
    pub fn details(&mut self, details: bool, output: &mut Output) {
        self.details = details;
        if !details {
            while let Some(hello) = self.hellos.close() {
                output.tls(&hello);
            }
        }
    }

    /// Writes what waited too long.
    pub fn advance(&mut self, now: i64, output: &mut Output) {
        self.dns.advance(now, output);
        while let Some(hello) = self.hellos.give_up(now) {
            output.tls(&hello);
        }
    }

    /// Writes what waits.
    pub fn close(&mut self, output: &mut Output) {
        self.dns.close(output);
        while let Some(hello) = self.hellos.close() {
            output.tls(&hello);
        }
    }

    pub fn counters(&self) -> [(&'static str, u64); 3] {
        [
            ("dns_crowded_out", self.dns.crowded_out()),
            ("dns_split", self.dns_split),
            ("tls_crowded_out", self.hellos.crowded_out()),
        ]
    }
}
