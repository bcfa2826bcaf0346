"""An alert, and how its identity follows from its evidence."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

#: "::", the zero of an IP column.
NO_ADDRESS = bytes(16)


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert; the fields are the columns of table `alerts`, times in microseconds since 1970 UTC."""

    alert_id: str
    event_time: int
    alert_created: int
    rule_id: str
    rule_name: str
    rule_name_vi: str
    rule_level: str
    rule_kind: Literal["event", "correlation", "query"]
    threat_technique_id: tuple[str, ...] = ()
    threat_tactic_name: tuple[str, ...] = ()
    source_ip: bytes = NO_ADDRESS
    destination_ip: bytes = NO_ADDRESS
    user_name: str = ""
    agent_id: str = ""
    host_name: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    evidence_ids: tuple[str, ...] = ()


def alert_id(rule_id: str, *parts: str) -> str:
    """The identity of the alert that `rule_id` raises about `parts`: 32 hexadecimal digits of BLAKE2b."""
    text = "\x1f".join((rule_id, *parts)).encode("utf-8", "surrogateescape")
    return hashlib.blake2b(text, digest_size=16).hexdigest()
