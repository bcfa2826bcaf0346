"""The records of the Linux audit system, as our rows know the same facts: tables to be read.

auditd writes several records (`type`) about one event; a row of ours stands for all of them at once, so a rule may ask
in one selection for what auditd spreads over SYSCALL, EXECVE, CWD and PATH. Fields that are columns are called by the
`sigma` names of the column table (`exe`, `comm`, `cwd`, `proctitle`, `a0`, `uid`, `auid`, `name`, `acct`, ...).

Names and meanings: audit record types in linux/audit.h and libaudit's audit-records.h, fields in auditd's field
dictionary (https://github.com/linux-audit/audit-documentation).
"""

from __future__ import annotations

from luytre_collector.detect.route import Route, always, by

#: What no row of ours can say, and what to write.
NOWHERE = {
    "key": "names a rule of an audit system, which nothing here reads; write what that rule watches: exe, name, a0",
    "unit": "is of SERVICE records, which no table holds; write what stops it: type: EXECVE, a0: systemctl, a1: stop",
}

_EXECUTED = Route(
    None,
    "linux",
    "auditd",
    "processes",
    (("event_action", "exec"),),
    {
        "type": always("SYSCALL", "EXECVE", "CWD", "PATH", "PROCTITLE"),
        # Of system calls, the one that made the row. 59 is its number on x86-64, as raw records have it.
        "SYSCALL": always("execve"),
        "syscall": always("execve", "59"),
        "success": always("yes"),
        "nametype": always("NORMAL"),
    },
    ("process_command_line", "process_executable", "process_working_directory"),
    shared=True,
)

_CHANGED = Route(
    None,
    "linux",
    "auditd",
    "files",
    tuple(("event_action", action) for action in ("created", "modified", "moved", "deleted", "attributes")),
    {
        "type": always("PATH"),
        "nametype": by("event_action", CREATE="created moved", NORMAL="modified attributes", DELETE="deleted"),
    },
    ("file_path", "file_previous_path"),
    shared=True,
)

_TOLD = Route(
    None,
    "linux",
    "auditd",
    "logins",
    (),
    {
        "type": by(
            "event_action",
            USER_AUTH="login",
            USER_LOGIN="login",
            USER_LOGOUT="logout",
            USER_START="session_open",
            USER_END="session_close",
            USER_CMD="sudo",
            USER_CHAUTHTOK="password_changed",
            USER_MGMT="user_changed",
            GRP_MGMT="group_changed",
            ADD_USER="user_added",
            DEL_USER="user_removed",
            ADD_GROUP="group_added",
            DEL_GROUP="group_removed",
            SYSTEM_BOOT="boot",
            SYSTEM_SHUTDOWN="shutdown",
        ),
        "res": by("event_outcome", success="success", failed="failure"),
    },
    ("message",),
    shared=True,
)

RECORDS = (_EXECUTED, _CHANGED, _TOLD)
