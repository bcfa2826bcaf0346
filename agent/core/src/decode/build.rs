//! Frames for tests, put together by hand from the RFCs and sharing no code with the decoders.

pub const MAC_A: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
pub const MAC_B: [u8; 6] = [0x52, 0x54, 0, 0x65, 0x43, 0x21];

pub fn ethernet(tags: &[(u16, u16)], ethertype: u16, body: &[u8]) -> Vec<u8> {
    let mut frame = [MAC_B, MAC_A].concat();
    for (kind, identifier) in tags {
        frame.extend(kind.to_be_bytes());
        frame.extend(identifier.to_be_bytes());
    }
    frame.extend(ethertype.to_be_bytes());
    frame.extend(body);
    frame
}

/// An IPv4 packet; `options` must be a multiple of 4 bytes, `place` is flags and fragment offset.
pub fn ipv4(source: [u8; 4], destination: [u8; 4], protocol: u8, place: u16, options: &[u8], body: &[u8]) -> Vec<u8> {
    let length = 20 + options.len() + body.len();
    let mut packet = vec![0x45 + (options.len() / 4) as u8, 0];
    packet.extend((length as u16).to_be_bytes());
    packet.extend([0xbe, 0xef]);
    packet.extend(place.to_be_bytes());
    packet.extend([64, protocol, 0, 0]);
    packet.extend(source);
    packet.extend(destination);
    packet.extend(options);
    packet.extend(body);
    packet
}

pub fn ipv6(source: [u8; 16], destination: [u8; 16], next: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((body.len() as u16).to_be_bytes());
    packet.extend([next, 64]);
    packet.extend(source);
    packet.extend(destination);
    packet.extend(body);
    packet
}

pub fn tcp(source: u16, destination: u16, flags: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut segment = source.to_be_bytes().to_vec();
    segment.extend(destination.to_be_bytes());
    segment.extend(0x0102_0304_u32.to_be_bytes());
    segment.extend(0x0506_0708_u32.to_be_bytes());
    segment.push(0x50 + ((options.len() / 4) << 4) as u8);
    segment.push(flags);
    segment.extend([0x20, 0, 0, 0, 0, 0]);
    segment.extend(options);
    segment.extend(payload);
    segment
}

pub fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = source.to_be_bytes().to_vec();
    datagram.extend(destination.to_be_bytes());
    datagram.extend((8 + payload.len() as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    datagram
}
