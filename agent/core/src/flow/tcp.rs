//! The two halves of a TCP connection (RFC 9293), seen from the middle, with Zeek's states and history letters.

use super::record::{Flow, Side};
use crate::decode::Tcp;

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const ACK: u8 = 16;

/// Where one side stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Nothing seen of it.
    #[default]
    Inactive,
    SynSent,
    Established,
    /// Seen in the middle of a connection only.
    Partial,
    Closed,
    Reset,
}

/// Letters that are written once per side, as bits.
const LETTER_ACK: u8 = 1;
const LETTER_DATA: u8 = 2;
const LETTER_INCONSISTENT: u8 = 4;
const LETTER_MULTIPLE: u8 = 8;
const LETTER_SYN: u8 = 16;
const LETTER_FIN: u8 = 32;
const LETTER_RESET: u8 = 64;

/// A distance between sequence numbers beyond this is nonsense rather than loss.
const LARGEST_GAP: i32 = 1 << 30;

/// Takes one packet of a connection into account.
pub fn update(flow: &mut Flow, from_originator: bool, tcp: &Tcp, payload: u32, time: i64) {
    let flags = tcp.flags;
    let me = usize::from(!from_originator);
    let is = |bit: u8| flags & bit != 0;
    let control = u32::from(is(SYN)) + u32::from(is(FIN));
    // What a RST carries is no part of the stream.
    let end = tcp.sequence.wrapping_add(control).wrapping_add(if is(RST) { 0 } else { payload });

    if flow.sides[me].state == State::Inactive
        || (is(SYN) && !matches!(flow.sides[me].state, State::Closed | State::Reset))
    {
        flow.sides[me].next = tcp.sequence;
    }
    write_flags(flow, me, tcp, payload);
    if tcp.window == 0 && !is(RST) && flow.sides[1 - me].state != State::Closed && flow.sides[me].state != State::Reset
    {
        note(flow, me, b'w', |side| side.zero_windows.count());
    }
    handshake_time(flow, me, flags, time);
    if is(ACK) && !is(RST) {
        gap(flow, 1 - me, tcp.acknowledgement);
    }
    let side = &mut flow.sides[me];
    if side.state != State::Reset {
        if end.wrapping_sub(side.next) as i32 > 0 {
            side.next = end;
        } else if payload > 0 && !is(RST) {
            note(flow, me, b't', |side| side.repeats.count());
        }
    }
    flow.sides[me].spoke |= payload > 0;
    advance(&mut flow.sides, me, flags, payload);
    let [source, destination] = &flow.sides;
    flow.ended |= source.state == State::Reset
        || destination.state == State::Reset
        || (source.state == State::Closed && destination.state == State::Closed);
}

/// The side's next state.
fn advance(sides: &mut [Side; 2], me: usize, flags: u8, payload: u32) {
    let is = |bit: u8| flags & bit != 0;
    let peer = sides[1 - me].state;
    match sides[me].state {
        State::Inactive => {
            if is(RST) {
                set(&mut sides[me], State::Reset);
            } else if is(FIN) {
                set(&mut sides[me], State::Closed);
            } else if is(SYN) {
                // The originator's SYN after the SYN-ACK came the wrong way round through the tap.
                let answered = me == 1 || peer == State::Established;
                set(&mut sides[me], if answered { State::Established } else { State::SynSent });
            } else if is(ACK) && peer == State::Established {
                // Only the SYN was missed.
                set(&mut sides[me], State::Established);
            } else if !(me == 1 && payload == 0 && peer == State::SynSent) {
                // But a pure ACK of a SYN, as some stacks send before the SYN-ACK, is no stream yet.
                set(&mut sides[me], State::Partial);
            }
            if is(SYN) && me == 1 && peer == State::SynSent {
                set(&mut sides[0], State::Established);
            }
        }
        State::SynSent => {
            if is(RST) {
                set(&mut sides[me], State::Reset);
            } else if is(FIN) {
                set(&mut sides[me], State::Closed);
            }
        }
        State::Established | State::Partial => {
            if is(RST) {
                set(&mut sides[me], State::Reset);
            } else if is(FIN) {
                set(&mut sides[me], State::Closed);
                if peer == State::Reset && sides[1 - me].before == State::Closed {
                    // FIN, then RST, then the other's FIN: a termination like any other.
                    set(&mut sides[1 - me], State::Closed);
                }
            } else if is(SYN) && !is(ACK) && sides[me].state == State::Partial && peer == State::Inactive {
                set(&mut sides[me], State::SynSent);
            }
        }
        State::Closed => {
            if is(RST) && peer != State::Closed {
                set(&mut sides[me], State::Reset);
            }
        }
        State::Reset => {}
    }
}

fn set(side: &mut Side, state: State) {
    side.before = side.state;
    side.state = state;
}

/// S h A D F R, and I and Q for flags that do not go together.
fn write_flags(flow: &mut Flow, me: usize, tcp: &Tcp, payload: u32) {
    let is = |bit: u8| tcp.flags & bit != 0;
    match u8::from(is(SYN)) + u8::from(is(FIN)) + u8::from(is(RST)) {
        0 if payload > 0 => once(flow, me, LETTER_DATA, b'd'),
        0 if is(ACK) => once(flow, me, LETTER_ACK, b'a'),
        0 => {}
        1 if is(SYN) => {
            let letter = if is(ACK) { b'h' } else { b's' };
            each(flow, me, LETTER_SYN, letter, tcp.sequence, |side| &mut side.last_syn);
        }
        1 if is(FIN) => {
            let end = tcp.sequence.wrapping_add(payload);
            each(flow, me, LETTER_FIN, b'f', end, |side| &mut side.last_fin);
        }
        1 => each(flow, me, LETTER_RESET, b'r', tcp.sequence, |side| &mut side.last_reset),
        _ if is(FIN) && is(RST) => once(flow, me, LETTER_INCONSISTENT, b'i'),
        _ => once(flow, me, LETTER_MULTIPLE, b'q'),
    }
}

/// Writes a letter the first time.
fn once(flow: &mut Flow, me: usize, bit: u8, letter: u8) {
    if flow.sides[me].letters & bit == 0 {
        flow.sides[me].letters |= bit;
        flow.history.add(letter, me == 0);
    }
}

/// Writes a letter the first time, and again for every other sequence number than the last.
fn each(flow: &mut Flow, me: usize, bit: u8, letter: u8, sequence: u32, last: impl Fn(&mut Side) -> &mut u32) {
    let side = &mut flow.sides[me];
    let repeated = side.letters & bit != 0 && *last(side) == sequence;
    side.letters |= bit;
    *last(side) = sequence;
    if !repeated {
        flow.history.add(letter, me == 0);
    }
}

/// Writes a letter on the logarithmic scale.
fn note(flow: &mut Flow, side: usize, letter: u8, count: impl Fn(&mut Side) -> bool) {
    if count(&mut flow.sides[side]) {
        flow.history.add(letter, side == 0);
    }
}

/// A side acknowledges what its peer was not seen to send: the capture lost it.
fn gap(flow: &mut Flow, peer: usize, acknowledgement: u32) {
    let side = &mut flow.sides[peer];
    if matches!(side.state, State::Inactive | State::Reset) {
        return;
    }
    let missing = acknowledgement.wrapping_sub(side.next) as i32;
    if missing > 0 && missing < LARGEST_GAP {
        side.next = acknowledgement;
        note(flow, peer, b'g', |side| side.gaps.count());
    }
}

/// SYN to the ACK of the SYN-ACK. A repeated SYN starts the measurement anew (Karn's rule).
fn handshake_time(flow: &mut Flow, me: usize, flags: u8, time: i64) {
    if me != 0 || flow.handshake_rtt != 0 {
        return;
    }
    if flags & (SYN | ACK | RST | FIN) == SYN {
        flow.syn_time = time;
    } else if flags & (SYN | ACK | RST) == ACK
        && flow.sides[0].state == State::Established
        && flow.sides[0].before == State::SynSent
    {
        flow.handshake_rtt = u32::try_from(time.saturating_sub(flow.syn_time)).unwrap_or(0).max(1);
    }
}

/// Zeek writes `D` for every side of a UDP flow that sent anything.
pub fn datagram(flow: &mut Flow, from_originator: bool) {
    once(flow, usize::from(!from_originator), LETTER_DATA, b'd');
}

/// Whether the packet begins another connection on the ports of one that ended. A repeated SYN of the old one does not.
pub fn is_reuse(flow: &Flow, from_originator: bool, tcp: &Tcp) -> bool {
    let side = &flow.sides[usize::from(!from_originator)];
    let repeated = side.letters & LETTER_SYN != 0 && side.last_syn == tcp.sequence;
    flow.ended && tcp.flags & (SYN | ACK | RST | FIN) == SYN && !repeated
}
