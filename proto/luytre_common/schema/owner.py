"""Columns by which several tables say which process did it."""

from __future__ import annotations

from luytre_common.schema.model import Column, Kind

EVENT_TIME = Column(
    "event_time", Kind.TIME, "When it happened", codec="Delta, ZSTD", example="2026-11-23 02:11:03.120001"
)

#: The process and its user. `process_entity_id` joins with table processes.
PROCESS = (
    Column("process_pid", Kind.U32, "Process id in the agent's pid namespace", sigma=("ProcessId",), example="812"),
    Column(
        "process_entity_id",
        Kind.U64,
        "Identity of the process, as in table processes; 0 if unknown",
        sigma=("ProcessGuid",),
        example="1180591620717411",
    ),
    Column("process_name", Kind.NAME, "Command name of the process (comm)", sigma=("comm",), example="dig"),
    Column(
        "process_executable", Kind.NAME, "Executable of the process", sigma=("Image", "exe"), example="/usr/bin/dig"
    ),
    Column(
        "process_command_line",
        Kind.TEXT,
        "Command line of the process, redacted",
        sigma=("CommandLine",),
        example="dig example.org",
    ),
    Column("user_id", Kind.U32, "Real user id of the process", example="1000"),
    Column("user_name", Kind.NAME, "Name of the user on this host", sigma=("User",), example="lan"),
)

#: Where the process runs.
PLACE = (
    Column("systemd_unit", Kind.NAME, "systemd unit by the cgroup of the process", example="nginx.service"),
    Column("container_id", Kind.NAME, "Container by the cgroup of the process", example="3f4e5d6c7b8a"),
)

#: How the owner of a socket is known.
ATTRIBUTION = (
    Column(
        "attribution_method",
        Kind.NAME,
        "How the owner is known: ebpf or sock_diag; empty when it is not",
        example="ebpf",
    ),
    Column("attribution_confidence", Kind.U8, "How sure the owner is, percent", example="100"),
)
