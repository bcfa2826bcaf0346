/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The records that processes.bpf.c puts on its ring buffer, read by core/src/host/record.rs.
 *
 * Native byte order. A fixed header of 216 bytes, then a tail: args_length bytes of arguments (each ended by NUL), then
 * exe_length bytes and cwd_length bytes of path: the components from the leaf up to the root of the mount namespace,
 * each ended by NUL ("/usr/bin" is "bin\0usr\0"), then script_length bytes of the path as it was given to execve(2),
 * ended by NUL, if that was a script. Only exec records have a tail. What is marked so is 0 on fork.
 *
 * Times are nanoseconds of CLOCK_BOOTTIME. Process and user ids are those of the initial namespaces.
 */
#ifndef LUYTRE_PROCESS_RECORD_H
#define LUYTRE_PROCESS_RECORD_H

#define LT_FORK 1
#define LT_EXEC 2
#define LT_EXIT 3
#define LT_PLACE 4 /* a place_record */

/* Flags. */
#define LT_ARGS_UNREAD 1  /* the arguments could not be read: their page was not in memory */
#define LT_EXE_DELETED 2  /* the executable has no name any more (unlinked, or a memfd) */
#define LT_EXE_PARTIAL 4  /* the path has more components or bytes than fit: its beginning is missing */
#define LT_CWD_PARTIAL 8
#define LT_SETUID 16      /* exec: the set-user-id bit of the executable took effect */
#define LT_SETGID 32
#define LT_PLACE_PARTIAL 64 /* a path of a place_record lacks its beginning */

#define LT_ARGS_MAX 4096 /* bytes of arguments kept */
#define LT_PATH_MAX 2048 /* bytes of one path kept */
#define LT_PATH_STEPS 48 /* components and mount points of one path */
#define LT_THREADS 256 /* of a process that ends: those of which the kernel has not made the sum yet */
#define LT_NAME_MAX 256  /* NAME_MAX of linux/limits.h and the NUL */
#define LT_SCRIPT_MAX 1024 /* bytes of the script's path kept */
#define LT_TAIL_MAX (LT_ARGS_MAX + 2 * LT_PATH_MAX + LT_SCRIPT_MAX)

struct process_record {
	__u32 kind;         /*   0 LT_FORK, LT_EXEC, LT_EXIT */
	__u32 flags;        /*   4 */
	__u64 time;         /*   8 when it happened */
	__u64 start;        /*  16 when the process was created */
	__u64 parent_start; /*  24 */
	__u64 cgroup;       /*  32 cgroup v2 id; 0 on fork */
	__u32 pid;          /*  40 thread group id */
	__u32 parent_pid;   /*  44 fork: of the process that forked; else of the present parent */
	__u32 uid;          /*  48 real user id */
	__u32 euid;         /*  52 effective user id */
	__u32 gid;          /*  56 real group id */
	__u32 loginuid;     /*  60 audit login user id; 4294967295 when never set */
	__u32 status;       /*  64 exit: status as wait(2) gives it */
	__u32 args_full;    /*  68 bytes of arguments that the process has */
	__u16 args_length;  /*  72 bytes of them in the tail */
	__u16 exe_length;   /*  74 */
	__u16 cwd_length;   /*  76 */
	__u16 script_length; /* 78 */
	char comm[16];      /*  80 NUL-padded */
	char parent_comm[16]; /* 96 */
	__u64 cgroup_v1;    /* 112 id of the cgroup of the memory controller; not fork */
	__u64 capabilities; /* 120 effective; not fork */
	__u64 parent_capabilities; /* 128 exec: effective capabilities of the parent */
	__u64 exe_inode;    /* 136 exec: of the executable, this and the next four */
	__u64 exe_size;     /* 144 bytes */
	__s64 exe_ctime;    /* 152 seconds */
	__u32 exe_ctime_ns; /* 160 */
	__u32 exe_device;   /* 164 the kernel's dev_t: 12 bits major, 20 bits minor */
	__u32 session;      /* 168 session id; not fork */
	__u32 tty_major;    /* 172 controlling terminal, 0 if none; not fork */
	__u32 tty_minor;    /* 176 */
	__u32 pid_namespace; /* 180 inodes of the namespaces; not fork */
	__u32 mount_namespace; /* 184 */
	__u32 network_namespace; /* 188 */
	__u64 cpu;          /* 192 exit: nanoseconds on a processor, as the scheduler counted at its last look */
	__u64 read_bytes;   /* 200 exit: from storage */
	__u64 write_bytes;  /* 208 exit: to storage, or to the page cache for it */
};                          /* 216 */

_Static_assert(sizeof(struct process_record) == 216, "the layout is read by core/src/host/record.rs");

/*
 * What cgroups of process records are called, before the first record that names them: 40 bytes, then path_length and
 * path_v1_length bytes of path as above. It is told again when it was told long ago.
 */
struct place_record {
	__u32 kind;            /*   0 LT_PLACE */
	__u32 flags;           /*   4 */
	__u64 time;            /*   8 */
	__u64 cgroup;          /*  16 as in a process_record */
	__u64 cgroup_v1;       /*  24 */
	__u16 path_length;     /*  32 */
	__u16 path_v1_length;  /*  34 */
	__u32 reserved;        /*  36 */
};                             /*  40 */

_Static_assert(sizeof(struct place_record) == 40, "the layout is read by core/src/host/record.rs");

#endif
