//! The ports at which somebody listens now, and who.

use std::collections::BTreeSet;
use std::io;
use std::net::Ipv6Addr;
use std::path::Path;

use rustc_hash::FxHashSet;

use super::diag::holders::Walk;
use super::diag::message::{LISTEN, Socket, TCP, UDP};
use super::diag::namespaces::enter;
use super::diag::netlink::{KINDS, Netlink};
use crate::engine::transport;
use crate::host::procfs::Procfs;

/// A socket that waits for others. What its holders do not agree on has several values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    pub transport: &'static str,
    pub address: String,
    pub port: u16,
    pub uid: u32,
    pub names: BTreeSet<String>,
    pub executables: BTreeSet<String>,
    pub units: BTreeSet<String>,
}

/// TCP listeners and UDP sockets without a peer. `namespace`: file of the network namespace, or None for ours; that one is
/// also looked at if the other may not be entered. `proc`: a mounted proc(5). What vanishes meanwhile, or may not be looked
/// into, has no values.
pub fn listening(proc: &Path, namespace: Option<&Path>) -> io::Result<Vec<Port>> {
    let entered = namespace.and_then(|path| enter(path, 0).ok());
    let mut netlink = match entered {
        Some(netlink) => netlink,
        None => Netlink::here()?,
    };
    let mut sockets = Vec::new();
    for kind in KINDS {
        match netlink.dump(kind, &mut sockets) {
            // Without UDP or IPv6 there are no such ports.
            Err(error) if kind == KINDS[0] => return Err(error),
            _ => {}
        }
    }
    sockets.retain(|one| matches!((one.protocol, one.state, one.remote_port), (TCP, LISTEN, _) | (UDP, _, 0)));
    let wanted: FxHashSet<u32> = sockets.iter().map(|socket| socket.inode).collect();
    let mut walk = Walk::new(proc, &wanted);
    walk.confirm(proc, |_| false);
    let procfs = Procfs::new(proc);
    Ok(sockets.iter().map(|socket| port(socket, &walk, &procfs)).collect())
}

fn port(socket: &Socket, walk: &Walk, procfs: &Procfs) -> Port {
    let holders = walk.holders.get(&socket.inode).map_or(&[][..], Vec::as_slice);
    let mut port = Port {
        transport: transport(socket.protocol),
        address: Ipv6Addr::from(socket.local).to_canonical().to_string(),
        port: socket.local_port,
        uid: socket.uid,
        names: BTreeSet::new(),
        executables: BTreeSet::new(),
        units: BTreeSet::new(),
    };
    for seen in holders.iter().filter_map(|pid| Some((procfs.read(*pid)?, procfs.place(*pid)))) {
        port.names.insert(seen.0.name);
        port.executables.insert(seen.0.image.executable);
        port.units.extend(seen.1.map(|(place, ..)| place.unit).filter(|unit| !unit.is_empty()));
    }
    port
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};

    #[test]
    fn our_own_ports_are_ours() {
        let tcp = TcpListener::bind("[::1]:0").expect("bound");
        let udp = UdpSocket::bind("127.0.0.1:0").expect("bound");
        let ports = listening(Path::new("/proc"), None).expect("sock_diag");
        for (transport, end) in [("tcp", tcp.local_addr()), ("udp", udp.local_addr())] {
            let end = end.expect("bound");
            let mut ours = ports.iter().filter(|port| port.transport == transport && port.port == end.port());
            let ours = ours.find(|port| port.address == end.ip().to_string()).expect("listed");
            let me = std::env::current_exe().expect("known").to_string_lossy().into_owned();
            assert!(ours.executables.contains(&me), "{ours:?}");
        }
    }
}
