//! A live ring: `TPACKET_V3` (<https://docs.kernel.org/networking/packet_mmap.html>), a memory that the kernel fills with
//! blocks of frames and this process hands back block by block.

use std::ffi::c_int;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread;
use std::time::Duration;

use super::filter::{self, Layer};
use super::mapping::Blocks;
use super::socket::{self, Interface};
use super::{Frame, block};

/// What to capture, and how.
#[derive(Clone, Debug)]
pub struct RingOptions {
    pub interface: String,
    /// Name under `/run/netns`, empty for the caller's own.
    pub network_namespace: String,
    /// Size of the ring; at least 64 KiB, rounded down to whole blocks.
    pub ring_bytes: usize,
    /// Bytes kept of each frame; 64 to 65,536.
    pub snap_length: u32,
    /// TCP to and from these is left out: the agent's own uplink.
    pub exclude: Vec<(IpAddr, u16)>,
    /// Also frames for other stations: a mirror port.
    pub promiscuous: bool,
}

/// The kernel's own counters since the ring was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Frames that passed the filter, those that were dropped included.
    pub packets: u64,
    /// Frames for which the ring had no room.
    pub dropped: u64,
    /// Times that the ring became full.
    pub freezes: u64,
}

/// Largest block. Big blocks waste nothing: the kernel fills them with frames end to end.
const BLOCK: usize = 1 << 18;
/// A block that is not full is handed over after this time, milliseconds.
const RETIRE_MS: u32 = 50;
/// Room for the headers of a block and of one frame.
const HEADERS: usize = 256;

/// An open ring on one interface.
pub struct Ring {
    // Declared, and so dropped, before the socket whose memory it maps.
    blocks: Blocks,
    socket: OwnedFd,
    interface: Interface,
    block_size: usize,
    next: usize,
    statistics: Statistics,
}

impl Ring {
    /// Opens the ring. The filter is in place before the socket listens, so that nothing slips in.
    ///
    /// Errors name the interface or namespace: `PermissionDenied` without `CAP_NET_RAW` (and `CAP_SYS_ADMIN` for a
    /// namespace), `NotFound` if either does not exist, `InvalidInput` for options out of range.
    pub fn open(options: &RingOptions) -> io::Result<Ring> {
        let (block_size, blocks) = layout(options)?;
        let opened = socket::open(&options.interface, &options.network_namespace)?;
        let (socket, interface) = (opened.socket, opened.interface);
        let layer = if interface.ethernet { Layer::Ethernet } else { Layer::Network };
        let program = filter::program(&options.exclude, options.snap_length, layer, interface.loopback)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let fail = |what: &str, error: io::Error| interface.error(what, error);
        socket::attach_filter(&socket, &program).map_err(|e| fail("cannot attach the filter", e))?;
        socket::set(&socket, libc::SOL_PACKET, libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V3 as c_int))
            .map_err(|e| fail("the kernel has no TPACKET_V3 (it came with Linux 3.2)", e))?;
        let frame_size = 2048;
        let request = libc::tpacket_req3 {
            tp_block_size: block_size as u32,
            tp_block_nr: blocks as u32,
            tp_frame_size: frame_size as u32,
            tp_frame_nr: (blocks * (block_size / frame_size)) as u32,
            tp_retire_blk_tov: RETIRE_MS,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        socket::set(&socket, libc::SOL_PACKET, libc::PACKET_RX_RING, &request)
            .map_err(|e| fail(&format!("cannot have a ring of {} bytes", options.ring_bytes), e))?;
        let blocks = Blocks::new(&socket, block_size * blocks).map_err(|e| fail("cannot map the ring", e))?;
        if options.promiscuous {
            socket::promiscuous(&socket, interface.index).map_err(|e| fail("cannot be made promiscuous", e))?;
        }
        socket::bind(&socket, interface.index).map_err(|e| fail("cannot be listened to", e))?;
        Ok(Ring { blocks, socket, interface, block_size, next: 0, statistics: Statistics::default() })
    }

    /// Hands every frame that is ready to `each`; waits for at most `timeout_ms` if there is none. Returns their number.
    ///
    /// One call goes round the ring at most once. An error names the interface; `NetworkDown` says that it is down
    /// or gone, after everything that was captured before has been handed out.
    pub fn poll(&mut self, timeout_ms: i32, mut each: impl FnMut(&Frame<'_>)) -> io::Result<usize> {
        let ready = self.drain(&mut each)?;
        if ready > 0 {
            return Ok(ready);
        }
        let events = match socket::wait(&self.socket, timeout_ms) {
            Ok(events) => events,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(0),
            Err(error) => return Err(self.interface.error("cannot be waited for", error)),
        };
        let fault = if events & libc::POLLERR != 0 { socket::pending_error(&self.socket)? } else { None };
        if let Some(error) = fault {
            self.last(&mut each)?;
            return Err(self.interface.lost(&self.socket, error));
        }
        self.drain(&mut each)
    }

    /// Stops to listen, and hands out what was captured until then.
    pub fn finish(&mut self, mut each: impl FnMut(&Frame<'_>)) -> io::Result<usize> {
        socket::attach_filter(&self.socket, &filter::NOTHING)
            .map_err(|error| self.interface.error("cannot stop to listen", error))?;
        self.last(&mut each)
    }

    /// The last frames are in a block that the kernel has not handed over yet; it looks twice before it does.
    fn last(&mut self, each: &mut impl FnMut(&Frame<'_>)) -> io::Result<usize> {
        let ready = self.drain(each)?;
        thread::sleep(Duration::from_millis(2 * u64::from(RETIRE_MS) + 10));
        Ok(ready + self.drain(each)?)
    }

    fn drain(&mut self, each: &mut impl FnMut(&Frame<'_>)) -> io::Result<usize> {
        let mut frames = 0;
        for _ in 0..self.blocks.len() / self.block_size {
            let Some(block) = self.blocks.take(self.next * self.block_size, self.block_size) else { break };
            let walked = block::walk(block.bytes(), self.interface.link(), each);
            drop(block);
            self.next = (self.next + 1) % (self.blocks.len() / self.block_size);
            frames += walked.map_err(|error| self.interface.error("handed over a block that makes no sense", error))?;
        }
        Ok(frames)
    }

    /// The kernel's counters until now.
    pub fn statistics(&mut self) -> io::Result<Statistics> {
        let since: libc::tpacket_stats_v3 = socket::get(&self.socket, libc::SOL_PACKET, libc::PACKET_STATISTICS)
            .map_err(|e| self.interface.error("does not give its statistics", e))?;
        // Reading them sets them back to 0.
        self.statistics.packets += u64::from(since.tp_packets);
        self.statistics.dropped += u64::from(since.tp_drops);
        self.statistics.freezes += u64::from(since.tp_freeze_q_cnt);
        Ok(self.statistics)
    }

    /// The file descriptor, to wait for several rings at once.
    pub fn descriptor(&self) -> c_int {
        self.socket.as_raw_fd()
    }
}

/// Size and number of blocks.
fn layout(options: &RingOptions) -> io::Result<(usize, usize)> {
    let refuse = |what: String| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    let snap_length = options.snap_length;
    if !(64..=65_536).contains(&snap_length) {
        return refuse(format!("a snap length of {snap_length} bytes is not between 64 and 65536"));
    }
    let least = (snap_length as usize + HEADERS).next_power_of_two().max(1 << 14);
    let mut block_size = BLOCK;
    while block_size > least && options.ring_bytes / block_size < 8 {
        block_size /= 2;
    }
    let blocks = options.ring_bytes / block_size;
    if blocks < 2 || options.ring_bytes > 1 << 31 {
        let ring_bytes = options.ring_bytes;
        return refuse(format!("a ring of {ring_bytes} bytes is not between {} and {}", 2 * least, 1_u64 << 31));
    }
    Ok((block_size, blocks))
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
