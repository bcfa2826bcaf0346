/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The records that sockets.bpf.c puts on its ring buffer, read by core/src/host/sockets/record.rs.
 *
 * Native byte order, 144 bytes. Times are nanoseconds of CLOCK_BOOTTIME; ids are those of the initial namespaces.
 */
#ifndef LUYTRE_SOCKET_RECORD_H
#define LUYTRE_SOCKET_RECORD_H

#define LT_CONNECT 1 /* TCP: established; UDP: first datagram to or from a peer */
#define LT_ACCEPT 2  /* established from a listener; LT_TENTATIVE until a process used it */
#define LT_LISTEN 3
#define LT_BIND 4    /* UDP: first datagram received without a peer */
#define LT_CLOSE 5
#define LT_OWNER 6   /* another process uses the socket now */
#define LT_SEED 7    /* first use of a TCP connection older than the programs */

/* Flags. */
#define LT_TENTATIVE 1 /* the owner is the listener's; who accepts is not known yet */
#define LT_UNTOLD 2    /* close: no connect or accept was told before */
#define LT_SHARED 4    /* several processes use the socket in turn */
#define LT_PASSIVE 8   /* the peer opened the connection */
#define LT_LISTENER 16 /* close of a listener */
#define LT_USED 32     /* the owner sent, received or connected; otherwise it only made the socket */
#define LT_HANDED 128  /* another process had used the socket before the owner did */
#define LT_CARRIED 256 /* MPTCP: other connections carry this one, and are told of themselves */
#define LT_UNCONNECTED 64 /* UDP: the socket may have other peers as well */

struct socket_record {
	__u32 kind;       /*   0 */
	__u32 flags;      /*   4 */
	__u64 time;       /*   8 */
	__u64 cookie;     /*  16 socket cookie */
	__u64 netns;      /*  24 cookie of the network namespace */
	__u64 start;      /*  32 when the owner was created */
	__u64 cgroup;     /*  40 cgroup v2 id of the owner */
	__u64 since;      /*  48 when the connection began: connect, first datagram, accept */
	__u64 sent;       /*  56 close of TCP: payload bytes sent, without those sent again */
	__u64 received;   /*  64 close of TCP: payload bytes received, and the FIN */
	__u32 pid;        /*  72 0: unknown */
	__u32 uid;        /*  76 */
	__u32 rtt;        /*  80 close of TCP: smoothed round-trip time, microseconds */
	__u16 local_port; /*  84 host byte order, as the next */
	__u16 remote_port;/*  86 */
	__u8 local[16];   /*  88 IPv6, or IPv4 mapped; any is :: or ::ffff:0.0.0.0 */
	__u8 remote[16];  /* 104 */
	__u8 protocol;    /* 120 */
	__u8 fin;         /* 121 1: `received` counts a FIN */
	__u8 reserved[6]; /* 122 */
	char comm[16];    /* 128 NUL-padded */
};                    /* 144 */

_Static_assert(sizeof(struct socket_record) == 144, "the layout is read by core/src/host/sockets/record.rs");

#endif
