//! Asking the audit subsystem, and setting it: requests of linux/audit.h over netlink(7), each with its answer.

use std::io;
use std::time::{Duration, Instant};

use super::rule::Rule;
use super::settings::Status;
use crate::host::netlink::Socket;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const AUDIT_GET: u16 = 1000;
const AUDIT_SET: u16 = 1001;
const AUDIT_ADD_RULE: u16 = 1011;
const AUDIT_DEL_RULE: u16 = 1012;
const AUDIT_LIST_RULES: u16 = 1013;
/// NLM_F_REQUEST and NLM_F_ACK.
const FLAGS: u16 = 5;
const HEADER: usize = 16;
/// How long an answer may take. The kernel starts a thread for some of them.
const PATIENCE: Duration = Duration::from_secs(2);
/// Rules are listed at one go, a kilobyte each.
const BUFFER: usize = 4 << 20;

/// A socket for requests.
#[derive(Debug)]
pub struct Control {
    socket: Socket,
    sequence: u32,
}

impl Control {
    pub fn open() -> io::Result<Self> {
        Ok(Self { socket: Socket::open(libc::NETLINK_AUDIT, 0, BUFFER, &[])?, sequence: 0 })
    }

    /// What is set.
    pub fn status(&mut self) -> io::Result<Status> {
        let answers = self.ask(AUDIT_GET, &[], |kind| kind == AUDIT_GET)?;
        let status = answers.iter().find(|(kind, _)| *kind == AUDIT_GET).and_then(|(_, body)| Status::parse(body));
        status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the status of audit could not be read"))
    }

    /// The rules that are there.
    pub fn rules(&mut self) -> io::Result<Vec<Rule>> {
        let answers = self.ask(AUDIT_LIST_RULES, &[], |kind| kind == NLMSG_DONE)?;
        let listed = answers.iter().filter(|(kind, _)| *kind == AUDIT_LIST_RULES);
        Ok(listed.filter_map(|(_, body)| Rule::parse(body)).collect())
    }

    pub fn add(&mut self, rule: &Rule) -> io::Result<()> {
        self.ask(AUDIT_ADD_RULE, &rule.bytes, |_| false).map(drop)
    }

    pub fn delete(&mut self, rule: &Rule) -> io::Result<()> {
        self.ask(AUDIT_DEL_RULE, &rule.bytes, |_| false).map(drop)
    }

    /// Sets what a message of `Settings` says.
    pub fn set(&mut self, message: &[u8]) -> io::Result<()> {
        self.ask(AUDIT_SET, message, |_| false).map(drop)
    }

    /// Sends a request; what comes until it is acknowledged and, if it has an answer, the last of that has come.
    fn ask(&mut self, kind: u16, body: &[u8], is_last: fn(u16) -> bool) -> io::Result<Vec<(u16, Vec<u8>)>> {
        self.sequence += 1;
        let mut message = Vec::with_capacity(HEADER + body.len());
        message.extend_from_slice(&((HEADER + body.len()) as u32).to_ne_bytes());
        message.extend_from_slice(&kind.to_ne_bytes());
        message.extend_from_slice(&FLAGS.to_ne_bytes());
        message.extend_from_slice(&self.sequence.to_ne_bytes());
        message.extend_from_slice(&[0; 4]);
        message.extend_from_slice(body);
        self.socket.send(&message)?;
        let (deadline, answered) = (Instant::now() + PATIENCE, matches!(kind, AUDIT_GET | AUDIT_LIST_RULES));
        let (mut answers, mut acknowledged, mut complete) = (Vec::new(), false, !answered);
        let mut buffer = [0; 16_384];
        while !(acknowledged && complete) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the kernel's audit did not answer"));
            }
            self.socket.wait(left)?;
            while let Some(message) = self.socket.receive(&mut buffer) {
                match parse(message) {
                    Some((NLMSG_ERROR, sequence, body)) if sequence == self.sequence => {
                        match body.get(..4).and_then(|word| word.try_into().ok()).map_or(0, i32::from_ne_bytes) {
                            0 => acknowledged = true,
                            error => return Err(io::Error::from_raw_os_error(-error)),
                        }
                    }
                    Some((kind, sequence, body)) if sequence == self.sequence => {
                        complete |= is_last(kind);
                        answers.push((kind, body.to_vec()));
                    }
                    _ => {}
                }
            }
        }
        Ok(answers)
    }
}

/// Type, sequence number and body of a message.
fn parse(message: &[u8]) -> Option<(u16, u32, &[u8])> {
    let kind = u16::from_ne_bytes(message.get(4..6)?.try_into().ok()?);
    let sequence = u32::from_ne_bytes(message.get(8..12)?.try_into().ok()?);
    Some((kind, sequence, message.get(HEADER..)?))
}
