//! Records to the handshake message inside them, however the stream is cut into segments and the message into records.

use super::{ClientHello, Oddities, hello};

/// More than any client sends, post-quantum key shares included.
const MAX_HELLO: usize = 16 * 1024;
/// RFC 5246 section 6.2.3.
const MAX_RECORD: usize = (1 << 14) + 2048;
const RECORD_HEADER: usize = 5;
const HANDSHAKE_HEADER: usize = 4;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;

/// What more bytes led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So far it could be a hello; give the next segment, or `finish`.
    More,
    /// Here it is; nothing more is needed.
    Hello(Box<ClientHello>),
    /// The stream does not begin with a hello.
    NotHello,
}

/// Puts a ClientHello together from the payload of a client's first segments, in order.
#[derive(Clone, Debug, Default)]
pub struct HelloReader {
    /// The handshake message so far, without record headers; at most [`MAX_HELLO`].
    pub(super) message: Vec<u8>,
    header: [u8; RECORD_HEADER],
    header_length: usize,
    /// Bytes of the current record that are still to come.
    record_left: usize,
    over: bool,
}

impl HelloReader {
    /// A reader at the beginning of a stream.
    pub fn new() -> HelloReader {
        HelloReader::default()
    }

    /// Takes the next bytes of the stream. After `Hello` or `NotHello` further calls say `NotHello`.
    pub fn push(&mut self, bytes: &[u8]) -> Progress {
        let progress = if self.over { Progress::NotHello } else { self.advance(bytes) };
        if progress != Progress::More {
            self.over = true;
            self.message = Vec::new();
        }
        progress
    }

    /// The stream ended or will not be followed any further: what is known of a hello that had begun.
    pub fn finish(&mut self) -> Option<ClientHello> {
        let begun = !self.over && self.message.len() > HANDSHAKE_HEADER;
        self.over = true;
        begun.then(|| {
            let mut hello = hello::parse(&self.message[HANDSHAKE_HEADER..]);
            hello.oddities |= Oddities::TRUNCATED;
            hello
        })
    }

    fn advance(&mut self, mut bytes: &[u8]) -> Progress {
        while !bytes.is_empty() {
            if self.record_left == 0 {
                let take = bytes.len().min(RECORD_HEADER - self.header_length);
                self.header[self.header_length..self.header_length + take].copy_from_slice(&bytes[..take]);
                self.header_length += take;
                bytes = &bytes[take..];
                if !self.plausible() {
                    return Progress::NotHello;
                }
                if self.header_length == RECORD_HEADER {
                    self.record_left = usize::from(u16::from_be_bytes([self.header[3], self.header[4]]));
                    self.header_length = 0;
                }
                continue;
            }
            let take = bytes.len().min(self.record_left);
            let room = MAX_HELLO - self.message.len();
            self.message.extend_from_slice(&bytes[..take.min(room)]);
            self.record_left -= take;
            bytes = &bytes[take..];
            if let Some(progress) = self.complete(take >= room) {
                return progress;
            }
        }
        Progress::More
    }

    /// Whether the record header, as far as it is there, is that of a handshake.
    fn plausible(&self) -> bool {
        let header = &self.header[..self.header_length];
        let length = || usize::from(u16::from_be_bytes([header[3], header[4]]));
        header.first().is_none_or(|kind| *kind == HANDSHAKE)
            && header.get(1).is_none_or(|major| *major == 3)
            && (header.len() < RECORD_HEADER || (1..=MAX_RECORD).contains(&length()))
    }

    /// The hello, if its message is complete, or as much of it as is kept.
    fn complete(&self, full: bool) -> Option<Progress> {
        match self.message.first_chunk::<HANDSHAKE_HEADER>() {
            Some([kind, ..]) if *kind != CLIENT_HELLO => Some(Progress::NotHello),
            Some([_, high, middle, low]) => {
                let length = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
                let body = &self.message[HANDSHAKE_HEADER..];
                if body.len() >= length {
                    return Some(Progress::Hello(Box::new(hello::parse(&body[..length]))));
                }
                full.then(|| {
                    let mut hello = hello::parse(body);
                    hello.oddities |= Oddities::TRUNCATED;
                    Progress::Hello(Box::new(hello))
                })
            }
            None => None,
        }
    }
}
