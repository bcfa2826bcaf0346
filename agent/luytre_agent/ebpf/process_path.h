/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The tail of an exec record, which is too large for a program's stack, and paths in it.
 */
#ifndef LUYTRE_PROCESS_PATH_H
#define LUYTRE_PROCESS_PATH_H

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "process_kernel.h"
#include "process_record.h"

struct exec_buffer {
	struct process_record record;
	char tail[LT_TAIL_MAX + LT_NAME_MAX];
	/* End of what the tail holds. In memory, because the verifier forgets the ranges of what it reads from there: in a
	 * register every turn of a loop would be another state to it. */
	volatile __u64 end;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct exec_buffer);
} BUFFER SEC(".maps");

/* Adds the components of a path to the tail, from the leaf to the root of its mount namespace; returns whether all fit. */
static __always_inline int put_path(struct exec_buffer *buffer, struct vfsmount *vfsmount, struct dentry *dentry)
{
	struct mount *mount = container_of(vfsmount, struct mount, mnt);
	__u64 limit = buffer->end + LT_PATH_MAX - LT_NAME_MAX;

	for (int i = 0; i < LT_PATH_STEPS; i++) {
		struct dentry *root = BPF_CORE_READ(mount, mnt.mnt_root);
		struct dentry *up = BPF_CORE_READ(dentry, d_parent);
		__u64 at = buffer->end;
		long n;

		if (dentry == root) {
			struct mount *above = BPF_CORE_READ(mount, mnt_parent);
			if (above == mount)
				return 1;
			dentry = BPF_CORE_READ(mount, mnt_mountpoint);
			mount = above;
			continue;
		}
		if (at > limit || at > LT_TAIL_MAX)
			return 0;
		n = bpf_probe_read_kernel_str(buffer->tail + at, LT_NAME_MAX, BPF_CORE_READ(dentry, d_name.name));
		if (n < 1)
			return 0;
		buffer->end = at + n;
		if (dentry == up) /* a file that was never in a directory, such as a memfd */
			return 1;
		dentry = up;
	}
	return 0;
}

#endif
