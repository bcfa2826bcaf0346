//! Why a frame gave no packet: one counter for each cause.

macro_rules! causes {
    ($($(#[$meaning:meta])* $cause:ident => $name:literal,)*) => {
        /// Why a frame gave no packet.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Undecoded {
            $($(#[$meaning])* $cause,)*
        }

        impl Undecoded {
            /// Every cause; `cause as usize` is its index here.
            pub const ALL: &'static [Undecoded] = &[$(Undecoded::$cause,)*];

            /// The name in counters.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Undecoded::$cause => $name,)*
                }
            }
        }
    };
}

causes! {
    /// ARP, LLDP, spanning tree and whatever else is not IP. Not a fault.
    NotIp => "not_ip",
    /// Fewer bytes than an Ethernet header with its tags.
    TruncatedEthernet => "truncated_ethernet",
    /// Fewer bytes than the Linux cooked header.
    TruncatedSll => "truncated_sll",
    /// Fewer bytes than the address family of a BSD loopback header.
    TruncatedLoopback => "truncated_loopback",
    /// More VLAN tags than any network nests.
    TooManyTags => "too_many_vlan_tags",
    /// The version nibble is neither 4 nor 6, or not the one that the link header says.
    BadIpVersion => "bad_ip_version",
    /// Fewer captured bytes than the IPv4 header has.
    TruncatedIpv4 => "truncated_ipv4",
    /// An IPv4 header length below 20 bytes.
    BadIpv4HeaderLength => "bad_ipv4_header_length",
    /// An IPv4 total length smaller than the header or larger than the frame.
    BadIpv4Length => "bad_ipv4_length",
    /// Fewer captured bytes than the IPv6 header has.
    TruncatedIpv6 => "truncated_ipv6",
    /// An IPv6 payload length larger than the frame.
    BadIpv6Length => "bad_ipv6_length",
    /// An extension header that ends beyond the capture or the packet.
    TruncatedIpv6Extension => "truncated_ipv6_extension",
    /// More extension headers than any sender has use for.
    TooManyIpv6Extensions => "too_many_ipv6_extensions",
    /// Fewer bytes than a TCP header; also a first fragment made that small.
    TruncatedTcp => "truncated_tcp",
    /// A TCP data offset below 20 bytes or beyond the packet.
    BadTcpHeaderLength => "bad_tcp_header_length",
    /// Fewer bytes than a UDP header.
    TruncatedUdp => "truncated_udp",
    /// A UDP length of 1 to 7.
    BadUdpLength => "bad_udp_length",
    /// Fewer bytes than an ICMP header.
    TruncatedIcmp => "truncated_icmp",
    /// Fewer bytes than an SCTP common header.
    TruncatedSctp => "truncated_sctp",
}
