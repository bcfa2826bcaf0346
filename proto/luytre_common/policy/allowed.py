"""The closed table of what a policy may set. What is not in it cannot be set from afar, whoever signs.

Never in it: addresses of collectors, certificates and keys, folders that are written to, programs and their arguments,
files whose content becomes rows (log files), names that are put into a path (`sysctls`, network namespaces), and what
would show more of a secret (`redact.enabled = false`). Watched paths are only watched: their names, modes and hashes
become rows, never their content.

Keys and types are those of the agent's configuration file; bounds are narrower than the agent's own, so that no policy
can make an agent useless or a burden by a number. A test holds the table against the agent's configuration.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

#: How a value of each kind is written.
Kind = Literal["switch", "on", "whole", "number", "choice", "interfaces", "paths", "patterns"]

MAX_LIST = 256
MAX_TEXT = 1024
MAX_PATTERNS = 64

#: dev_valid_name() of the kernel's net/core/dev.c: at most 15 bytes, no slash, colon, space; ours is narrower still.
_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,14}")


@dataclass(frozen=True, slots=True)
class Allowed:
    """One key that a policy may set.

    key: as in the agent's configuration, with dots. least, most: bounds of a number, both included.
    added: a policy's list is added to that of the host's own configuration instead of replacing it.
    """

    key: str
    kind: Kind
    meaning: str
    least: float = 0
    most: float = 0
    choices: tuple[str, ...] = ()
    added: bool = field(default=False)

    def fault(self, value: Any) -> str | None:
        """What is wrong with the value, as the end of a sentence that begins with the key; None if nothing is."""
        return _CHECKS[self.kind](self, value)

    def values(self) -> str:
        """For people: which values it takes."""
        match self.kind:
            case "switch":
                return "true, false"
            case "on":
                return "true"
            case "whole" | "number":
                return f"{_figure(self.least)} to {_figure(self.most)}"
            case "choice":
                return ", ".join(self.choices)
            case "interfaces":
                return f"at most {MAX_LIST} names of interfaces; auto: all"
            case "paths":
                return f"at most {MAX_LIST} absolute paths"
            case _:
                return f"at most {MAX_PATTERNS} regular expressions"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"


def _switch(_: Allowed, value: Any) -> str | None:
    return None if isinstance(value, bool) else "is not true or false"


def _on(_: Allowed, value: Any) -> str | None:
    return None if value is True else "may only be turned on by a policy: give true or leave it out"


def _whole(one: Allowed, value: Any) -> str | None:
    return _within(one, value) if type(value) is int else "is not a whole number"


def _number(one: Allowed, value: Any) -> str | None:
    return _within(one, value) if type(value) in (int, float) else "is not a number"


def _within(one: Allowed, value: Any) -> str | None:
    if one.least <= value <= one.most:  # also False for what is not a number
        return None
    return f"is not within {_figure(one.least)} to {_figure(one.most)}"


def _choice(one: Allowed, value: Any) -> str | None:
    return None if isinstance(value, str) and value in one.choices else f"is not one of {', '.join(one.choices)}"


def _texts(value: Any, most: int) -> str | None:
    if not isinstance(value, list):
        return "is not a list of strings"
    if len(value) > most:
        return f"has {len(value)} entries; the most is {most}"
    for text in value:
        if not isinstance(text, str):
            return "is not a list of strings"
        if not text or len(text.encode()) > MAX_TEXT:
            return f"has an entry that is empty or longer than {MAX_TEXT} bytes"
    return None


def _interfaces(_: Allowed, value: Any) -> str | None:
    if fault := _texts(value, MAX_LIST):
        return fault
    bad = next((name for name in value if not _INTERFACE.fullmatch(name)), None)
    return f"has {bad!r}, which is not a name of an interface" if bad is not None else None


def _paths(_: Allowed, value: Any) -> str | None:
    if fault := _texts(value, MAX_LIST):
        return fault
    for path in value:
        parts = path.split("/")
        if not path.startswith("/") or ".." in parts or not path.isprintable():
            return f"has {path!r}, which is not an absolute path without .."
        if parts[1] in ("proc", "sys", "dev"):
            return f"has {path!r}: what is below /{parts[1]} is not watched by policy"
    return None


def _patterns(_: Allowed, value: Any) -> str | None:
    return _texts(value, MAX_PATTERNS)


_CHECKS: Mapping[Kind, Callable[[Allowed, Any], str | None]] = {
    "switch": _switch,
    "on": _on,
    "whole": _whole,
    "number": _number,
    "choice": _choice,
    "interfaces": _interfaces,
    "paths": _paths,
    "patterns": _patterns,
}

_MEGA = 1 << 20


def _batches(source: str) -> tuple[Allowed, Allowed]:
    return (
        Allowed(f"sources.{source}.batch_rows", "whole", "rows of a batch at most", 100, 200_000),
        Allowed(f"sources.{source}.batch_seconds", "number", "age of a batch at most, seconds", 0.2, 300),
    )


def _kinds(*kinds: str) -> tuple[Allowed, ...]:
    return tuple(Allowed(f"sources.inventory.{kind}", "switch", f"take stock of: {kind}") for kind in kinds)


_NEIGHBOURS = ("none", "gateways", "all")

_ENTRIES = (
    Allowed("health.interval_seconds", "number", "write the agent's counters this often, seconds", 1, 600),
    Allowed("health.heartbeat_seconds", "number", "tell the collector this often that the agent lives", 1, 20),
    Allowed("redact.enabled", "on", "secrets are replaced by [redacted]"),
    Allowed("redact.patterns", "patterns", "more patterns whose first group, or match, is a secret", added=True),
    Allowed("sources.refresh_seconds", "number", "look for new and vanished interfaces this often, seconds", 1, 3600),
    Allowed("sources.files.enabled", "switch", "watch files"),
    Allowed("sources.files.defaults", "switch", "watch accounts, sudo, sshd, PAM, cron, systemd, shells, loader"),
    Allowed("sources.files.homes", "switch", "watch .ssh, shell profiles and user units of all users"),
    Allowed("sources.files.web_roots", "paths", "directories that a web server serves"),
    Allowed("sources.files.paths", "paths", "further files and directories that are watched"),
    Allowed("sources.files.exclude", "paths", "files and directories that are left out"),
    Allowed("sources.files.report_seen", "switch", "a row for every file that is there at the start"),
    Allowed("sources.files.hash_bytes", "whole", "larger files are not hashed, bytes", 0, 1 << 30),
    Allowed("sources.files.max_files", "whole", "files whose state is remembered", 100, 1_000_000),
    Allowed("sources.files.max_directories", "whole", "directories watched", 16, 100_000),
    Allowed("sources.files.fold_seconds", "number", "writes to a file within so long are one row", 0, 60),
    *_batches("files"),
    Allowed("sources.logins.enabled", "switch", "read logins"),
    Allowed("sources.logins.linger_seconds", "number", "a renamed file is read on for so long", 0, 3600),
    *_batches("logins"),
    Allowed("sources.packets.enabled", "switch", "capture packets"),
    Allowed("sources.packets.interfaces", "interfaces", "interfaces of the host that are captured"),
    Allowed("sources.packets.ring_bytes", "whole", "ring of each interface, bytes", _MEGA, 64 * _MEGA),
    Allowed("sources.packets.inactive_timeout_seconds", "number", "a silent flow ends after so long", 5, 3600),
    Allowed("sources.packets.active_timeout_seconds", "number", "a long flow gives a row this often", 10, 3600),
    Allowed("sources.packets.max_flows", "whole", "flows kept at a time, of each interface", 1024, 1 << 20),
    *_batches("packets"),
    Allowed("sources.processes.enabled", "switch", "watch processes"),
    Allowed("sources.processes.seed", "switch", "rows for processes that are older than the agent"),
    Allowed("sources.processes.forks", "switch", "rows for forks"),
    Allowed("sources.processes.ptrace", "switch", "rows for processes that trace others"),
    Allowed("sources.processes.hashes", "switch", "SHA-256 of executables"),
    Allowed("sources.processes.proc_seconds", "number", "rung proc: time between two looks, seconds", 0.5, 3600),
    *_batches("processes"),
    Allowed("sources.sockets.enabled", "switch", "watch sockets"),
    Allowed("sources.sockets.watch_use", "switch", "eBPF: watch sends and receives"),
    Allowed("sources.sockets.poll_seconds", "number", "sock_diag: look this often, seconds", 0.2, 3600),
    *_batches("sockets"),
    Allowed("sources.network.enabled", "switch", "watch the network's configuration"),
    Allowed("sources.network.neighbours", "choice", "whose MAC addresses are watched", choices=_NEIGHBOURS),
    Allowed("sources.network.firewall", "switch", "watch nftables rule sets"),
    Allowed("sources.network.file_seconds", "number", "look at resolv.conf, nsswitch.conf, hosts this often", 1, 3600),
    Allowed("sources.network.max_things", "whole", "routes, neighbours, ... of each kind kept", 100, 1_000_000),
    *_batches("network"),
    Allowed("sources.inventory.enabled", "switch", "take stock"),
    Allowed("sources.inventory.snapshot_seconds", "number", "everything anew this often", 600, 604_800),
    Allowed("sources.inventory.interval_seconds", "number", "look at what is dear to read this often", 60, 86_400),
    Allowed("sources.inventory.quick_seconds", "number", "look at what is cheap to read this often", 5, 86_400),
    *_kinds("os", "kernel", "package", "user", "group", "unit", "timer", "mount", "listening_port", "kernel_module"),
    *_kinds("bpf_program", "sysctl", "clock"),
    Allowed("sources.inventory.max_things", "whole", "things of each kind that are kept", 100, 1_000_000),
    *_batches("inventory"),
)

#: Every key that a policy may set, by its name.
ALLOWED: Mapping[str, Allowed] = {one.key: one for one in _ENTRIES}
