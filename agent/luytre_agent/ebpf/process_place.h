/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The paths of cgroups, told once for each: a process that ends at once is gone before anybody could ask for them, and so
 * may be the cgroup.
 */
#ifndef LUYTRE_PROCESS_PLACE_H
#define LUYTRE_PROCESS_PLACE_H

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "process_facts.h"
#include "process_kernel.h"
#include "process_record.h"
#include "ring.h"

struct place_buffer {
	struct place_record record;
	char tail[2 * LT_PATH_MAX + LT_NAME_MAX];
	/* As in an exec_buffer. */
	volatile __u64 end;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct place_buffer);
} PLACE SEC(".maps");

struct place_key {
	__u64 cgroup, cgroup_v1;
};

/* Forgetting one only tells of it again. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct place_key);
	__type(value, __u8);
} TOLD SEC(".maps");

/* Adds the names from a cgroup up to its root, which has none; returns whether all fit. */
static __always_inline int put_names(struct place_buffer *buffer, struct kernfs_node *node)
{
	__u64 limit = buffer->end + LT_PATH_MAX - LT_NAME_MAX;

	for (int i = 0; i < LT_PATH_STEPS; i++) {
		struct kernfs_node *up;
		__u64 at = buffer->end;
		long n;

		if (bpf_core_field_exists(node->__parent)) {
			up = BPF_CORE_READ(node, __parent);
		} else {
			struct kernfs_node___before_6_15 *before = (void *)node;
			up = BPF_CORE_READ(before, parent);
		}
		if (!up)
			return 1;
		if (at > limit || at > 2 * LT_PATH_MAX)
			return 0;
		n = bpf_probe_read_kernel_str(buffer->tail + at, LT_NAME_MAX, BPF_CORE_READ(node, name));
		if (n < 1)
			return 0;
		buffer->end = at + n;
		node = up;
	}
	return 0;
}

/* Tells where the cgroups of a record are, unless that was told. */
static __always_inline void tell_place(struct process_record *r, struct task_struct *task)
{
	struct place_key key = {r->cgroup, r->cgroup_v1};
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct cgroup_subsys_state *memory = memory_state(set);
	struct place_buffer *buffer;
	struct place_record *p;
	__u64 length;
	__u32 zero = 0;
	__u8 one = 1;

	if (bpf_map_lookup_elem(&TOLD, &key))
		return;
	buffer = bpf_map_lookup_elem(&PLACE, &zero);
	if (!buffer)
		return;
	p = &buffer->record;
	__builtin_memset(p, 0, sizeof(*p));
	p->kind = LT_PLACE;
	p->time = r->time;
	p->cgroup = r->cgroup;
	p->cgroup_v1 = r->cgroup_v1;
	buffer->end = 0;
	if (!put_names(buffer, BPF_CORE_READ(set, dfl_cgrp, kn)))
		p->flags = LT_PLACE_PARTIAL;
	length = buffer->end;
	p->path_length = length;
	if (r->cgroup_v1) {
		if (!put_names(buffer, BPF_CORE_READ(memory, cgroup, kn)))
			p->flags = LT_PLACE_PARTIAL;
		p->path_v1_length = buffer->end - length;
	}
	length = buffer->end;
	if (length > 2 * LT_PATH_MAX)
		length = 2 * LT_PATH_MAX;
	if (submit(buffer, sizeof(*p) + length, r->time))
		bpf_map_update_elem(&TOLD, &key, &one, BPF_ANY);
}

#endif
