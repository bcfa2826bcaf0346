/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What processes.bpf.c reads of the kernel: only the members that are used; the loader relocates them by name (CO-RE).
 */
#ifndef LUYTRE_PROCESS_KERNEL_H
#define LUYTRE_PROCESS_KERNEL_H

#include <linux/types.h>

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

/* The parent was renamed in 6.15. */
struct kernfs_node {
	__u64 id;
	const char *name;
	struct kernfs_node *__parent;
};

struct kernfs_node___before_6_15 {
	struct kernfs_node *parent;
};

struct cgroup {
	struct kernfs_node *kn;
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
};

struct css_set {
	struct cgroup_subsys_state *subsys[1];
	struct cgroup *dfl_cgrp;
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

struct list_head {
	struct list_head *next;
};

struct signal_struct {
	atomic_t live;
	struct list_head thread_head;
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
	struct list_head thread_node;
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

#endif
