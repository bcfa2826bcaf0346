/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Owners of sockets that are older than the programs: the descriptors of every process are gone through (iter/task_file),
 * once to find who holds what, once to tell of it. Only the loader's pid namespace is seen. Nobody is named where several
 * processes hold a socket: who of them uses it is known once it is used.
 */
#ifndef LUYTRE_SOCKET_SEED_H
#define LUYTRE_SOCKET_SEED_H

#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "socket_owner.h"

/* Before all that is told: nanoseconds since the start of the host. */
#define LONG_AGO 1

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct file;

struct socket {
	struct sock *sk;
};

/* kernel/bpf/task_iter.c: the context; members are aligned to 8 bytes. */
struct bpf_iter__task_file {
	void *meta;
	struct task_struct *task;
	__u64 fd;
	struct file *file;
};

#pragma clang attribute pop

static __always_inline struct sock *held(struct bpf_iter__task_file *context)
{
	struct file *file = context->file;
	struct socket *socket;
	struct sock *sk;

	if (!context->task || !file)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk || !ours(BPF_CORE_READ(sk, __sk_common.skc_family), BPF_CORE_READ(sk, sk_protocol)))
		return 0;
	return sk;
}

SEC("iter/task_file")
int find_holders(struct bpf_iter__task_file *context)
{
	struct sock *sk = held(context);
	struct task_struct *task = context->task;
	struct owner *owner;
	__u32 pid;

	if (!sk || !task)
		return 0;
	pid = BPF_CORE_READ(task, tgid);
	owner = bpf_sk_storage_get(&OWNERS, sk, 0, 0);
	if (owner) {
		/* Whom the hooks saw meanwhile they know better. */
		if (owner->seed && owner->pid != pid) {
			__builtin_memset(owner->comm, 0, sizeof(owner->comm));
			owner->pid = 0;
		}
		return 0;
	}
	owner = bpf_sk_storage_get(&OWNERS, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!owner)
		return 0;
	owner->pid = pid;
	owner->uid = BPF_CORE_READ(task, cred, uid.val);
	owner->start = BPF_CORE_READ(task, group_leader, start_boottime);
	owner->since = LONG_AGO;
	owner->seed = 1;
	BPF_CORE_READ_STR_INTO(&owner->comm, task, group_leader, comm);
	return 0;
}

/* Who connects sends a SYN, which counts as acknowledged; who accepts begins to count behind it. */
static __always_inline __u8 opened_by(struct sock *sk)
{
	struct tcp_sock *tcp = (struct tcp_sock *)sk;
	__u64 sent = BPF_CORE_READ(tcp, bytes_sent) - BPF_CORE_READ(tcp, bytes_retrans);
	__u64 acknowledged = BPF_CORE_READ(tcp, bytes_acked);
	__u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);

	if ((state != TCP_ESTABLISHED && state != TCP_CLOSE_WAIT) || BPF_CORE_READ(tcp, packets_out))
		return UNKNOWN;
	return acknowledged == sent ? PASSIVE : acknowledged == sent + 1 ? ACTIVE : UNKNOWN;
}

SEC("iter/task_file")
int tell_holders(struct bpf_iter__task_file *context)
{
	struct sock *sk = held(context);
	struct owner *owner = sk ? bpf_sk_storage_get(&OWNERS, sk, 0, 0) : 0;
	int peer;

	if (!owner || !owner->seed || owner->told)
		return 0;
	/* The rest of the ring is for what happens meanwhile; the loader comes again. */
	if (bpf_ringbuf_query(&RING, BPF_RB_AVAIL_DATA) > bpf_ringbuf_query(&RING, BPF_RB_RING_SIZE) / 2)
		return 0;
	peer = BPF_CORE_READ(sk, __sk_common.skc_dport) != 0;
	if (BPF_CORE_READ(sk, sk_protocol) == UDP) {
		/* Bound to nothing, it belongs to nobody's flow yet. */
		if (!BPF_CORE_READ(sk, __sk_common.skc_num))
			return 0;
		owner->role = peer ? ACTIVE : LISTENER;
		owner->told = peer ? 1 : 2;
	} else if (BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_LISTEN) {
		owner->role = LISTENER;
		owner->told = 1;
	} else if (peer && BPF_CORE_READ(sk, __sk_common.skc_state) != TCP_CLOSE) {
		owner->role = opened_by(sk);
		owner->told = 1;
	} else {
		return 0;
	}
	tell(sk, owner, LT_SEED, owner->role == LISTENER ? LT_LISTENER : 0);
	return 0;
}

#endif
