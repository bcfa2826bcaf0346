/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The owner of a socket, kept in the socket itself, and what is told of it.
 */
#ifndef LUYTRE_SOCKET_OWNER_H
#define LUYTRE_SOCKET_OWNER_H

#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "ring.h"
#include "socket_kernel.h"
#include "socket_record.h"

/* After so many changes of hands a socket counts as shared, and its owner stays. */
#define MOST_CHANGES 2

enum role { UNKNOWN, ACTIVE, PASSIVE, LISTENER };

struct owner {
	__u64 start, cgroup, since;
	/* When the socket was made; 0 if it is older. */
	__u64 made;
	__u32 pid, uid;
	char comm[16];
	/* seed: found when the programs began, and not seen to be used yet. */
	__u8 role, told, used, changes, tentative, seed, reserved[2];
	/* UDP: what was told, because the endpoints cannot be read when the socket is released. */
	__u16 local_port, remote_port;
	__u32 padding;
	__u8 local[16], remote[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct owner);
} OWNERS SEC(".maps");

static __always_inline int ours(__u32 family, __u32 protocol)
{
	return (family == AF_INET || family == AF_INET6) && (protocol == TCP || protocol == UDP);
}

static __always_inline void take_hold(struct owner *owner)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	owner->pid = bpf_get_current_pid_tgid() >> 32;
	owner->uid = bpf_get_current_uid_gid();
	owner->start = BPF_CORE_READ(task, group_leader, start_boottime);
	owner->cgroup = bpf_get_current_cgroup_id();
	owner->tentative = 0;
	/* The command name of the thread, as everybody shows it. */
	bpf_get_current_comm(owner->comm, sizeof(owner->comm));
}

static __always_inline void describe(struct socket_record *r, struct owner *owner)
{
	r->time = bpf_ktime_get_boot_ns();
	r->since = owner->since ? owner->since : r->time;
	r->start = owner->start;
	r->cgroup = owner->cgroup;
	r->pid = owner->pid;
	r->uid = owner->uid;
	__builtin_memcpy(r->comm, owner->comm, sizeof(r->comm));
	if (owner->role == PASSIVE)
		r->flags |= LT_PASSIVE;
	if (owner->tentative)
		r->flags |= LT_TENTATIVE;
	if (owner->used)
		r->flags |= LT_USED;
	if (owner->changes > MOST_CHANGES)
		r->flags |= LT_SHARED;
	if (owner->changes)
		r->flags |= LT_HANDED;
}

static __always_inline void mapped(__u8 *address, __u32 four)
{
	__builtin_memset(address, 0, 10);
	address[10] = address[11] = 0xff;
	__builtin_memcpy(address + 12, &four, 4);
}

static __always_inline void keep(struct owner *owner, struct socket_record *r)
{
	owner->local_port = r->local_port;
	owner->remote_port = r->remote_port;
	__builtin_memcpy(owner->local, r->local, sizeof(r->local));
	__builtin_memcpy(owner->remote, r->remote, sizeof(r->remote));
}

static __always_inline void tell(struct sock *sk, struct owner *owner, __u32 kind, __u32 flags)
{
	struct socket_record r = {.kind = kind, .flags = flags};

	describe(&r, owner);
	r.cookie = bpf_get_socket_cookie(sk);
	r.netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, net_cookie);
	r.protocol = flags & LT_CARRIED ? TCP : BPF_CORE_READ(sk, sk_protocol);
	/* At close skc_num is already 0 for ephemeral ports. */
	r.local_port = bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
	r.remote_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET) {
		mapped(r.local, BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr));
		mapped(r.remote, BPF_CORE_READ(sk, __sk_common.skc_daddr));
	} else {
		BPF_CORE_READ_INTO(&r.local, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&r.remote, sk, __sk_common.skc_v6_daddr);
	}
	if (kind == LT_CLOSE && r.protocol == TCP && !(flags & (LT_LISTENER | LT_CARRIED))) {
		struct tcp_sock *tcp = (struct tcp_sock *)sk;
		r.sent = BPF_CORE_READ(tcp, bytes_sent) - BPF_CORE_READ(tcp, bytes_retrans);
		r.received = BPF_CORE_READ(tcp, bytes_received);
		r.fin = r.received && BPF_CORE_READ(sk, __sk_common.skc_flags) & SOCK_DONE;
		r.rtt = BPF_CORE_READ(tcp, srtt_us) >> 3;
	}
	if (r.protocol == UDP)
		keep(owner, &r);
	submit(&r, sizeof(r), r.time);
}

#endif
