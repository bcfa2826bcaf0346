use super::super::input::Input;
use super::{Fault, FileReader, MAX_PACKET, count};
use crate::capture::{CaptureError, LinkType};
use proptest::prelude::*;
use std::io::{Cursor, Write};
use std::path::Path;

type Packet = (i64, LinkType, Vec<u8>, u32);

/// Writes numbers in one byte order.
#[derive(Clone, Copy, Debug)]
enum Order {
    Big,
    Little,
}

impl Order {
    fn word(self, value: u32) -> [u8; 4] {
        match self {
            Order::Big => value.to_be_bytes(),
            Order::Little => value.to_le_bytes(),
        }
    }

    fn half(self, value: u16) -> [u8; 2] {
        match self {
            Order::Big => value.to_be_bytes(),
            Order::Little => value.to_le_bytes(),
        }
    }
}

fn pcap(order: Order, magic: u32, link: u32, records: &[(u32, u32, &[u8], u32)]) -> Vec<u8> {
    let mut file = order.word(magic).to_vec();
    file.extend([order.half(2), order.half(4)].concat());
    for word in [0, 0, 65_535, link] {
        file.extend(order.word(word));
    }
    for (seconds, fraction, data, wire_len) in records {
        for word in [*seconds, *fraction, data.len() as u32, *wire_len] {
            file.extend(order.word(word));
        }
        if magic == 0xa1b2_cd34 {
            file.extend([0; 8]);
        }
        file.extend(*data);
    }
    file
}

fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let padding = vec![0; body.len().next_multiple_of(4) - body.len()];
    let total = order.word((12 + body.len() + padding.len()) as u32);
    [&order.word(kind)[..], &total, body, &padding, &total].concat()
}

fn section(order: Order) -> Vec<u8> {
    let body = [&order.word(0x1a2b_3c4d)[..], &order.half(1), &order.half(0), &[0xff; 8]].concat();
    block(order, 0x0a0d_0d0a, &body)
}

fn interface(order: Order, link: u16, snap: u32, options: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = [&order.half(link)[..], &[0, 0], &order.word(snap)].concat();
    for (code, value) in options {
        body.extend(order.half(*code));
        body.extend(order.half(value.len() as u16));
        body.extend(*value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    block(order, 1, &body)
}

fn enhanced(order: Order, number: u32, stamp: u64, data: &[u8], wire_len: u32) -> Vec<u8> {
    let words = [number, (stamp >> 32) as u32, stamp as u32, data.len() as u32, wire_len];
    let body = [&words.map(|word| order.word(word)).concat()[..], data].concat();
    block(order, 6, &body)
}

fn reader(file: &[u8]) -> Result<FileReader, CaptureError> {
    FileReader::start(Path::new("a.pcap"), Input::new(Box::new(Cursor::new(file.to_vec()))))
}

/// Everything that can be read, and the fault that ended it.
fn read(file: &[u8]) -> (Vec<Packet>, Option<CaptureError>) {
    match reader(file) {
        Ok(reader) => drain(reader),
        Err(error) => (vec![], Some(error)),
    }
}

fn drain(mut reader: FileReader) -> (Vec<Packet>, Option<CaptureError>) {
    let mut packets = vec![];
    loop {
        match reader.next() {
            Ok(Some(frame)) => packets.push((frame.time, frame.link, frame.data.to_vec(), frame.wire_len)),
            Ok(None) => return (packets, None),
            Err(error) => {
                assert!(matches!(reader.next(), Ok(None)), "after a fault the file is over");
                return (packets, Some(error));
            }
        }
    }
}

fn fault(file: &[u8]) -> String {
    read(file).1.expect("a fault").to_string()
}

#[test]
fn pcap_in_both_byte_orders_and_resolutions() {
    for order in [Order::Big, Order::Little] {
        for (magic, fraction) in [(0xa1b2_c3d4, 250_001), (0xa1b2_3c4d, 250_001_999), (0xa1b2_cd34, 250_001)] {
            let records: &[(u32, u32, &[u8], u32)] =
                &[(1_700_000_000, fraction, b"abcd", 4), (4_294_967_295, fraction, b"", 1500)];
            let (packets, fault) = read(&pcap(order, magic, 1, records));
            assert!(fault.is_none());
            assert_eq!(
                packets,
                [
                    (1_700_000_000_250_001, LinkType::Ethernet, b"abcd".to_vec(), 4),
                    (4_294_967_295_250_001, LinkType::Ethernet, vec![], 1500),
                ]
            );
        }
    }
}

#[test]
fn link_types_of_pcap() {
    let link = |number| read(&pcap(Order::Little, 0xa1b2_c3d4, number, &[(0, 0, b"x", 1)])).0[0].1;
    assert_eq!(link(101), LinkType::RawIp);
    assert_eq!(link(113), LinkType::LinuxSll);
    assert_eq!(link(276), LinkType::LinuxSll2);
    assert_eq!(link(0), LinkType::Loopback);
    assert_eq!(link(0x2400_0001), LinkType::Ethernet, "the upper bits tell of check sequences");
}

#[test]
fn pcapng_with_several_sections_and_interfaces() {
    let mut file = vec![];
    for order in [Order::Little, Order::Big] {
        let offset = match order {
            Order::Big => 100_i64.to_be_bytes(),
            Order::Little => 100_i64.to_le_bytes(),
        };
        file.extend(section(order));
        file.extend(block(order, 0x0bad, &[7; 33]));
        file.extend(interface(order, 1, 0, &[(2, b"eth0"), (9, &[9]), (0, b"")]));
        file.extend(interface(order, 101, 3, &[(14, &offset)]));
        file.extend(interface(order, 101, 0, &[(9, &[0x80 | 10])]));
        file.extend(enhanced(order, 0, 1_700_000_000_123_456_789, b"nano!", 60));
        file.extend(enhanced(order, 1, 5_000_001, b"offset", 6));
        file.extend(enhanced(order, 2, 1024 * 3 + 512, b"binary", 6));
        let old = [&order.half(1)[..], &order.half(0), &[0, 0, 0, 1].map(|w| order.word(w)).concat(), b"o"].concat();
        file.extend(block(order, 2, &old));
        file.extend(block(order, 3, &[&order.word(1500)[..], b"simple"].concat()));
    }
    let (packets, fault) = read(&file);
    assert!(fault.is_none(), "{fault:?}");
    let section = [
        (1_700_000_000_123_456, LinkType::Ethernet, b"nano!".to_vec(), 60),
        (105_000_001, LinkType::RawIp, b"offset".to_vec(), 6),
        (3_500_000, LinkType::RawIp, b"binary".to_vec(), 6),
        (100_000_000, LinkType::RawIp, vec![], 1),
        // Its length is not written, so the padding stays.
        (100_000_000, LinkType::Ethernet, b"simple\0\0".to_vec(), 1500),
    ];
    assert_eq!(packets[..5], section);
    assert_eq!(packets[5..], section);
}

#[test]
fn resolutions_beyond_reason() {
    let order = Order::Little;
    let time = |resolution: u8| {
        let parts =
            [section(order), interface(order, 1, 0, &[(9, &[resolution])]), enhanced(order, 0, u64::MAX, b"", 0)];
        read(&parts.concat()).0[0].0
    };
    assert_eq!(time(0), i64::MAX);
    assert_eq!(time(3), i64::MAX);
    assert_eq!(time(9), 18_446_744_073_709_551);
    assert_eq!(time(127), 1);
    assert_eq!(time(0x80), i64::MAX);
    assert_eq!(time(0xff), 0);
}

#[test]
fn an_unknown_link_type_is_refused_at_once_unless_others_are_known() {
    let file = pcap(Order::Little, 0xa1b2_c3d4, 999, &[]);
    assert!(matches!(reader(&file), Err(CaptureError { fault: Fault::UnknownLink(999), .. })));
    assert!(fault(&file).starts_with("a.pcap: unknown link type 999 at byte 0; known are Ethernet (1),"));

    let order = Order::Big;
    let strange = [section(order), interface(order, 220, 0, &[]), enhanced(order, 0, 1, b"usb", 3)].concat();
    assert!(matches!(reader(&strange), Err(CaptureError { fault: Fault::UnknownLink(220), at: 48, .. })));

    let parts = [
        section(order),
        interface(order, 220, 0, &[]),
        interface(order, 1, 0, &[]),
        enhanced(order, 0, 1, b"usb", 3),
        enhanced(order, 1, 2, b"ethernet", 8),
    ];
    let mut reader = reader(&parts.concat()).unwrap();
    assert_eq!(reader.next().unwrap().unwrap().data, b"ethernet");
    assert_eq!(reader.skipped(), 1);
}

#[test]
fn what_is_no_capture_file() {
    assert!(fault(b"").contains("not a capture file: it is empty; give a pcap"));
    assert!(fault(b"ab").contains("it is too short"));
    assert!(fault(b"#!/bin/sh\n").contains("it begins with neither the number of pcap"));
    assert!(fault(b"\xfd7zXZ\0").contains("compressed with xz"));
    let missing = FileReader::open("/no/such/file.pcap").err().unwrap();
    assert_eq!(missing.to_string(), "/no/such/file.pcap: No such file or directory (os error 2)");
    assert!(missing.system().is_some());
    assert_eq!(FileReader::open("/").err().unwrap().to_string(), "/: Is a directory (os error 21)");
}

#[test]
fn records_that_lie_about_their_length() {
    let mut file = pcap(Order::Little, 0xa1b2_c3d4, 1, &[(1, 1, b"good", 4)]);
    file.extend([1, 0, 0, 0, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 4, 0, 0, 0, 1, 2, 3, 4]);
    let (packets, error) = read(&file);
    assert_eq!(packets.len(), 1);
    assert_eq!(
        error.unwrap().to_string(),
        "a.pcap: record that says 4294967295 bytes, more than it can have, at byte 44; the file is damaged there"
    );

    let order = Order::Little;
    let start = [section(order), interface(order, 1, 0, &[]), enhanced(order, 0, 1, b"good", 4)].concat();
    let end = |tail: &[u8]| {
        let (packets, error) = read(&[&start[..], tail].concat());
        assert_eq!(packets.len(), 1);
        let error = error.unwrap();
        assert_eq!(error.at, start.len() as u64, "{error}");
        error.to_string()
    };
    assert!(end(&[6, 0, 0, 0, 0xf0, 0xff, 0xff, 0xff, 0, 0, 0, 0]).contains("record that says 4294967280 bytes"));
    assert!(end(&[6, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]).contains("block that says its length is 7"));
    assert!(end(&[9, 0, 0, 0, 0xf0, 0xff, 0xff, 0xff, 0, 0, 0, 0]).contains("ends inside the record"));
    assert!(end(&enhanced(order, 7, 1, b"x", 1)).contains("packet of interface 7 where 1 are described"));
    assert!(end(&block(order, 6, &[0; 8])).contains("packet block shorter than its header"));
    let mut wrong = enhanced(order, 0, 1, b"abcd", 4);
    wrong[20] = 200;
    assert!(end(&wrong).contains("record that says 200 bytes"));
    let mut differ = enhanced(order, 0, 1, b"abcd", 4);
    *differ.last_mut().unwrap() = 1;
    assert!(end(&differ).contains("two lengths differ"));
    let mut order_mark = section(order);
    order_mark[8] = 0;
    assert!(end(&order_mark).contains("byte order mark 0x1a2b3c00"));
    assert!(end(&interface(order, 1, 0, &[])[..16]).contains("ends inside the record"));
    assert!(end(&block(order, 1, &[1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 9, 0])).contains("option longer than its block"));
    assert!(end(&block(order, 1, &[1, 0])).contains("interface description of less than 20 bytes"));
}

#[test]
fn a_file_cut_anywhere_gives_what_came_before() {
    let order = Order::Little;
    let classic = pcap(order, 0xa1b2_c3d4, 1, &[(1, 1, &[1; 40], 40), (2, 2, &[2; 30], 30)]);
    let sizes = [24, 80, 126];
    for end in 24..classic.len() {
        let (packets, fault) = read(&classic[..end]);
        let whole = sizes.iter().filter(|size| end >= **size).count() - 1;
        assert_eq!(packets.len(), whole);
        match fault {
            None => assert!(sizes.contains(&end)),
            Some(fault) => assert_eq!((fault.at, matches!(fault.fault, Fault::Truncated)), (sizes[whole] as u64, true)),
        }
    }
    let parts =
        [section(order), interface(order, 1, 0, &[]), enhanced(order, 0, 1, b"a", 1), enhanced(order, 0, 1, b"b", 1)];
    let modern = parts.concat();
    for end in 4..modern.len() {
        let (packets, fault) = read(&modern[..end]);
        assert_eq!(packets.len(), usize::from(end >= modern.len() - 36));
        assert_eq!(fault.is_none(), [28, 48, 84].contains(&end), "cut at {end}: {fault:?}");
    }
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A file on disk, since only `open` looks for compression.
struct OnDisk(std::path::PathBuf);

impl OnDisk {
    fn new(name: &str, content: &[u8]) -> OnDisk {
        let path = std::env::temp_dir().join(format!("luytre-core-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        OnDisk(path)
    }
}

impl Drop for OnDisk {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// More than one window of the reader, with packets of many sizes up to the largest.
fn large() -> (Vec<u8>, u64, u64) {
    let noise: Vec<u8> = (0..MAX_PACKET).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let sizes = (0..4000).map(|i| (i * 7919) % 1515).chain([MAX_PACKET as usize, 60, MAX_PACKET as usize - 1]);
    let records: Vec<(u32, u32, &[u8], u32)> = sizes.map(|size| (1, 2, &noise[..size], size as u32)).collect();
    let bytes = records.iter().map(|record| record.2.len() as u64).sum();
    (pcap(Order::Little, 0xa1b2_c3d4, 1, &records), records.len() as u64, bytes)
}

#[test]
fn plain_gzip_and_zstd_read_the_same() {
    let (file, packets, bytes) = large();
    let half = file.len() / 2;
    for (name, content) in [
        ("plain", file.clone()),
        ("gz", gzip(&file)),
        ("zst", zstd(&file)),
        ("members.gz", [gzip(&file[..half]), gzip(&file[half..])].concat()),
        ("frames.zst", [zstd(&file[..half]), zstd(&file[half..])].concat()),
    ] {
        let disk = OnDisk::new(name, &content);
        assert_eq!(count(&disk.0).unwrap(), (packets, bytes), "{name}");
    }
}

#[test]
fn a_damaged_compressed_stream_is_named() {
    let (file, packets, _) = large();
    for (name, content) in [("cut.gz", gzip(&file)), ("cut.zst", zstd(&file))] {
        let disk = OnDisk::new(name, &content[..content.len() / 2]);
        let (read, error) = drain(FileReader::open(&disk.0).unwrap());
        assert!(!read.is_empty() && (read.len() as u64) < packets, "{name} gave {}", read.len());
        let error = error.unwrap();
        assert!(error.system().is_none());
        assert!(error.to_string().contains("the compressed stream is damaged or cut off after byte"), "{error}");
    }
    let disk = OnDisk::new("twice.gz", &gzip(&gzip(&file)));
    assert!(FileReader::open(&disk.0).err().unwrap().to_string().contains("compressed twice"));
}

#[test]
fn captures_one_behind_the_other_are_read_wholly() {
    use Order::{Big, Little};
    let records: [(u32, u32, &[u8], u32); 2] = [(1, 0, b"one", 3), (2, 0, b"", 0)];
    let first = pcap(Little, 0xa1b2_c3d4, 1, &records);
    let second = pcap(Big, 0xa1b2_3c4d, 101, &[(3, 5_000, b"three", 5)]);
    let wanted = vec![
        (1_000_000, LinkType::Ethernet, b"one".to_vec(), 3),
        (2_000_000, LinkType::Ethernet, Vec::new(), 0),
        (3_000_005, LinkType::RawIp, b"three".to_vec(), 5),
    ];
    for (name, content) in [
        ("plain.pcap", [first.clone(), second.clone()].concat()),
        ("two.pcap.gz", [gzip(&first), gzip(&second)].concat()),
        ("two.pcap.zst", [zstd(&first), zstd(&second)].concat()),
    ] {
        let disk = OnDisk::new(name, &content);
        let (read, error) = drain(FileReader::open(&disk.0).unwrap());
        assert_eq!((read, error.map(|error| error.to_string())), (wanted.clone(), None), "{name}");
    }
    let sections = [section(Little), interface(Little, 1, 0, &[]), enhanced(Little, 0, 7, b"x", 1)].concat();
    let disk = OnDisk::new("mixed.pcap.gz", &[gzip(&first), gzip(&sections)].concat());
    let (read, error) = drain(FileReader::open(&disk.0).unwrap());
    assert_eq!(read.len(), 2);
    assert!(error.unwrap().to_string().contains("the file is damaged there"), "two formats in one are refused");
    let unknown = pcap(Little, 0xa1b2_c3d4, 147, &[]);
    let (read, error) = drain(reader(&[first, unknown].concat()).unwrap());
    assert_eq!(read.len(), 2);
    assert!(error.unwrap().to_string().contains("unknown link type 147"));
}

#[test]
fn waiting_for_a_writer_can_be_ended() {
    let fifo = OnDisk::new("fifo.pcap", b"");
    std::fs::remove_file(&fifo.0).unwrap();
    let path = std::ffi::CString::new(fifo.0.as_os_str().as_encoded_bytes()).unwrap();
    // SAFETY: `path` is a string that ends with NUL.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    let stop: super::OnSignal = || Err(std::io::Error::from_raw_os_error(libc::ECANCELED));
    let error = FileReader::open_until(&fifo.0, stop).err().unwrap();
    assert_eq!(error.system().and_then(std::io::Error::raw_os_error), Some(libc::ECANCELED));
    let content = pcap(Order::Little, 0xa1b2_c3d4, 1, &[(1, 0, b"one", 3)]);
    let (name, (head, tail)) = (fifo.0.clone(), content.split_at(30));
    let (head, tail) = (head.to_vec(), tail.to_vec());
    let writer = std::thread::spawn(move || {
        let mut file = std::fs::OpenOptions::new().write(true).open(name).unwrap();
        for part in [head, tail] {
            file.write_all(&part).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    });
    let (read, error) = drain(FileReader::open(&fifo.0).unwrap());
    writer.join().unwrap();
    assert_eq!((read.len(), error.map(|error| error.to_string())), (1, None));
}

proptest! {
    #[test]
    fn any_bytes_after_a_valid_beginning(
        tail in prop::collection::vec(any::<u8>(), 0..300),
        modern: bool,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let order = Order::Little;
        let mut file = if modern {
            [section(order), interface(order, 1, 9, &[(9, &[9])]), enhanced(order, 0, 1, b"abc", 3)].concat()
        } else {
            pcap(order, 0xa1b2_c3d4, 1, &[(1, 1, b"abc", 3)])
        };
        file.extend(tail);
        for (at, value) in changes {
            let at = at.index(file.len());
            file[at] = value;
        }
        let (packets, _) = read(&file);
        for (_, _, data, wire_len) in packets {
            prop_assert!(data.len() <= file.len() && data.len() <= wire_len as usize);
        }
    }
}
