/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Who owns a socket. The owner is kept in the socket itself (SK_STORAGE, cloned from listener to connection), written
 * where the kernel runs for the process: when it makes the socket, connects, sends and receives. When a connection is
 * established or closed the kernel often runs for somebody else, so there the owner is only read.
 *
 * cgroup hooks at the root of cgroup v2, and BTF tracepoints. Before Linux 6.3 there are no sock_send_length and
 * sock_recv_length: then who accepts is not known, and UDP servers are told of when they bind.
 */
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "socket_owner.h"
#include "socket_seed.h"

struct peer {
	__u64 cookie;
	__u32 address[4];
	__u32 port;
	__u32 reserved;
};

/* Peers that unconnected UDP sockets were told to have; forgetting one only tells of it again. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct peer);
	__type(value, __u8);
} PEERS SEC(".maps");

SEC("cgroup/sock_create")
int on_create(struct bpf_sock *sk)
{
	if (ours(sk->family, sk->protocol)) {
		struct owner *owner = bpf_sk_storage_get(&OWNERS, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
		if (owner) {
			take_hold(owner);
			owner->made = bpf_ktime_get_boot_ns();
		}
	}
	return 1;
}

static __always_inline struct owner *user(struct bpf_sock_addr *context)
{
	struct bpf_sock *sk = context->sk;
	struct owner *owner;

	if (!sk || !ours(context->family, context->protocol))
		return 0;
	owner = bpf_sk_storage_get(&OWNERS, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (owner && (!owner->used || owner->pid != bpf_get_current_pid_tgid() >> 32)) {
		if (owner->used && owner->changes <= MOST_CHANGES)
			owner->changes++;
		if (owner->changes <= MOST_CHANGES)
			take_hold(owner);
		owner->used = 1;
	}
	return owner;
}

static __always_inline int connecting(struct bpf_sock_addr *context)
{
	struct owner *owner = user(context);

	if (owner) {
		owner->since = bpf_ktime_get_boot_ns();
		owner->told = 0;
	}
	return 1;
}

SEC("cgroup/connect4")
int on_connect4(struct bpf_sock_addr *context)
{
	return connecting(context);
}

SEC("cgroup/connect6")
int on_connect6(struct bpf_sock_addr *context)
{
	return connecting(context);
}

static __always_inline void local_address(struct socket_record *r, struct bpf_sock *sk, int six)
{
	if (six) {
		__u32 local[4] = {sk->src_ip6[0], sk->src_ip6[1], sk->src_ip6[2], sk->src_ip6[3]};
		__builtin_memcpy(r->local, local, sizeof(r->local));
	} else {
		mapped(r->local, sk->src_ip4);
	}
}

static __always_inline int sending(struct bpf_sock_addr *context, int six)
{
	struct owner *owner = user(context);
	struct bpf_sock *sk = context->sk;
	struct peer peer = {};
	__u8 one = 1;
	struct socket_record r = {.kind = LT_CONNECT, .flags = LT_UNCONNECTED};

	/* A server that answers: its port is known already. */
	if (!owner || !sk || owner->told == 2)
		return 1;
	peer.cookie = bpf_get_socket_cookie(context);
	peer.port = context->user_port;
	if (six) {
		peer.address[0] = context->user_ip6[0];
		peer.address[1] = context->user_ip6[1];
		peer.address[2] = context->user_ip6[2];
		peer.address[3] = context->user_ip6[3];
	} else {
		mapped((__u8 *)peer.address, context->user_ip4);
	}
	if (bpf_map_update_elem(&PEERS, &peer, &one, BPF_NOEXIST))
		return 1;
	owner->told = 1;
	owner->role = ACTIVE;
	if (!owner->since)
		owner->since = bpf_ktime_get_boot_ns();
	describe(&r, owner);
	r.cookie = peer.cookie;
	r.netns = bpf_get_netns_cookie(context);
	r.protocol = UDP;
	r.local_port = sk->src_port;
	r.remote_port = bpf_ntohs(peer.port);
	__builtin_memcpy(r.remote, peer.address, sizeof(r.remote));
	local_address(&r, sk, six);
	keep(owner, &r);
	submit(&r, sizeof(r), r.time);
	return 1;
}

SEC("cgroup/sendmsg4")
int on_sendmsg4(struct bpf_sock_addr *context)
{
	return sending(context, 0);
}

SEC("cgroup/sendmsg6")
int on_sendmsg6(struct bpf_sock_addr *context)
{
	return sending(context, 1);
}

/* Attached only where nobody tells of what is received: a UDP socket may never send. */
static __always_inline int bound(struct bpf_sock *sk, int six)
{
	struct socket_record r = {.kind = LT_BIND};
	struct owner *owner;

	if (sk->protocol != UDP || !ours(sk->family, sk->protocol))
		return 1;
	owner = bpf_sk_storage_get(&OWNERS, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!owner)
		return 1;
	take_hold(owner);
	owner->told = 2;
	owner->role = LISTENER;
	owner->since = bpf_ktime_get_boot_ns();
	describe(&r, owner);
	r.cookie = bpf_get_socket_cookie(sk);
	r.netns = bpf_get_netns_cookie(sk);
	r.protocol = UDP;
	r.local_port = sk->src_port;
	local_address(&r, sk, six);
	keep(owner, &r);
	submit(&r, sizeof(r), r.time);
	return 1;
}

SEC("cgroup/post_bind4")
int on_bind4(struct bpf_sock *sk)
{
	return bound(sk, 0);
}

SEC("cgroup/post_bind6")
int on_bind6(struct bpf_sock *sk)
{
	return bound(sk, 1);
}

/* TCP tells its end by its state. */
SEC("cgroup/sock_release")
int on_release(struct bpf_sock *sk)
{
	struct socket_record r = {.kind = LT_CLOSE};
	struct owner *owner;

	if (sk->protocol != UDP || !ours(sk->family, sk->protocol))
		return 1;
	owner = bpf_sk_storage_get(&OWNERS, sk, 0, 0);
	if (!owner || !owner->told)
		return 1;
	if (owner->told == 2)
		r.flags = LT_LISTENER;
	describe(&r, owner);
	r.cookie = bpf_get_socket_cookie(sk);
	r.netns = bpf_get_netns_cookie(sk);
	r.protocol = UDP;
	r.local_port = owner->local_port;
	r.remote_port = owner->remote_port;
	__builtin_memcpy(r.local, owner->local, sizeof(r.local));
	__builtin_memcpy(r.remote, owner->remote, sizeof(r.remote));
	submit(&r, sizeof(r), r.time);
	return 1;
}

/*
 * An MPTCP socket: the connections that carry it are made by the kernel, which knows of its listener at most. It has the
 * endpoints of the first of them.
 */
static __always_inline int used_carried(struct sock *sk)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;
	struct owner *owner;

	if (!BPF_CORE_READ(sk, __sk_common.skc_dport))
		return 0;
	owner = bpf_sk_storage_get(&OWNERS, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!owner || (owner->told && owner->pid == pid) || owner->changes > MOST_CHANGES)
		return 0;
	if (owner->told)
		owner->changes++;
	if (owner->changes <= MOST_CHANGES)
		take_hold(owner);
	owner->used = 1;
	owner->told = 1;
	tell(sk, owner, LT_OWNER, LT_CARRIED);
	return 0;
}

static __always_inline int used(struct sock *sk, int received)
{
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);
	__u16 protocol;
	__u32 pid = bpf_get_current_pid_tgid() >> 32;
	struct owner *owner;
	int before, changed = 0, peer, seed;

	if (family != AF_INET && family != AF_INET6)
		return 0;
	protocol = BPF_CORE_READ(sk, sk_protocol);
	if (protocol == MPTCP)
		return used_carried(sk);
	if (!ours(family, protocol))
		return 0;
	owner = bpf_sk_storage_get(&OWNERS, sk, 0, 0);
	before = owner != 0;
	if (!owner)
		owner = bpf_sk_storage_get(&OWNERS, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!owner)
		return 0;
	if (owner->pid != pid || !owner->used || owner->tentative) {
		int fresh = !owner->used || owner->tentative;

		changed = owner->pid != pid;
		if (!fresh && owner->changes > MOST_CHANGES)
			return 0;
		if (!fresh)
			owner->changes++;
		if (owner->changes <= MOST_CHANGES)
			take_hold(owner);
		owner->used = 1;
	}
	seed = owner->seed;
	owner->seed = 0;
	if (owner->told) {
		if (changed || seed)
			tell(sk, owner, LT_OWNER, 0);
		return 0;
	}
	peer = BPF_CORE_READ(sk, __sk_common.skc_dport) != 0;
	if (protocol == TCP) {
		if (!peer || (before && !seed && owner->role == UNKNOWN))
			return 0;
		owner->told = 1;
		tell(sk, owner, owner->role == PASSIVE ? LT_ACCEPT : owner->role == ACTIVE ? LT_CONNECT : LT_SEED, 0);
	} else if (peer) {
		owner->told = 1;
		owner->role = ACTIVE;
		tell(sk, owner, LT_CONNECT, 0);
	} else if (received) {
		owner->told = 2;
		owner->role = LISTENER;
		/* It had the port before: what it got first waited for it, while others may have had the port too. */
		owner->since = owner->made;
		tell(sk, owner, LT_BIND, 0);
	}
	return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(on_send, struct sock *sk)
{
	return used(sk, 0);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(on_receive, struct sock *sk)
{
	return used(sk, 1);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state, struct sock *sk, int before, int now)
{
	struct owner *owner;

	if (now == TCP_CLOSE && BPF_CORE_READ(sk, sk_protocol) == MPTCP) {
		owner = bpf_sk_storage_get(&OWNERS, sk, 0, 0);
		if (owner && owner->told)
			tell(sk, owner, LT_CLOSE, LT_CARRIED);
		return 0;
	}
	if (BPF_CORE_READ(sk, sk_protocol) != TCP)
		return 0;
	if (now != TCP_SYN_SENT && now != TCP_ESTABLISHED && now != TCP_LISTEN && now != TCP_CLOSE)
		return 0;
	owner = bpf_sk_storage_get(&OWNERS, sk, 0, now == TCP_LISTEN ? BPF_SK_STORAGE_GET_F_CREATE : 0);
	if (!owner)
		return 0;
	if (now == TCP_SYN_SENT) {
		owner->role = ACTIVE;
	} else if (now == TCP_LISTEN) {
		take_hold(owner);
		owner->used = 1;
		owner->changes = 0;
		owner->role = LISTENER;
		owner->since = bpf_ktime_get_boot_ns();
		owner->told = 1;
		tell(sk, owner, LT_LISTEN, 0);
	} else if (now == TCP_ESTABLISHED && before == TCP_SYN_SENT) {
		owner->told = 1;
		tell(sk, owner, LT_CONNECT, 0);
	} else if (now == TCP_ESTABLISHED && owner->role == LISTENER) {
		owner->role = PASSIVE;
		owner->told = 0;
		owner->used = 0;
		owner->changes = 0;
		owner->tentative = 1;
		owner->seed = 0;
		owner->since = bpf_ktime_get_boot_ns();
		tell(sk, owner, LT_ACCEPT, 0);
	} else if (now == TCP_CLOSE && before == TCP_LISTEN) {
		tell(sk, owner, LT_CLOSE, LT_LISTENER);
	} else if (now == TCP_CLOSE && (owner->role == ACTIVE || owner->role == PASSIVE || owner->told)) {
		tell(sk, owner, LT_CLOSE, owner->told ? 0 : LT_UNTOLD);
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
