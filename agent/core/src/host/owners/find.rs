//! From a flow to the socket that made it.

use std::sync::Arc;

use super::super::conntrack::{Translation, Tuple};
use super::ends::{Ends, Slot};
use super::{End, HANDED_ON, IN_TURN, Owner, Question};

/// Events and packets are stamped by different clock reads.
pub(super) const SLACK_US: i64 = 5_000;
/// Times that lie so close together are in no certain order.
const BLUR_US: i64 = 5;
/// A datagram may wait so long for the address of its next hop, or in a queue, after its sender has ended.
const TRAIL_US: i64 = 3_000_000;
/// Confidence of what trailed behind its socket.
const TRAILING: u8 = 70;
/// Confidence of a socket in another network namespace, which may be one of several with the same addresses.
const ELSEWHERE: u8 = 85;
/// Confidence of a listener: who accepts may be another process.
const LISTENING: u8 = 50;

const ANY_IPV4: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0];
pub(super) const ANY: [u8; 16] = [0; 16];
const TCP: u8 = 6;

pub(super) enum Answer {
    Nobody,
    Doubt,
    One { owner: Arc<Owner>, confidence: u8, elsewhere: bool },
}

/// Whether an address is one of the namespace's own.
type Local<'a> = &'a mut dyn FnMut(&[u8; 16]) -> bool;

/// The originator's process, or the responder's. The originator's socket has the addresses from before a translation, the
/// responder's those from after it, on whichever side of it the packets were seen.
pub(super) fn find(ends: &Ends, flow: &Question, translation: Option<&Translation>, local: Local<'_>) -> Answer {
    let wire = Tuple {
        protocol: flow.protocol,
        source: flow.source,
        source_port: flow.source_port,
        destination: flow.destination,
        destination_port: flow.destination_port,
    };
    let (said, heard) = translation.map_or((wire, wire), |translation| (translation.original, translation.arriving));
    let originator = end(flow.netns, &said);
    let responder = end(flow.netns, &heard.reversed());
    let (own, peer) = (&said.source, &heard.destination);
    // A listener does not open connections.
    let answer = at(ends, &originator, flow, flow.protocol != TCP, local);
    let inside = own == peer || is_loopback(own) || is_loopback(peer);
    if !matches!(answer, Answer::Nobody) || inside {
        return answer;
    }
    let answer = at(ends, &responder, flow, true, local);
    if !matches!(answer, Answer::Nobody) {
        return answer;
    }
    if flow.protocol != TCP
        && let Some(owner) = trailing(ends, &originator, flow, local)
    {
        return Answer::One { owner, confidence: TRAILING, elsewhere: false };
    }
    // What is neither from here nor to here is passed on, perhaps from or to another namespace of this host.
    if local(own) || local(peer) {
        return Answer::Nobody;
    }
    match elsewhere(ends, &originator, flow) {
        Answer::Nobody => elsewhere(ends, &responder, flow),
        answer => answer,
    }
}

fn end(netns: u64, said: &Tuple) -> End {
    End {
        netns,
        protocol: said.protocol,
        local: said.source,
        local_port: said.source_port,
        remote: said.destination,
        remote_port: said.destination_port,
    }
}

/// Who has an end; with `wild`, also who has its port whoever the peer is.
fn at(ends: &Ends, end: &End, flow: &Question, wild: bool, local: Local<'_>) -> Answer {
    let exact = slot(ends, end, flow, false);
    if !wild || !matches!(exact, Answer::Nobody) {
        return exact;
    }
    for (number, end) in wider(end).enumerate() {
        let answer = slot(ends, &end.0, flow, true);
        if !matches!(answer, Answer::Nobody) {
            let ours = number == 0 || local(&end.1);
            return if ours { listening(flow.protocol, answer) } else { Answer::Nobody };
        }
    }
    Answer::Nobody
}

/// The end with any peer; then with any address of the host, which is only meant if the end's own address is one.
fn wider(end: &End) -> impl Iterator<Item = (End, [u8; 16])> + use<> {
    let bound = End { remote: ANY, remote_port: 0, ..*end };
    let own = end.local;
    let four = own.starts_with(&ANY_IPV4[..12]).then_some(ANY_IPV4);
    let any = four.into_iter().chain([ANY]).map(move |address| End { local: address, ..bound });
    std::iter::once(bound).chain(any).map(move |end| (end, own))
}

/// Of the sockets that had the end one after the other, the one that had it during the flow.
fn slot(ends: &Ends, end: &End, flow: &Question, shared: bool) -> Answer {
    // How long socket and flow were there together; below 0: how far they are apart.
    let together = |slot: &Slot| slot.until.min(flow.last) - slot.from.max(flow.first);
    let near = ends.at(end, flow.first - SLACK_US, flow.last + SLACK_US);
    // Of a connection that is told of twice, by its listener and by who uses it, the second is meant.
    let used = near.clone().any(|slot| slot.confidence > LISTENING && together(slot) >= 0);
    let near = near.filter(|slot| !used || slot.confidence > LISTENING || slot.confidence == 0);
    let Some(best) = near.clone().max_by_key(|slot| together(slot)) else { return Answer::Nobody };
    let longest = together(best);
    let mut others = near.filter(|slot| slot.owner.entity != best.owner.entity);
    let doubtful = |slot: &Slot| {
        let both = together(slot);
        // Sockets that share a port share its datagrams, whichever was there for longer.
        let sharing = shared && slot.from < best.until && best.from < slot.until;
        sharing || longest - both <= BLUR_US || both >= 0 && 2 * both >= longest
    };
    if others.any(doubtful) {
        return Answer::Doubt;
    }
    match best.confidence {
        // The flow is this socket's, whosever that is: no listener answers in its place.
        0 => Answer::Doubt,
        confidence => Answer::One { owner: best.owner.clone(), confidence, elsewhere: false },
    }
}

/// Who had the end, or its port, not long before the flow began, if it was only one.
fn trailing(ends: &Ends, end: &End, flow: &Question, local: Local<'_>) -> Option<Arc<Owner>> {
    let mut found: Option<&Slot> = None;
    let wider = wider(end).enumerate().map(|(number, (end, own))| (end, number == 0 || local(&own)));
    for (end, _) in std::iter::once((*end, true)).chain(wider).filter(|(_, ours)| *ours) {
        for slot in ends.at(&end, flow.first - TRAIL_US, flow.first).filter(|slot| slot.until <= flow.first) {
            if found.is_some_and(|found| found.owner.entity != slot.owner.entity) {
                return None;
            }
            found = Some(slot);
        }
    }
    found.filter(|slot| slot.confidence > 0).map(|slot| slot.owner.clone())
}

/// Who has an end in another network namespace than where the flow was seen, if it is only one.
fn elsewhere(ends: &Ends, end: &End, flow: &Question) -> Answer {
    let mut found = Answer::Nobody;
    for netns in ends.namespaces().filter(|netns| *netns != end.netns) {
        found = match (found, slot(ends, &End { netns, ..*end }, flow, false)) {
            (found, Answer::Nobody) => found,
            (Answer::Nobody, Answer::One { owner, confidence, .. }) => {
                Answer::One { owner, confidence: confidence.min(ELSEWHERE), elsewhere: true }
            }
            _ => return Answer::Doubt,
        };
    }
    found
}

/// Who listens need not be who accepts; and of processes that read from one socket, each gets some of the datagrams.
fn listening(protocol: u8, answer: Answer) -> Answer {
    match answer {
        Answer::One { confidence: HANDED_ON | IN_TURN, .. } if protocol != TCP => Answer::Doubt,
        Answer::One { owner, confidence, elsewhere } if protocol == TCP => {
            Answer::One { owner, confidence: confidence.min(LISTENING), elsewhere }
        }
        answer => answer,
    }
}

fn is_loopback(address: &[u8; 16]) -> bool {
    address.starts_with(&ANY_IPV4[..12]) && address[12] == 127 || u128::from_be_bytes(*address) == 1
}
