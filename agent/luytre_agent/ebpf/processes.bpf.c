/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Which processes begin a program and which end: fork, exec and exit of processes (not of threads, not of the kernel's
 * own) to a ring buffer.
 *
 * Only BTF tracepoints (tp_btf), which need no tracefs, no kprobes and no fentry. Kernel >= 5.8 with BTF.
 */
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "process_facts.h"
#include "process_path.h"
#include "process_place.h"
#include "ring.h"

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	struct dentry *executable = BPF_CORE_READ(mm, exe_file, f_path.dentry);
	struct inode *inode = BPF_CORE_READ(mm, exe_file, f_inode);
	struct task_struct *parent = BPF_CORE_READ(task, real_parent, group_leader);
	const char *script = BPF_CORE_READ(bprm, filename);
	struct exec_buffer *buffer;
	struct process_record *r;
	__u64 begin, length;
	__u32 mode;
	__u32 key = 0;

	buffer = bpf_map_lookup_elem(&BUFFER, &key);
	if (!buffer)
		return 0;
	r = &buffer->record;
	__builtin_memset(r, 0, sizeof(*r));
	r->kind = LT_EXEC;
	describe(r, task, parent);
	place(r, task);
	tell_place(r, task);
	put_file(r, inode);
	r->parent_capabilities = capabilities_of(BPF_CORE_READ(parent, cred));
	/* The kernel sets per_clear when it heeds such a bit: bprm_fill_uid() in fs/exec.c. */
	mode = BPF_CORE_READ(inode, i_mode);
	if (BPF_CORE_READ(bprm, per_clear)) {
		if (mode & S_ISUID)
			r->flags |= LT_SETUID;
		if ((mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
			r->flags |= LT_SETGID;
	}

	begin = BPF_CORE_READ(mm, arg_start);
	length = BPF_CORE_READ(mm, arg_end) - begin;
	r->args_full = length;
	if (length > LT_ARGS_MAX)
		length = LT_ARGS_MAX;
	if (bpf_probe_read_user(buffer->tail, length, (void *)begin)) {
		r->flags |= LT_ARGS_UNREAD;
		length = 0;
	}
	buffer->end = length;
	r->args_length = length;

	if (!BPF_CORE_READ(executable, d_hash.pprev))
		r->flags |= LT_EXE_DELETED;
	if (!put_path(buffer, BPF_CORE_READ(mm, exe_file, f_path.mnt), executable))
		r->flags |= LT_EXE_PARTIAL;
	r->exe_length = buffer->end - length;

	length = buffer->end;
	if (!put_path(buffer, BPF_CORE_READ(task, fs, pwd.mnt), BPF_CORE_READ(task, fs, pwd.dentry)))
		r->flags |= LT_CWD_PARTIAL;
	r->cwd_length = buffer->end - length;

	length = buffer->end;
	if (BPF_CORE_READ(bprm, interp) != script && length <= LT_TAIL_MAX - LT_SCRIPT_MAX) {
		long n = bpf_probe_read_kernel_str(buffer->tail + length, LT_SCRIPT_MAX, script);
		if (n > 0) {
			r->script_length = n;
			buffer->end = length + n;
		}
	}

	length = buffer->end;
	if (length > LT_TAIL_MAX)
		length = LT_TAIL_MAX;
	submit(buffer, sizeof(*r) + length, r->time);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	struct process_record record = {.kind = LT_EXIT};
	struct signal_struct *signal = BPF_CORE_READ(task, signal);

	/* The kernel counts the thread out before it calls this: the process ends with its last thread. Two last threads
	 * may both read zero; the reader drops the second record. */
	if (BPF_CORE_READ(signal, live.counter) != 0 || BPF_CORE_READ(task, flags) & PF_KTHREAD)
		return 0;
	describe(&record, BPF_CORE_READ(task, group_leader), BPF_CORE_READ(task, real_parent, group_leader));
	place(&record, task);
	tell_place(&record, task);
	totals(&record, task, signal);
	/* As wait_task_zombie() in kernel/exit.c takes it. */
	if (BPF_CORE_READ(signal, flags) & SIGNAL_GROUP_EXIT)
		record.status = BPF_CORE_READ(signal, group_exit_code);
	else
		record.status = BPF_CORE_READ(task, group_leader, exit_code);
	submit(&record, sizeof(record), record.time);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	struct process_record record = {.kind = LT_FORK};

	if (BPF_CORE_READ(child, pid) != BPF_CORE_READ(child, tgid) || BPF_CORE_READ(child, flags) & PF_KTHREAD)
		return 0;
	describe(&record, child, BPF_CORE_READ(parent, group_leader));
	submit(&record, sizeof(record), record.time);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
