//! Flows to their processes.

use std::sync::Arc;

use crate::flow::Flow;
use crate::host::conntrack::{Answer, Conntrack, Tuple};
use crate::host::namespace::Namespace;
use crate::host::owners::{Found, Owners, Question};

/// Who is asked, and from where.
pub struct Join {
    pub owners: Arc<Owners>,
    pub namespace: Namespace,
    conntrack: Arc<Conntrack>,
    /// As `tend` was told.
    now: i64,
}

impl Join {
    pub fn new(owners: Arc<Owners>, namespace: Namespace) -> Self {
        let conntrack = owners.translations.of(&namespace.name, namespace.inode);
        Self { owners, namespace, conntrack, now: 0 }
    }

    /// To be called about once a second. `now` in microseconds of UTC.
    pub fn tend(&mut self, now: i64) {
        self.now = now;
        self.conntrack.tend(now);
    }

    pub fn find(&mut self, flow: &Flow) -> Option<Found> {
        if !matches!(flow.protocol, 6 | 17) {
            return None;
        }
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
        let wire = Tuple {
            protocol: flow.protocol,
            source: flow.source,
            source_port: flow.source_port,
            destination: flow.destination,
            destination_port: flow.destination_port,
        };
        let translation = match self.conntrack.find(&wire, flow.start, flow.last, self.now) {
            Answer::None => None,
            Answer::One(translation) => Some(translation),
            Answer::Doubt => {
                self.owners.doubt();
                return None;
            }
        };
        self.owners.find(&question, translation.as_ref(), &mut |address| self.namespace.has(address))
    }
}
