//! The rows that leave the engine.

use std::collections::VecDeque;
use std::sync::LazyLock;

use super::dns::Seen;
use super::hello;
use super::join::Join;
use super::protocol::Notes;
use crate::columns::{Sealed, TableBuilder};
use crate::flow::{Flow, Reason};
use crate::schema::{self, DnsRow, FlowsRow, TlsRow};

/// Flows that may wait for their owners.
const MOST_WAITING: usize = 16_384;

/// One builder for each table, and the batches that became full.
pub struct Output {
    interface: String,
    batch_rows: usize,
    flows: Counted,
    dns: Counted,
    tls: Counted,
    /// Filled anew for each row.
    answers: Vec<String>,
    ttls: Vec<u32>,
    pub join: Option<Join>,
    /// Of the flows that are cut now.
    pub sampling_rate: u32,
    waiting: VecDeque<Cut>,
    pub sealed: Vec<Sealed>,
}

/// A flow whose row waits for its owner.
struct Cut {
    flow: Flow,
    reason: Reason,
    sampling_rate: u32,
    ticket: u64,
}

/// A builder and how many rows it ever took.
struct Counted {
    builder: TableBuilder,
    rows: u64,
    /// Rows that say that something was wrong with a message.
    odd: u64,
}

impl Counted {
    fn new(table: &'static crate::columns::Table) -> Self {
        Self { builder: TableBuilder::new(table), rows: 0, odd: 0 }
    }
}

impl Output {
    pub fn new(interface: String, batch_rows: usize) -> Self {
        Self {
            interface,
            batch_rows,
            flows: Counted::new(&schema::FLOWS),
            dns: Counted::new(&schema::DNS),
            tls: Counted::new(&schema::TLS),
            answers: Vec::new(),
            ttls: Vec::new(),
            join: None,
            sampling_rate: 1,
            waiting: VecDeque::new(),
            sealed: Vec::new(),
        }
    }

    /// The row of a flow, or of a part of it. It waits until its owner must have been told of.
    pub fn flow(&mut self, flow: &Flow, reason: Reason) {
        if self.join.as_ref().is_none_or(|join| join.owners.heard(flow.last)) {
            return self.flow_row(flow, reason, self.sampling_rate);
        }
        let ticket = self.join.as_ref().map_or(0, |join| join.owners.ticket());
        self.waiting.push_back(Cut { flow: flow.clone(), reason, sampling_rate: self.sampling_rate, ticket });
        if self.waiting.len() > MOST_WAITING {
            self.push_waiting(true);
        }
    }

    /// The rows of flows that waited for their owners; with `all`, whether those were told of or not.
    pub fn push_waiting(&mut self, all: bool) {
        while let Some(Cut { ticket, .. }) = self.waiting.front() {
            if !all && self.join.as_ref().is_some_and(|join| !join.owners.served(*ticket)) {
                break;
            }
            let Some(cut) = self.waiting.pop_front() else { break };
            self.flow_row(&cut.flow, cut.reason, cut.sampling_rate);
        }
    }

    fn flow_row(&mut self, flow: &Flow, reason: Reason, sampling_rate: u32) {
        let [source, destination] = &flow.sides;
        let mut macs = [[0; 17]; 2];
        let [source_mac, destination_mac] = &mut macs;
        let found = self.join.as_mut().and_then(|join| join.find(flow));
        let process = found.as_ref().and_then(|found| found.process.as_deref());
        let mut row = FlowsRow {
            flow_id: flow.id,
            flow_start: flow.start,
            flow_end: flow.last,
            observer_ingress_interface_name: &self.interface,
            source_ip: flow.source,
            source_port: flow.source_port,
            destination_ip: flow.destination,
            destination_port: flow.destination_port,
            network_transport: transport(flow.protocol),
            source_mac: mac(&flow.source_mac, source_mac),
            destination_mac: mac(&flow.destination_mac, destination_mac),
            network_iana_number: flow.protocol,
            network_protocol: Notes(flow.app).protocol_name(),
            network_vlan_id: flow.vlan,
            source_packets: source.packets,
            destination_packets: destination.packets,
            source_bytes: source.bytes,
            destination_bytes: destination.bytes,
            source_payload_bytes: source.payload,
            destination_payload_bytes: destination.payload,
            source_tcp_flags: source.flags,
            destination_tcp_flags: destination.flags,
            connection_state: flow.connection_state(),
            connection_history: flow.history.as_str(),
            flow_end_reason: reason.name(),
            flow_sampling_rate: sampling_rate,
            tcp_handshake_rtt: flow.handshake_rtt,
            network_namespace_id: self.join.as_ref().map_or(0, |join| join.namespace.cookie),
            ..FlowsRow::default()
        };
        if let Some(found) = &found {
            row.process_pid = found.owner.pid;
            row.process_entity_id = found.owner.entity;
            row.process_name = &found.owner.name;
            row.user_id = found.owner.user_id;
            row.user_name = &found.owner.user_name;
            row.attribution_method = found.method;
            row.attribution_confidence = found.confidence;
        }
        if let Some(process) = process {
            row.process_executable = &process.program.image.executable;
            row.process_command_line = &process.program.image.command_line;
            row.systemd_unit = process.place.as_ref().map_or("", |place| &place.unit);
            row.container_id = process.place.as_ref().map_or("", |place| &place.container);
            row.process_parent_entity_id = process.parent.entity;
            row.process_parent_name = process.parent.program.as_ref().map_or("", |program| &program.name);
        }
        row.push(&mut self.flows.builder);
        self.sealed.extend(pushed(&mut self.flows, self.batch_rows));
    }

    /// The row of a DNS transaction: a question with its answer, or either alone.
    pub fn dns(&mut self, question: Option<&Seen>, answer: Option<&Seen>) {
        let Some(first) = question.or(answer) else { return };
        let (mut flags, mut oddities) = (first.message.flags, first.message.oddities);
        let (mut latency, mut response_code) = (0, "");
        self.answers.clear();
        self.ttls.clear();
        if let Some(answer) = answer {
            flags |= answer.message.flags;
            oddities |= answer.message.oddities;
            response_code = &answer.message.response_code;
            if question.is_some() {
                latency = u32::try_from(answer.time.saturating_sub(first.time)).unwrap_or(0).max(1);
            }
            self.ttls.extend(answer.message.answers.iter().map(|record| record.ttl));
            self.answers.extend(answer.message.answers.iter().map(|record| record.data.clone()));
        }
        let row = DnsRow {
            event_time: first.time,
            flow_id: first.ends.flow_id,
            source_ip: first.ends.source,
            source_port: first.ends.source_port,
            destination_ip: first.ends.destination,
            destination_port: first.ends.destination_port,
            network_transport: transport(first.ends.protocol),
            dns_id: first.message.id,
            dns_question_name: &first.message.question_name,
            dns_question_type: &first.message.question_type,
            dns_question_class: &first.message.question_class,
            dns_response_code: response_code,
            dns_header_flags: &flags.text(),
            dns_answers_data: &self.answers,
            dns_answers_ttl: &self.ttls,
            dns_latency: latency,
            dns_oddities: &oddities.text(),
        };
        row.push(&mut self.dns.builder);
        self.dns.odd += u64::from(!row.dns_oddities.is_empty());
        self.sealed.extend(pushed(&mut self.dns, self.batch_rows));
    }

    /// The row of a ClientHello.
    pub fn tls(&mut self, seen: &hello::Seen) {
        let row = TlsRow {
            event_time: seen.time,
            flow_id: seen.ends.flow_id,
            source_ip: seen.ends.source,
            source_port: seen.ends.source_port,
            destination_ip: seen.ends.destination,
            destination_port: seen.ends.destination_port,
            network_transport: transport(seen.ends.protocol),
            tls_version: &seen.hello.version,
            tls_client_server_name: &seen.hello.server_name,
            tls_client_alpn: &seen.hello.alpn,
            tls_client_cipher_count: seen.hello.cipher_count,
            tls_oddities: seen.hello.oddities.text(),
        };
        row.push(&mut self.tls.builder);
        self.tls.odd += u64::from(!row.tls_oddities.is_empty());
        self.sealed.extend(pushed(&mut self.tls, self.batch_rows));
    }

    pub fn seal_all(&mut self) {
        for counted in [&mut self.flows, &mut self.dns, &mut self.tls] {
            self.sealed.extend(counted.builder.seal());
        }
    }

    pub fn has_rows(&self) -> bool {
        [&self.flows, &self.dns, &self.tls].into_iter().any(|counted| counted.builder.rows() > 0)
    }

    /// Rows ever made whose messages had something wrong, by table.
    pub fn odd_rows(&self) -> [(&'static str, u64); 2] {
        [&self.dns, &self.tls].map(|counted| (counted.builder.table().name, counted.odd))
    }

    /// Rows ever made, by table.
    pub fn rows(&self) -> [(&'static str, u64); 3] {
        [&self.flows, &self.dns, &self.tls].map(|counted| (counted.builder.table().name, counted.rows))
    }
}

/// Counts a row that was pushed; the batch if that made it full.
fn pushed(counted: &mut Counted, batch_rows: usize) -> Option<Sealed> {
    counted.rows += 1;
    if counted.builder.is_full(batch_rows) { counted.builder.seal() } else { None }
}

/// The value of `network_transport`.
pub fn transport(protocol: u8) -> &'static str {
    static NUMBERS: LazyLock<Vec<String>> = LazyLock::new(|| (0..=u8::MAX).map(|number| number.to_string()).collect());
    match protocol {
        1 => "icmp",
        6 => "tcp",
        17 => "udp",
        58 => "ipv6-icmp",
        132 => "sctp",
        _ => &NUMBERS[usize::from(protocol)],
    }
}

/// RFC 7042, 2.1: hexadecimal pairs with hyphens. Empty for all zero: links without addresses, and loopback.
fn mac<'a>(address: &[u8; 6], text: &'a mut [u8; 17]) -> &'a str {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    if address == &[0; 6] {
        return "";
    }
    for (index, byte) in address.iter().enumerate() {
        text[3 * index] = DIGITS[usize::from(byte >> 4)];
        text[3 * index + 1] = DIGITS[usize::from(byte & 15)];
        if index < 5 {
            text[3 * index + 2] = b'-';
        }
    }
    std::str::from_utf8(text).unwrap_or_default()
}
