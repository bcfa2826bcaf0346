"""Tables of the host: what ran."""

from __future__ import annotations

from luytre_common.schema.model import Column, Kind, Table
from luytre_common.schema.owner import PLACE

PROCESSES = Table(
    "processes",
    "One row per process event: exec and exit, seed once for each that ran before the agent, fork if configured",
    (
        Column("event_time", Kind.TIME, "When it happened", codec="Delta, ZSTD", example="2026-11-23 02:11:03.120001"),
        Column(
            "event_action",
            Kind.NAME,
            "exec, exit, seed (ran before the agent), or fork",
            sigma=("event_type",),
            example="exec",
        ),
        Column("event_source", Kind.NAME, "How the agent knows: ebpf, cn_proc", example="ebpf"),
        Column(
            "process_pid",
            Kind.U32,
            "Process id in the agent's pid namespace",
            sigma=("ProcessId", "pid"),
            example="812",
        ),
        Column(
            "process_entity_id",
            Kind.U64,
            "Identity of the process: 8 bytes of SHA-1 over boot id, pid and clock ticks to its start; 0 if unknown",
            sigma=("ProcessGuid",),
            example="1180591620717411",
        ),
        Column(
            "process_start",
            Kind.TIME,
            "When the process was created",
            codec="Delta, ZSTD",
            example="2026-11-23 02:11:03.110001",
        ),
        Column("process_name", Kind.NAME, "Command name (comm, 15 bytes)", sigma=("comm",), example="bash"),
        Column(
            "process_executable",
            Kind.NAME,
            "Path of the executable",
            sigma=("Image", "exe", "name"),
            example="/usr/bin/bash",
        ),
        Column(
            "process_command_line",
            Kind.TEXT,
            "Arguments joined by spaces, redacted",
            sigma=("CommandLine", "proctitle"),
            example="bash -i",
        ),
        Column(
            "process_working_directory",
            Kind.NAME,
            "Working directory",
            sigma=("CurrentDirectory", "cwd"),
            example="/var/www",
        ),
        Column(
            "process_parent_pid", Kind.U32, "Process id of the parent", sigma=("ParentProcessId", "ppid"), example="640"
        ),
        Column(
            "process_parent_entity_id",
            Kind.U64,
            "Identity of the parent",
            sigma=("ParentProcessGuid",),
            example="1180591620710001",
        ),
        Column("process_parent_name", Kind.NAME, "Command name of the parent", example="php-fpm"),
        Column(
            "process_parent_executable",
            Kind.NAME,
            "Executable of the parent",
            sigma=("ParentImage",),
            example="/usr/sbin/php-fpm8.2",
        ),
        Column(
            "process_parent_command_line",
            Kind.TEXT,
            "Command line of the parent",
            sigma=("ParentCommandLine",),
            example="php-fpm: pool www",
        ),
        # LogonId: what Sysmon for Linux puts there (ebpfKern/sysmonProcCreate.c: cred->uid).
        Column(
            "user_id",
            Kind.U32,
            "Real user id; 4294967295 if unknown, see process_oddities",
            sigma=("uid", "LogonId"),
            example="33",
        ),
        Column("user_name", Kind.NAME, "Name of the real user on this host", sigma=("User",), example="www-data"),
        Column("user_effective_id", Kind.U32, "Effective user id", sigma=("euid",), example="33"),
        Column("group_id", Kind.U32, "Real group id", sigma=("gid",), example="33"),
        Column(
            "user_audit_id",
            Kind.U32,
            "Login user id (audit_loginuid); 4294967295 when never set",
            sigma=("auid",),
            example="4294967295",
        ),
        Column("process_cgroup_id", Kind.U64, "cgroup v2 id", example="4021"),
        Column(
            "process_exit_code",
            Kind.I32,
            "Exit status of an exit event; minus the signal number if killed by one",
            example="0",
        ),
        Column(
            "process_lifetime", Kind.U64, "Creation to exit, microseconds; 0 on exec", codec="T64, ZSTD", example="0"
        ),
        Column("process_args", Kind.TEXTS, "Arguments, redacted", elements="a", example="['bash', '-i']"),
        Column(
            "process_script",
            Kind.NAME,
            "Script that the executable interprets (#!)",
            example="/usr/local/bin/backup.sh",
        ),
        Column(
            "process_hash_sha256",
            Kind.NAME,
            "SHA-256 of the executable; empty if not known yet or too large",
            example="9f86d081...",
        ),
        Column("user_effective_name", Kind.NAME, "Name of the effective user", example="www-data"),
        Column("process_tty", Kind.NAME, "Controlling terminal", sigma=("tty",), example="pts/0"),
        Column("process_session_id", Kind.U32, "Session id (setsid)", example="640"),
        Column(
            "process_capabilities_gained",
            Kind.NAME,
            "Effective capabilities that the parent had not, space-separated",
            example="cap_net_raw",
        ),
        Column("process_set_id", Kind.NAME, "setuid, setgid: bits of the executable that took effect", example=""),
        Column("process_pid_namespace_id", Kind.U32, "pid namespace (inode)", example="4026531836"),
        Column("process_mount_namespace_id", Kind.U32, "Mount namespace (inode)", example="4026531841"),
        Column("process_network_namespace_id", Kind.U32, "Network namespace (inode)", example="4026531840"),
        *PLACE,
        Column("container_runtime", Kind.NAME, "docker, containerd, cri-o, podman, lxc, or empty", example="docker"),
        Column(
            "process_cpu_time",
            Kind.U64,
            "Time on a processor at exit, microseconds, as the scheduler last counted",
            codec="T64, ZSTD",
            example="1200",
        ),
        Column(
            "process_io_read_bytes", Kind.U64, "Bytes read from storage, at exit", codec="T64, ZSTD", example="4096"
        ),
        Column("process_io_write_bytes", Kind.U64, "Bytes written to storage, at exit", codec="T64, ZSTD", example="0"),
        Column(
            "process_oddities",
            Kind.NAME,
            "What is missing: args_truncated; exe_, args_, parent_, user_, place_ (unit, container), usage_unknown",
            example="",
        ),
    ),
    event_time="event_time",
    order_by=("agent_id", "event_time"),
)
