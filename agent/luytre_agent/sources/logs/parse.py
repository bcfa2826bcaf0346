"""From a message and the program that wrote it to a row of `logins`. Pure."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from luytre_agent.sources.logs.patterns import PAM, PAM_LINE, PROGRAMS, Pattern

#: Groups of the patterns that are columns as they are.
COLUMNS = {
    "user": "user_name",
    "target": "user_target_name",
    "method": "authentication_method",
    "key": "ssh_key_fingerprint",
    "session": "session_id",
    "tty": "process_tty",
    "line": "process_tty",
    "command": "process_command_line",
}

#: What an authentication failure that PAM tells of was for. sshd tells of its own.
_PAM_ACTIONS = {"sudo": "sudo", "sudo-i": "sudo", "su": "su", "su-l": "su", "sshd": "other", "cron": "cron"}
_PAM_ACTIONS |= {"polkit-1": "polkit", "passwd": "other", "chsh": "other", "chfn": "other"}

#: Services in which one user becomes another; elsewhere the session's user is who came.
_BECOME = {"sudo", "sudo-i", "su", "su-l", "polkit-1", "runuser", "runuser-l"}


def parse(program: str, message: str) -> dict[str, Any]:
    """The columns that the message fills; `event_action` is `other` for what is not known."""
    if program not in PROGRAMS and not message.startswith("pam_"):
        return {"event_action": "other"}
    if found := PAM_LINE.fullmatch(message):
        return _pam(found["service"], found["message"])
    for pattern in PROGRAMS.get(program, ()):
        if groups := _groups(pattern, message):
            row = _row(pattern, groups)
            if row["event_action"] == "sudo":
                row["event_outcome"] = _sudo_outcome(groups)
            return row
    return {"event_action": "other"}


def _groups(pattern: Pattern, message: str) -> dict[str, str] | None:
    found = pattern.expression.fullmatch(message)
    return None if found is None else {"": "", **{name: text for name, text in found.groupdict().items() if text}}


def _row(pattern: Pattern, groups: dict[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {"event_action": pattern.action, "event_outcome": pattern.outcome}
    if pattern.method:
        row["authentication_method"] = pattern.method
    row |= {COLUMNS[name]: text for name, text in groups.items() if name in COLUMNS}
    if address := _address(groups.get("ip", "")):
        row["source_ip"] = address
        row["source_port"] = min(int(groups.get("port", "0")), 65535)
    return row


def _sudo_outcome(groups: dict[str, str]) -> str:
    """sudo writes the reason before the rest, when it refuses."""
    return "failure" if "why" in groups else "success"


def _pam(service: str, message: str) -> dict[str, Any]:
    for pattern in PAM:
        if groups := _groups(pattern, message):
            break
    else:
        return {"event_action": "other"}
    row = _row(pattern, groups)
    if pattern.action == "authentication":
        row["event_action"] = _PAM_ACTIONS.get(service, "login")
        if ruser := groups.get("ruser"):
            row["user_name"] = ruser
    if service not in _BECOME and pattern.action != "password_changed" and "user_target_name" in row:
        row["user_name"] = row.pop("user_target_name")
    return row


def _address(text: str) -> str:
    """The address, if it is one: some versions write a name, or `UNKNOWN`."""
    try:
        return str(ip_address(text.partition("%")[0]))
    except ValueError:
        return ""
