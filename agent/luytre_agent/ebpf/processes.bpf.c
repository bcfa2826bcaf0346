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

#include "process_record.h"

/* The kernel's structures, only the members that are read here; the loader relocates them by name (CO-RE). */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	__u32 val;
} kuid_t;

typedef struct {
	__u32 val;
} kgid_t;

struct hlist_bl_node {
	struct hlist_bl_node *next, **pprev;
};

struct qstr {
	const unsigned char *name;
};

struct dentry {
	struct hlist_bl_node d_hash;
	struct dentry *d_parent;
	struct qstr d_name;
};

struct vfsmount {
	struct dentry *mnt_root;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct super_block {
	__u32 s_dev;
};

struct inode {
	unsigned short i_mode;
	struct super_block *i_sb;
	unsigned long i_ino;
	long long i_size;
};

/* The change time was renamed in 6.6 and split in 6.11. */
struct timespec64 {
	long long tv_sec;
	long tv_nsec;
};

struct inode___before_6_6 {
	struct timespec64 i_ctime;
};

struct inode___before_6_11 {
	struct timespec64 __i_ctime;
};

struct inode___since_6_11 {
	long long i_ctime_sec;
	__u32 i_ctime_nsec;
};

struct file {
	struct path f_path;
	struct inode *f_inode;
};

struct linux_binprm {
	unsigned int per_clear;
	const char *filename, *interp;
};

struct ns_common {
	unsigned int inum;
};

struct mnt_namespace {
	struct ns_common ns;
};

struct net {
	struct ns_common ns;
};

struct pid_namespace {
	struct ns_common ns;
};

struct nsproxy {
	struct mnt_namespace *mnt_ns;
	struct net *net_ns;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

struct tty_driver {
	int major, minor_start;
};

struct tty_struct {
	struct tty_driver *driver;
	int index;
};

struct kernfs_node {
	__u64 id;
};

struct cgroup {
	struct kernfs_node *kn;
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
};

struct css_set {
	struct cgroup_subsys_state *subsys[1];
};

enum cgroup_subsys_id {
	memory_cgrp_id = 4, /* relocated */
};

struct task_io_accounting {
	__u64 read_bytes, write_bytes;
};

struct sched_entity {
	__u64 sum_exec_runtime;
};

/* A u64 since 6.3, two u32 before: eight bytes either way. */
typedef struct {
	__u64 val;
} kernel_cap_t;

struct fs_struct {
	struct path pwd;
};

struct mm_struct {
	unsigned long arg_start, arg_end;
	struct file *exe_file;
};

struct cred {
	kuid_t uid, euid;
	kgid_t gid;
	kernel_cap_t cap_effective;
};

struct signal_struct {
	atomic_t live;
	int group_exit_code;
	unsigned int flags;
	struct pid *pids[4];
	struct tty_struct *tty;
	__u64 sum_sched_runtime;
	struct task_io_accounting ioac;
};

struct task_struct {
	unsigned int flags;
	int pid, tgid, exit_code;
	__u64 start_boottime;
	struct task_struct *real_parent, *group_leader;
	struct mm_struct *mm;
	struct fs_struct *fs;
	const struct cred *cred;
	struct signal_struct *signal;
	kuid_t loginuid;
	char comm[16];
	struct pid *thread_pid;
	struct nsproxy *nsproxy;
	struct css_set *cgroups;
	struct sched_entity se;
	struct task_io_accounting ioac;
};

#pragma clang attribute pop

#define SIGNAL_GROUP_EXIT 4u /* include/linux/sched/signal.h */
#define PF_KTHREAD 0x00200000u /* include/linux/sched.h */
#define PIDTYPE_SID 3 /* include/linux/pid_types.h */
#define S_ISUID 04000 /* include/uapi/linux/stat.h */
#define S_ISGID 02000
#define S_IXGRP 00010
#define CTIME_NS_MASK 0x7fffffffu /* since 6.13 the highest bit says that somebody looked: include/linux/fs.h */
#define NO_LOGINUID 4294967295u

/* Set by the loader: the reader is woken when about this many bytes wait. */
const volatile __u32 wake_bytes = 65536;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} RING SEC(".maps");

/* Records that found no room in the ring. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} LOST SEC(".maps");

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

/* Waking the reader for every record would cost more than everything else here: only when another `wake_bytes` are full. */
static __always_inline void submit(void *record, __u64 size)
{
	__u64 waiting = bpf_ringbuf_query(&RING, BPF_RB_AVAIL_DATA);
	__u64 step = wake_bytes ? wake_bytes : 1;
	__u64 flags = waiting / step != (waiting + size) / step ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;

	if (bpf_ringbuf_output(&RING, record, size, flags)) {
		__u32 key = 0;
		__u64 *lost = bpf_map_lookup_elem(&LOST, &key);
		if (lost)
			*lost += 1;
	}
}

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

/* Where it runs: what a fork has from its parent. */
static __always_inline void place(struct process_record *r, struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	struct nsproxy *namespaces = BPF_CORE_READ(task, nsproxy);
	struct signal_struct *signal = BPF_CORE_READ(task, signal);
	struct tty_struct *tty = BPF_CORE_READ(signal, tty);
	__u32 level = BPF_CORE_READ(pid, level);
	struct upid *own = (void *)&pid->numbers + level * bpf_core_type_size(struct upid);

	r->cgroup = bpf_get_current_cgroup_id();
	if (bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id)) {
		struct css_set *set = BPF_CORE_READ(task, cgroups);
		__u64 at = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id) * sizeof(void *);
		struct cgroup_subsys_state *state = 0;

		bpf_probe_read_kernel(&state, sizeof(state), (void *)&set->subsys + at);
		r->cgroup_v1 = BPF_CORE_READ(state, cgroup, kn, id);
	}
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

/* What the process used: the threads that were released are counted in `signal`, the last one and the leader not yet. */
static __always_inline void totals(struct process_record *r, struct task_struct *task, struct signal_struct *signal)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);

	r->cpu = BPF_CORE_READ(signal, sum_sched_runtime) + BPF_CORE_READ(leader, se.sum_exec_runtime);
	if (task != leader)
		r->cpu += BPF_CORE_READ(task, se.sum_exec_runtime);
	if (!bpf_core_field_exists(task->ioac.read_bytes)) /* CONFIG_TASK_IO_ACCOUNTING */
		return;
	r->read_bytes = BPF_CORE_READ(signal, ioac.read_bytes) + BPF_CORE_READ(leader, ioac.read_bytes);
	r->write_bytes = BPF_CORE_READ(signal, ioac.write_bytes) + BPF_CORE_READ(leader, ioac.write_bytes);
	if (task != leader) {
		r->read_bytes += BPF_CORE_READ(task, ioac.read_bytes);
		r->write_bytes += BPF_CORE_READ(task, ioac.write_bytes);
	}
}

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
	submit(buffer, sizeof(*r) + length);
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
	totals(&record, task, signal);
	/* As wait_task_zombie() in kernel/exit.c takes it. */
	if (BPF_CORE_READ(signal, flags) & SIGNAL_GROUP_EXIT)
		record.status = BPF_CORE_READ(signal, group_exit_code);
	else
		record.status = BPF_CORE_READ(task, group_leader, exit_code);
	submit(&record, sizeof(record));
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	struct process_record record = {.kind = LT_FORK};

	if (BPF_CORE_READ(child, pid) != BPF_CORE_READ(child, tgid) || BPF_CORE_READ(child, flags) & PF_KTHREAD)
		return 0;
	describe(&record, child, BPF_CORE_READ(parent, group_leader));
	submit(&record, sizeof(record));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
