"""A policy's document: TOML, read against the table of what is allowed. Pure: no clock, no file.

version = 12                              # higher replaces lower; never used twice
group = "portals"                         # what people call the agents it is for
agents = ["portal-*", "web-0[1-4]"]       # who they are: patterns of agent_id
not_before = 2026-12-01T00:00:00+07:00    # optional
expires = 2027-12-01T00:00:00+07:00       # optional
reason = "..."                            # optional, for people

[settings.sources.files]                  # settings of the agent, as in its own configuration
web_roots = ["/var/www"]
"""

from __future__ import annotations

import difflib
import fnmatch
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from luytre_common.errors import UserError
from luytre_common.policy.allowed import ALLOWED

#: A document has at most so many bytes.
MAX_BYTES = 64 << 10
MAX_AGENTS = 1000
MAX_VERSION = 2**63 - 1
_MAX_REASON = 500
_MAX_DEPTH = 8

_KNOWN = ("version", "group", "agents", "not_before", "expires", "reason", "settings")
_GROUP = re.compile(r"\w[\w .-]{0,63}")
#: What an agent may be called (pki), and the signs of patterns.
_AGENTS = re.compile(r"[a-z0-9.*?\[\]!-]{1,64}")


class PolicyError(UserError):
    """A document that no agent takes; `faults` names every one, each with its key."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(faults))


@dataclass(frozen=True, slots=True)
class Document:
    """A sound document. Times are seconds since 1970 UTC; `settings` by key of `ALLOWED`."""

    version: int
    group: str
    agents: tuple[str, ...]
    settings: Mapping[str, Any]
    not_before: float | None = None
    expires: float | None = None
    reason: str = ""

    def names(self, agent_id: str) -> bool:
        """Whether it is for this agent."""
        return any(fnmatch.fnmatchcase(agent_id, pattern) for pattern in self.agents)

    def expired(self, now: float) -> bool:
        """Whether its time is over."""
        return self.expires is not None and now >= self.expires

    def begun(self, now: float) -> bool:
        """Whether its time has come."""
        return self.not_before is None or now >= self.not_before


def read(raw: bytes) -> Document:
    """The document. PolicyError with every fault: never anything else, whatever the bytes are."""
    tables = _parse(raw)
    known = ", ".join(_KNOWN)
    faults = [f"{_short(key)}: unknown key; known here: {known}" for key in tables if key not in _KNOWN]
    version = tables.get("version")
    if type(version) is not int or not 1 <= version <= MAX_VERSION:
        faults.append("version: must be a whole number from 1 on, larger than that of every policy before")
    group = tables.get("group", "")
    if not isinstance(group, str) or (group and not _GROUP.fullmatch(group)):
        faults.append("group: must be a name: letters, digits, space, _ . and -, at most 64")
    reason = tables.get("reason", "")
    if not isinstance(reason, str) or len(reason) > _MAX_REASON or not all(map(_readable, reason)):
        faults.append(f"reason: must be text of at most {_MAX_REASON} characters, without control characters")
    agents = _agents(tables.get("agents"), faults)
    not_before, expires = (_time(tables, key, faults) for key in ("not_before", "expires"))
    if not_before is not None and expires is not None and expires <= not_before:
        faults.append("expires: is not after not_before")
    settings = _settings(tables.get("settings", {}), faults)
    if faults:
        raise PolicyError(faults)
    assert isinstance(version, int)
    return Document(version, str(group), agents, settings, not_before, expires, str(reason))


def _parse(raw: bytes) -> dict[str, Any]:
    if len(raw) > MAX_BYTES:
        raise PolicyError([f"document: {len(raw)} bytes; the most is {MAX_BYTES}"])
    try:
        return tomllib.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise PolicyError([f"document: not UTF-8 at byte {error.start}"]) from None
    except ValueError as error:  # tomllib's own errors, dates that are none, numbers of thousands of digits
        raise PolicyError([f"document: not TOML: {error}"]) from None
    except RecursionError:
        raise PolicyError(["document: not TOML: nested too deeply"]) from None


def _agents(value: Any, faults: list[str]) -> tuple[str, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_AGENTS:
        faults.append(f"agents: must be a list of 1 to {MAX_AGENTS} patterns of agent names")
        return ()
    for pattern in value:
        if not isinstance(pattern, str) or not _AGENTS.fullmatch(pattern):
            shown = _short(pattern) if isinstance(pattern, str) else "what is no string"
            faults.append(f"agents: {shown} is not a pattern of agent names (a-z 0-9 . - * ? [ ])")
            return ()
    return tuple(value)


def _time(tables: Mapping[str, Any], key: str, faults: list[str]) -> float | None:
    value = tables.get(key)
    if value is None:
        return None
    if not isinstance(value, datetime) or value.tzinfo is None:
        faults.append(f"{key}: must be a time with its offset, such as 2026-12-01T00:00:00+07:00")
        return None
    try:
        return value.timestamp()
    except (OverflowError, ValueError):  # the first or last day there is, beyond it in UTC
        faults.append(f"{key}: is out of range")
        return None


def _settings(value: Any, faults: list[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        faults.append("settings: must be a table")
        return {}
    settings: dict[str, Any] = {}
    for key, one in _leaves(value, ""):
        allowed = ALLOWED.get(key)
        if allowed is None:
            faults.append(f"settings.{_short(key)}: no policy may set that{_hint(key)}")
        elif fault := allowed.fault(one):
            faults.append(f"settings.{key}: {fault}")
        else:
            settings[key] = one
    return settings


def _leaves(table: Mapping[str, Any], prefix: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every key with its dots, and its value; a table is gone into only where something below it is allowed."""
    for name, value in table.items():
        key = f"{prefix}{name}"
        inside = any(one.startswith(f"{key}.") for one in ALLOWED)
        if "." in name:
            yield f'{prefix}"{name}"', value  # in quotes it names one thing, not a path of tables
        elif isinstance(value, dict) and inside and depth < _MAX_DEPTH:
            yield from _leaves(value, f"{key}.", depth + 1)
        else:
            yield key, value


def _hint(key: str) -> str:
    close = difflib.get_close_matches(key, ALLOWED, n=1, cutoff=0.85) if len(key) < 100 else []
    return f"; did you mean {close[0]}?" if close else "; see: luytre-collector policy keys"


def _readable(sign: str) -> bool:
    return sign.isprintable() or sign == "\n"


def _short(text: str) -> str:
    shown = text if len(text) <= 80 else text[:77] + "..."
    return shown if shown.isprintable() and " " not in shown else repr(shown)
