/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What sockets.bpf.c reads of the kernel: only the members that are used; the loader relocates them by name (CO-RE).
 */
#ifndef LUYTRE_SOCKET_KERNEL_H
#define LUYTRE_SOCKET_KERNEL_H

#include <linux/types.h>

#define AF_INET 2
#define AF_INET6 10
#define TCP 6
#define UDP 17
#define MPTCP 262
/* include/net/tcp_states.h */
#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_SYN_RECV 3
#define TCP_CLOSE 7
#define TCP_CLOSE_WAIT 8
#define TCP_LISTEN 10
#define SOCK_DONE 2 /* include/net/sock.h: bit 1 of skc_flags, the peer has sent a FIN */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	__u32 val;
} kuid_t;

struct cred {
	kuid_t uid;
};

struct task_struct {
	__s32 tgid;
	__u64 start_boottime;
	struct task_struct *group_leader;
	const struct cred *cred;
	char comm[16];
};

struct net {
	__u64 net_cookie;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct in6_addr {
	union {
		__u8 u6_addr8[16];
	} in6_u;
};

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	unsigned long skc_flags;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
};

struct inet_sock {
	struct sock sk;
	__be16 inet_sport;
};

struct tcp_sock {
	__u64 bytes_received;
	__u64 bytes_sent;
	__u64 bytes_acked;
	__u64 bytes_retrans;
	__u32 packets_out;
	__u32 srtt_us;
};

#pragma clang attribute pop

#endif
