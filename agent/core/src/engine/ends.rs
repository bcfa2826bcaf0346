//! The columns by which a transaction's row is joined to its flow.

use crate::flow::Flow;

/// Endpoints of a flow, as rows of other tables repeat them.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    pub flow_id: u64,
    pub source: [u8; 16],
    pub source_port: u16,
    pub destination: [u8; 16],
    pub destination_port: u16,
    pub protocol: u8,
}

impl From<&Flow> for Ends {
    fn from(flow: &Flow) -> Self {
        Self {
            flow_id: flow.id,
            source: flow.source,
            source_port: flow.source_port,
            destination: flow.destination,
            destination_port: flow.destination_port,
            protocol: flow.protocol,
        }
    }
}
