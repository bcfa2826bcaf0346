"""The table of logins: who came in, who tried, who changed user."""

from __future__ import annotations

from luytre_common.schema.model import VALUES, Column, Kind, Table
from luytre_common.schema.owner import EVENT_TIME

LOGINS = Table(
    "logins",
    "One row per line about authentication, sessions, privileges and accounts",
    (
        EVENT_TIME,
        Column(
            "event_action",
            Kind.NAME,
            "login, logout, sudo, su, session_open, session_close, cron, user_added, user_changed, user_removed, "
            "group_added, group_changed, group_removed, password_changed, polkit, boot, shutdown, or other",
            example="login",
        ),
        Column("event_outcome", Kind.NAME, "success, failure, or empty", example="failure"),
        Column("event_source", Kind.NAME, "Where it was read: journald, auth_log, wtmp, btmp", example="journald"),
        Column(
            "process_name",
            Kind.NAME,
            "Program that wrote it: sshd, sudo, su, login, cron and others",
            sigma=("comm",),
            example="sshd",
        ),
        Column("process_pid", Kind.U32, "Its process id; 0 if unknown", sigma=("ProcessId", "pid"), example="812"),
        Column(
            "user_name", Kind.NAME, "User who logs in, or who uses sudo or su", sigma=("User", "acct"), example="lan"
        ),
        Column(
            "user_target_name",
            Kind.NAME,
            "User that sudo or su changes to, or the account that is changed",
            sigma=("USER",),
            example="root",
        ),
        Column("source_ip", Kind.IP, "Where from", sigma=("SourceIp", "src_ip", "addr"), example="::ffff:203.0.113.66"),
        Column("source_port", Kind.U16, "Port there", sigma=("SourcePort", "src_port"), example="51514"),
        Column(
            "authentication_method",
            Kind.NAME,
            "password, publickey, keyboard-interactive and others; empty if not said",
            example="password",
        ),
        Column("ssh_key_fingerprint", Kind.NAME, "Fingerprint of the key, as sshd writes it", example="SHA256:0Zv..."),
        Column("session_id", Kind.NAME, "Session (logind) or terminal line", example="c2"),
        Column("process_tty", Kind.NAME, "Terminal", sigma=("terminal", "TTY"), example="pts/0"),
        Column(
            "process_command_line",
            Kind.TEXT,
            "Command of sudo or cron, redacted",
            sigma=("CommandLine", "COMMAND", "cmd"),
            example="/usr/bin/id",
        ),
        Column(
            "message",
            Kind.TEXT,
            "The line, redacted, at most 8 KiB",
            example="Failed password for lan from 203.0.113.66 port 51514 ssh2",
        ),
    ),
    event_time="event_time",
    order_by=("agent_id", "event_time"),
    indexes=(("source_ip", VALUES),),
)
