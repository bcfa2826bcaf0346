/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The ring between the programs and their reader (core/src/host/bpf), and the count of what found no room in it. The
 * loader sets the size of the ring and when the reader is woken.
 *
 * Waking the reader for every record would cost more than everything else here. It is woken when it was not for
 * `wake_ns`, and when another `wake_bytes` are full; so it sleeps while nothing happens, and looks once more a little more
 * than `wake_ns` after it was woken.
 */
#ifndef LUYTRE_RING_H
#define LUYTRE_RING_H

#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>

/* Set by the loader. */
const volatile __u32 wake_bytes = 65536;
const volatile __u64 wake_ns = 100000000;
/* When the reader was woken last. Two processors that both find it long ago both wake it. */
__u64 woken = 0;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20); /* set by the loader */
} RING SEC(".maps");

/* Records that found no room in the ring. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} LOST SEC(".maps");

/* `now`: nanoseconds of CLOCK_BOOTTIME. Returns whether there was room. */
static __always_inline int submit(void *record, __u64 size, __u64 now)
{
	__u64 waiting = bpf_ringbuf_query(&RING, BPF_RB_AVAIL_DATA);
	__u64 step = wake_bytes ? wake_bytes : 1;
	__u64 flags = BPF_RB_NO_WAKEUP;

	if (waiting / step != (waiting + size) / step || (__s64)(now - woken) >= (__s64)wake_ns) {
		flags = BPF_RB_FORCE_WAKEUP;
		woken = now;
	}
	if (bpf_ringbuf_output(&RING, record, size, flags)) {
		__u32 key = 0;
		__u64 *lost = bpf_map_lookup_elem(&LOST, &key);
		if (lost)
			*lost += 1;
		return 0;
	}
	return 1;
}

#endif
