"""Records of wtmp and btmp: `struct utmp` of utmp(5), as glibc lays it out.

On most machines it has 384 bytes with 32-bit times (glibc's `__WORDSIZE_TIME64_COMPAT32`, also where long has 64 bits);
where the machine never had a 32-bit ABI to agree with (aarch64), session and time are 64-bit and it has 400.
"""

from __future__ import annotations

import platform
import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from luytre_agent.sources.logs.syslog import clean

#: type, (padding), pid, line, id, user, host, exit status (2), session, seconds, microseconds, address, reserved.
_NARROW = struct.Struct("=hxxi32s4s32s256shhiII16s20x")
_WIDE = struct.Struct("=hxxi32s4s32s256shhqqq16s20x4x")

_RUN_LVL, _BOOT, _LOGIN, _USER, _DEAD = 1, 2, 6, 7, 8  # utmp(5)


def layout(machine: str = "") -> struct.Struct:
    """The layout on `machine` (as `uname -m` says; empty: on this one)."""
    return _WIDE if (machine or platform.machine()) in ("aarch64", "aarch64_be") else _NARROW


def row(record: bytes, shape: struct.Struct, failed: bool) -> dict[str, Any] | None:
    """The row of a record; None for kinds that say nothing (a waiting getty). failed: it comes from btmp."""
    kind, pid, line, _, user, host, _, _, _, seconds, micros, address = shape.unpack(record)
    tty, name, where = (clean(text.split(b"\0", 1)[0]) for text in (line, user, host))
    action, outcome = _meaning(kind, name, failed)
    if not action or not 0 <= seconds < 1 << 40 or not 0 <= micros < 10**9:
        return None
    message = " ".join(filter(None, [f"{action} {outcome}".strip(), name, tty, where and f"from {where}"]))
    result: dict[str, Any] = {
        "event_time": seconds * 1_000_000 + min(micros, 999_999),
        "event_action": action,
        "event_outcome": outcome,
        "event_source": "btmp" if failed else "wtmp",
        "process_pid": max(pid, 0),
        "user_name": "" if kind in (_BOOT, _RUN_LVL) else name,
        "session_id": tty,
        "process_tty": tty,
        "message": message,
    }
    if any(address):
        result["source_ip"] = str(IPv6Address(address) if any(address[4:]) else IPv4Address(address[:4]))
    return result


def _meaning(kind: int, name: str, failed: bool) -> tuple[str, str]:
    if failed:
        return "login", "failure"
    if kind == _USER:
        return "login", "success"
    if kind == _DEAD:
        return "logout", "success"
    if kind == _BOOT:
        return "boot", ""
    return ("shutdown", "") if kind == _RUN_LVL and name == "shutdown" else ("", "")
