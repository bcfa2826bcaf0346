"""What policy does on this host, for people and machines: by what is on the disk, whether an agent runs or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from luytre_common.errors import UserError
from luytre_common.policy import key_id, load_keys

from luytre_agent.certificate import facts
from luytre_agent.policy.config import Config
from luytre_agent.policy.current import Current, current
from luytre_agent.policy.state import File, Known, UnreadableError


@dataclass(frozen=True, slots=True)
class Shown:
    """agent_id: by the certificate; empty without keys. keys: their short names. settings: those that count."""

    enabled: bool
    agent_id: str
    keys: tuple[str, ...]
    known: Known
    current: Current
    settings: Mapping[str, Any]
    kept: tuple[str, ...]


def show(config: Config, folder: Path, certificate: Path, now: float) -> Shown:
    """Look. UserError if something cannot be read."""
    keys = load_keys(config.key) if config.enabled and config.key else ()
    agent_id = _agent_id(certificate) if keys else ""
    file = File(folder)
    try:
        known = file.read()
    except PermissionError:
        raise UserError(f"{file.path}: Permission denied; ask as the user that the agent runs as, or as root") from None
    except OSError as error:
        raise UserError(f"{file.path}: {error.strerror}; [policy] directory must be a folder of the agent's") from None
    except UnreadableError as error:
        raise UserError(f"{error}; the agent puts it aside at its next start") from None
    found = current(known, keys, agent_id) if config.enabled else Current()
    counts = found.document is not None and found.counts(now)
    given = found.document.settings if found.document and counts else {}
    names = tuple(map(key_id, keys))
    return Shown(config.enabled, agent_id, names, known, found, config.open(given), tuple(config.kept(given)))


def _agent_id(certificate: Path) -> str:
    try:
        return facts(certificate.read_bytes()).common_name
    except OSError as error:
        raise UserError(f"{certificate}: {error.strerror}; it says for which agent a policy is") from None
    except ValueError as error:
        raise UserError(f"{certificate}: {error}; it says for which agent a policy is") from None


def sentence(shown: Shown, now: float) -> str:
    """In one line."""
    if not shown.enabled:
        return "turned off on this host"
    if not shown.keys:
        return "none: this host has no key for policies ([policy] key)"
    document = shown.current.document
    if shown.current.refused and shown.known.applied:
        text = f"version {shown.known.applied.version} is not in force: {shown.current.refused}"
    elif document is None:
        text = "none came so far" if not shown.known.highest else "none is in force"
    elif document.expired(now):
        text = f"version {document.version} is over: the host's own configuration counts"
    else:
        text = f"version {document.version}{f' ({document.group})' if document.group else ''} is in force"
        text += f", {len(shown.settings)} settings"
    if shown.known.trying:
        text += f"; version {shown.known.trying.version} is being tried"
    elif (report := shown.known.report) and report.state == "rolled_back":
        text += f"; version {report.version} was taken back: {report.message}"
    return text


def table(shown: Shown, now: float) -> dict[str, Any]:
    """As one object."""
    document = shown.current.document
    in_force = document if document and shown.current.counts(now) else None
    report = shown.known.report
    return {
        "enabled": shown.enabled,
        "agent_id": shown.agent_id,
        "keys": list(shown.keys),
        "version": in_force.version if in_force else 0,
        "group": in_force.group if in_force else "",
        "expires": _time(in_force.expires) if in_force else None,
        "reason": in_force.reason if in_force else "",
        "settings": dict(shown.settings),
        "kept": list(shown.kept),
        "refused": str(shown.current.refused) if shown.current.refused else None,
        "trying": shown.known.trying.version if shown.known.trying else None,
        "highest": shown.known.highest,
        "report": report and {"version": report.version, "state": report.state, "message": report.message},
    }


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()
