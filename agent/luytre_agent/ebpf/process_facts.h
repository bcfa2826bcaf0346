/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The facts of a process, from the kernel's structures into the header of a record.
 */
#ifndef LUYTRE_PROCESS_FACTS_H
#define LUYTRE_PROCESS_FACTS_H

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "process_kernel.h"
#include "process_record.h"

static __always_inline void describe(struct process_record *r, struct task_struct *task, struct task_struct *parent)
{
	const struct cred *cred = BPF_CORE_READ(task, cred);

	r->time = bpf_ktime_get_boot_ns();
	r->pid = BPF_CORE_READ(task, tgid);
	r->start = BPF_CORE_READ(task, group_leader, start_boottime);
	r->parent_pid = BPF_CORE_READ(parent, tgid);
	r->parent_start = BPF_CORE_READ(parent, start_boottime);
	r->uid = BPF_CORE_READ(cred, uid.val);
	r->euid = BPF_CORE_READ(cred, euid.val);
	r->gid = BPF_CORE_READ(cred, gid.val);
	r->loginuid = NO_LOGINUID;
	if (bpf_core_field_exists(task->loginuid)) /* CONFIG_AUDIT */
		r->loginuid = BPF_CORE_READ(task, loginuid.val);
	BPF_CORE_READ_STR_INTO(&r->comm, task, comm);
	BPF_CORE_READ_STR_INTO(&r->parent_comm, parent, comm);
}

static __always_inline __u64 capabilities_of(const struct cred *cred)
{
	__u64 effective = 0;

	bpf_probe_read_kernel(&effective, sizeof(effective), &cred->cap_effective);
	return effective;
}

/* The cgroup of the memory controller: where version 1 is mounted, that of containers. */
static __always_inline struct cgroup_subsys_state *memory_state(struct css_set *set)
{
	struct cgroup_subsys_state *state = 0;

	if (bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id)) {
		__u64 at = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id) * sizeof(void *);
		bpf_probe_read_kernel(&state, sizeof(state), (void *)&set->subsys + at);
	}
	return state;
}

/* Where it runs: what a fork has from its parent. */
static __always_inline void place(struct process_record *r, struct task_struct *task)
{
	struct cgroup_subsys_state *memory = memory_state(BPF_CORE_READ(task, cgroups));
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	struct nsproxy *namespaces = BPF_CORE_READ(task, nsproxy);
	struct signal_struct *signal = BPF_CORE_READ(task, signal);
	struct tty_struct *tty = BPF_CORE_READ(signal, tty);
	__u32 level = BPF_CORE_READ(pid, level);
	struct upid *own = (void *)&pid->numbers + level * bpf_core_type_size(struct upid);

	r->cgroup = bpf_get_current_cgroup_id();
	r->cgroup_v1 = BPF_CORE_READ(memory, cgroup, kn, id);
	r->capabilities = capabilities_of(BPF_CORE_READ(task, cred));
	r->session = BPF_CORE_READ(signal, pids[PIDTYPE_SID], numbers[0].nr);
	if (tty) {
		r->tty_major = BPF_CORE_READ(tty, driver, major);
		r->tty_minor = BPF_CORE_READ(tty, driver, minor_start) + BPF_CORE_READ(tty, index);
	}
	r->pid_namespace = BPF_CORE_READ(own, ns, ns.inum);
	r->mount_namespace = BPF_CORE_READ(namespaces, mnt_ns, ns.inum);
	r->network_namespace = BPF_CORE_READ(namespaces, net_ns, ns.inum);
}

static __always_inline void put_file(struct process_record *r, struct inode *inode)
{
	r->exe_inode = BPF_CORE_READ(inode, i_ino);
	r->exe_size = BPF_CORE_READ(inode, i_size);
	r->exe_device = BPF_CORE_READ(inode, i_sb, s_dev);
	if (bpf_core_field_exists(struct inode___since_6_11, i_ctime_sec)) {
		struct inode___since_6_11 *i = (void *)inode;
		r->exe_ctime = BPF_CORE_READ(i, i_ctime_sec);
		r->exe_ctime_ns = BPF_CORE_READ(i, i_ctime_nsec) & CTIME_NS_MASK;
	} else if (bpf_core_field_exists(struct inode___before_6_11, __i_ctime)) {
		struct inode___before_6_11 *i = (void *)inode;
		r->exe_ctime = BPF_CORE_READ(i, __i_ctime.tv_sec);
		r->exe_ctime_ns = BPF_CORE_READ(i, __i_ctime.tv_nsec);
	} else if (bpf_core_field_exists(struct inode___before_6_6, i_ctime)) {
		struct inode___before_6_6 *i = (void *)inode;
		r->exe_ctime = BPF_CORE_READ(i, i_ctime.tv_sec);
		r->exe_ctime_ns = BPF_CORE_READ(i, i_ctime.tv_nsec);
	}
}

/* What the process used: the threads that were released are counted in `signal`, those that are about to be not yet. */
static __always_inline void totals(struct process_record *r, struct task_struct *task, struct signal_struct *signal)
{
	struct list_head *end = (void *)signal + bpf_core_field_offset(signal->thread_head);
	struct list_head *node = BPF_CORE_READ(signal, thread_head.next);
	int with_io = bpf_core_field_exists(task->ioac.read_bytes); /* CONFIG_TASK_IO_ACCOUNTING */

	r->cpu = BPF_CORE_READ(signal, sum_sched_runtime);
	if (with_io) {
		r->read_bytes = BPF_CORE_READ(signal, ioac.read_bytes);
		r->write_bytes = BPF_CORE_READ(signal, ioac.write_bytes);
	}
	for (int i = 0; i < LT_THREADS && node && node != end; i++) {
		struct task_struct *thread = (void *)node - bpf_core_field_offset(task->thread_node);

		r->cpu += BPF_CORE_READ(thread, se.sum_exec_runtime);
		if (with_io) {
			r->read_bytes += BPF_CORE_READ(thread, ioac.read_bytes);
			r->write_bytes += BPF_CORE_READ(thread, ioac.write_bytes);
		}
		node = BPF_CORE_READ(node, next);
	}
}

#endif
