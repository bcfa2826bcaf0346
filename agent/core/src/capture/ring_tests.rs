use super::{Ring, RingOptions, Statistics, layout};
use crate::capture::{LinkType, socket};
use crate::decode::build::{ethernet, ipv4, tcp, udp};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

const A4: [u8; 4] = [10, 1, 0, 7];
const B4: [u8; 4] = [10, 1, 0, 53];

fn options(interface: &str, network_namespace: &str) -> RingOptions {
    RingOptions {
        interface: interface.into(),
        network_namespace: network_namespace.into(),
        ring_bytes: 1 << 22,
        snap_length: 2048,
        exclude: vec![],
        promiscuous: false,
    }
}

#[test]
fn sizes_of_blocks() {
    let of = |ring_bytes, snap_length| layout(&RingOptions { ring_bytes, snap_length, ..options("x", "") });
    assert_eq!(of(32 << 20, 2048).unwrap(), (1 << 18, 128));
    assert_eq!(of(1 << 18, 2048).unwrap(), (1 << 15, 8));
    assert_eq!(of(1 << 18, 65_536).unwrap(), (1 << 17, 2), "a block holds a whole frame");
    assert_eq!(of(1 << 15, 64).unwrap(), (1 << 14, 2));
    for (ring_bytes, snap_length, what) in [
        (1 << 14, 64, "a ring of 16384 bytes is not between 32768 and 2147483648"),
        (1 << 32, 64, "a ring of 4294967296 bytes"),
        (1 << 22, 63, "a snap length of 63 bytes is not between 64 and 65536"),
        (1 << 22, 65_537, "a snap length of 65537"),
    ] {
        let error = of(ring_bytes, snap_length).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains(what), "{error}");
    }
}

/// A network namespace with a veth pair, `left` and `right`, both up. It goes when this value goes.
struct Net(String);

impl Net {
    fn new() -> Net {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let net = Net(format!("lt-core-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)));
        ip(&["netns", "add", &net.0]);
        // Otherwise the kernel says hello in IPv6 at moments of its own.
        net.inside(|| std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap());
        net.ip(&["link", "add", "left", "type", "veth", "peer", "name", "right"]);
        for name in ["left", "right", "lo"] {
            net.ip(&["link", "set", name, "up"]);
        }
        net
    }

    fn ip(&self, arguments: &[&str]) {
        ip(&[&["-n", self.0.as_str()], arguments].concat());
    }

    /// Runs something on a thread inside the namespace.
    fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let there = scope.spawn(|| {
                socket::enter(&self.0).unwrap();
                work()
            });
            there.join().unwrap()
        })
    }

    fn send(&self, interface: &str, frames: &[Vec<u8>]) {
        let opened = socket::open(interface, &self.0).unwrap();
        socket::bind(&opened.socket, opened.interface.index).unwrap();
        for frame in frames {
            write(&opened.socket, frame).unwrap();
        }
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

fn ip(arguments: &[&str]) {
    assert!(Command::new("ip").args(arguments).status().unwrap().success(), "ip {arguments:?}");
}

fn write(socket: &OwnedFd, frame: &[u8]) -> io::Result<()> {
    File::from(socket.try_clone()?).write_all(frame)
}

type Seen = (Vec<u8>, u32, u16, LinkType);

/// Polls until `count` frames are there, or nothing comes for two seconds.
fn collect(ring: &mut Ring, count: usize) -> Vec<Seen> {
    let mut seen = vec![];
    while seen.len() < count {
        let polled = ring.poll(2000, |frame| seen.push((frame.data.to_vec(), frame.wire_len, frame.vlan, frame.link)));
        if polled.unwrap() == 0 {
            break;
        }
    }
    seen.extend(rest(ring));
    seen
}

fn rest(ring: &mut Ring) -> Vec<Seen> {
    let mut seen = vec![];
    ring.poll(150, |frame| seen.push((frame.data.to_vec(), frame.wire_len, frame.vlan, frame.link))).unwrap();
    seen
}

fn segment(port: u16, length: usize) -> Vec<u8> {
    ethernet(&[], 0x0800, &ipv4(A4, B4, 6, 0, &[], &tcp(port, 443, 0x18, &[], &vec![7; length])))
}

#[test]
#[ignore = "needs root"]
fn frames_of_a_veth_pair_in_both_directions_with_their_wire_length() {
    let net = Net::new();
    let mut ring = Ring::open(&RingOptions { snap_length: 128, ..options("right", &net.0) }).unwrap();
    let before = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as i64;
    net.send("left", &[segment(1, 0), segment(2, 1000)]);
    net.send("right", &[segment(3, 10)]);
    let mut times = vec![];
    let seen = {
        let mut seen = vec![];
        while seen.len() < 3 {
            let polled = ring.poll(2000, |frame| {
                times.push(frame.time);
                seen.push((frame.data.to_vec(), frame.wire_len));
            });
            assert!(polled.unwrap() > 0, "only {seen:?}");
        }
        seen
    };
    let expected: Vec<(Vec<u8>, u32)> = [segment(1, 0), segment(2, 1000), segment(3, 10)]
        .into_iter()
        .map(|frame| (frame[..frame.len().min(128)].to_vec(), frame.len() as u32))
        .collect();
    assert_eq!(seen, expected);
    assert!(times.iter().all(|time| (before..before + 60_000_000).contains(time)), "{before} {times:?}");
    assert_eq!(ring.statistics().unwrap(), Statistics { packets: 3, dropped: 0, freezes: 0 });
}

#[test]
#[ignore = "needs root"]
fn what_was_captured_last_is_not_left_behind() {
    let net = Net::new();
    let mut ring = Ring::open(&options("right", &net.0)).unwrap();
    net.send("left", &[segment(1, 0), segment(2, 0)]);
    let mut seen = 0;
    assert_eq!(ring.finish(|_| seen += 1).unwrap(), 2);
    net.send("left", &[segment(3, 0)]);
    assert_eq!((seen, rest(&mut ring).len()), (2, 0));
    assert_eq!(ring.statistics().unwrap().packets, 2);
}

#[test]
#[ignore = "needs root"]
fn the_tag_that_the_kernel_takes_out() {
    let net = Net::new();
    let mut ring = Ring::open(&options("right", &net.0)).unwrap();
    let inner = ipv4(A4, B4, 17, 0, &[], &udp(1, 2, b"tagged"));
    net.send("left", &[ethernet(&[(0x8100, 0x6000 | 100)], 0x0800, &inner)]);
    let seen = collect(&mut ring, 1);
    assert_eq!(seen, [(ethernet(&[], 0x0800, &inner), 14 + inner.len() as u32, 100, LinkType::Ethernet)]);
}

#[test]
#[ignore = "needs root"]
fn loopback_counts_once() {
    let net = Net::new();
    let mut ring = Ring::open(&options("lo", &net.0)).unwrap();
    net.inside(|| {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..5 {
            sender.send_to(b"once", receiver.local_addr().unwrap()).unwrap();
        }
    });
    let seen = collect(&mut ring, 5);
    assert_eq!(seen.len(), 5);
    assert!(seen.iter().all(|(data, ..)| data.ends_with(b"once")));
    assert_eq!(ring.statistics().unwrap().packets, 5);
}

#[test]
#[ignore = "needs root"]
fn the_uplink_does_not_reach_the_ring() {
    let net = Net::new();
    let uplink = (IpAddr::from(Ipv4Addr::from(B4)), 443);
    let mut ring = Ring::open(&RingOptions { exclude: vec![uplink], ..options("right", &net.0) }).unwrap();
    let other = ethernet(&[], 0x0800, &ipv4(A4, B4, 6, 0, &[], &tcp(5, 80, 2, &[], b"")));
    let tagged = ethernet(&[(0x8100, 9)], 0x0800, &ipv4(A4, B4, 6, 0, &[], &tcp(5, 443, 2, &[], b"")));
    net.send("left", &[segment(1, 0), tagged, other.clone(), segment(2, 100)]);
    let seen = collect(&mut ring, 1);
    assert_eq!(seen.into_iter().map(|(data, ..)| data).collect::<Vec<_>>(), [other]);
    assert_eq!(ring.statistics().unwrap().packets, 1, "what the filter drops is not a loss");
}

#[test]
#[ignore = "needs root"]
fn a_full_ring_counts_every_frame_that_it_drops() {
    let net = Net::new();
    let mut ring = Ring::open(&RingOptions { ring_bytes: 1 << 16, ..options("right", &net.0) }).unwrap();
    let frames: Vec<_> = (0..2000).map(|port| segment(port, 500)).collect();
    net.send("left", &frames);
    let seen = collect(&mut ring, 2000).len() as u64;
    let statistics = ring.statistics().unwrap();
    assert_eq!((statistics.packets, statistics.dropped), (2000, 2000 - seen));
    assert!(seen > 50 && statistics.dropped > 1000 && statistics.freezes > 0, "{statistics:?}");
    net.send("left", &[segment(9, 1)]);
    assert_eq!(collect(&mut ring, 1).len(), 1, "the ring goes on after a drop");
    assert_eq!(ring.statistics().unwrap().packets, 2001, "counters add up over several readings");
}

#[test]
#[ignore = "needs root"]
fn many_frames_round_the_ring_in_order() {
    let net = Net::new();
    let mut ring = Ring::open(&RingOptions { ring_bytes: 1 << 18, ..options("right", &net.0) }).unwrap();
    let mut ports = vec![];
    for batch in 0..40_u16 {
        let frames: Vec<_> = (0..100).map(|i| segment(batch * 100 + i, usize::from(i) * 10)).collect();
        net.send("left", &frames);
        while ports.len() < usize::from(batch + 1) * 100 {
            let polled = ring.poll(2000, |frame| ports.push(u16::from_be_bytes([frame.data[34], frame.data[35]])));
            assert!(polled.unwrap() > 0, "only {}", ports.len());
        }
    }
    assert!(ports.iter().copied().eq(0..4000), "out of order or foreign");
    assert_eq!(ring.statistics().unwrap(), Statistics { packets: 4000, dropped: 0, freezes: 0 });
}

#[test]
#[ignore = "needs root"]
fn an_interface_that_goes_down_or_away_is_named() {
    let net = Net::new();
    let mut ring = Ring::open(&options("right", &net.0)).unwrap();
    net.send("left", &[segment(1, 0)]);
    net.ip(&["link", "set", "right", "down"]);
    let mut before = 0;
    let error = loop {
        match ring.poll(2000, |_| before += 1) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(before, 1, "what was captured before comes first");
    assert_eq!(error.kind(), io::ErrorKind::NetworkDown);
    assert!(error.to_string().starts_with("interface right: went down: "), "{error}");

    net.ip(&["link", "set", "right", "up"]);
    net.send("left", &[segment(2, 0)]);
    assert_eq!(collect(&mut ring, 1).len(), 1, "the same ring goes on when the interface is back");

    net.ip(&["link", "del", "right"]);
    let error = loop {
        match ring.poll(2000, |_| ()) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(error.to_string().starts_with("interface right: vanished: "), "{error}");
}

#[test]
#[ignore = "needs root"]
fn an_interface_without_link_header() {
    let net = Net::new();
    net.ip(&["tuntap", "add", "mode", "tun", "name", "tun7"]);
    net.ip(&["link", "set", "tun7", "up"]);
    let tun = net.inside(|| {
        let tun = OpenOptions::new().read(true).write(true).open("/dev/net/tun").unwrap();
        // SAFETY: zero is a value of every member.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in request.ifr_name.iter_mut().zip(b"tun7") {
            *to = *from as _;
        }
        request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as _;
        // SAFETY: TUNSETIFF reads one `ifreq`, which outlives the call.
        assert_eq!(unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETIFF as _, &request) }, 0);
        tun
    });
    let uplink = (IpAddr::from(Ipv4Addr::from(B4)), 443);
    let mut ring = Ring::open(&RingOptions { exclude: vec![uplink], ..options("tun7", &net.0) }).unwrap();
    let packet = ipv4(A4, B4, 17, 0, &[], &udp(1, 2, b"bare"));
    (&tun).write_all(&ipv4(A4, B4, 6, 0, &[], &tcp(1, 443, 2, &[], b""))).unwrap();
    (&tun).write_all(&packet).unwrap();
    assert_eq!(collect(&mut ring, 1), [(packet.clone(), packet.len() as u32, 0, LinkType::RawIp)]);
}

#[test]
#[ignore = "needs root"]
fn refusals_name_the_thing() {
    let net = Net::new();
    let refusal = |options: RingOptions| Ring::open(&options).err().unwrap();
    let error = refusal(options("nosuch0", &net.0));
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert_eq!(error.to_string(), "interface nosuch0: there is no such interface");
    assert!(refusal(options("a-name-that-is-too-long", "")).to_string().contains("there is no such interface"));
    let error = refusal(options("right", "lt-no-such-namespace"));
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(error.to_string().starts_with("network namespace lt-no-such-namespace: "), "{error}");
    assert!(refusal(options("right", "../etc")).to_string().contains("not a path"));
    let many = (0..2000_u32).map(|i| (IpAddr::from(Ipv4Addr::from(i)), 1)).collect();
    assert!(refusal(RingOptions { exclude: many, ..options("right", &net.0) }).to_string().contains("exclude list"));
}

#[test]
#[ignore = "needs root"]
fn the_caller_stays_in_its_namespace() {
    let here = || std::fs::read_link("/proc/thread-self/ns/net").unwrap();
    let before = here();
    let net = Net::new();
    let ring = Ring::open(&RingOptions { promiscuous: true, ..options("left", &net.0) }).unwrap();
    assert_eq!(here(), before);
    let flags =
        || net.inside(|| std::process::Command::new("ip").args(["-d", "link", "show", "left"]).output().unwrap());
    assert!(String::from_utf8(flags().stdout).unwrap().contains("promiscuity 1"));
    drop(ring);
    assert!(String::from_utf8(flags().stdout).unwrap().contains("promiscuity 0"));
}
