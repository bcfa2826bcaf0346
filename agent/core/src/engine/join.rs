//! Flows to their processes.

use std::sync::Arc;

use crate::flow::Flow;
use crate::host::namespace::Namespace;
use crate::host::owners::{Found, Owners, Question};

/// Who is asked, and from where.
pub struct Join {
    pub owners: Arc<Owners>,
    pub namespace: Namespace,
}

impl Join {
    pub fn find(&mut self, flow: &Flow) -> Option<Found> {
        let question = Question {
            netns: self.namespace.cookie,
            protocol: flow.protocol,
            source: flow.source,
            source_port: flow.source_port,
            destination: flow.destination,
            destination_port: flow.destination_port,
            first: flow.start,
            last: flow.last,
        };
        if !matches!(flow.protocol, 6 | 17) {
            return None;
        }
        self.owners.find(&question, &mut |address| self.namespace.has(address))
    }
}
