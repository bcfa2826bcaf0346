"""Settings of enrolment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from luytre_common.settings import at_least, at_most, host_port, setting

#: The longest validity, hours: ten years.
_LONGEST = 87_600


def _host_port_or_nothing(value: str) -> str | None:
    return host_port(value) if value else None


@dataclass(frozen=True)
class Config:
    """Certificates for agents: the first one for a token, the next ones before the last ends."""

    listen: str = setting(
        "", "where agents get their first certificate, HOST:PORT; nowhere if empty", _host_port_or_nothing
    )
    authority: Path | None = setting(
        None, "folder with authority.pem and authority.key; if not set, that of ingest.tls.authority"
    )
    tokens: Path = setting(
        Path("/var/lib/luytre-collector/enrolment-tokens"), "file with the tokens: luytre-collector enrol token"
    )
    valid_hours: float = setting(2160.0, "how long a certificate is good, hours", at_least(0.001), at_most(_LONGEST))
    replaced: Literal["revoke", "keep"] = setting(
        "revoke", "what becomes of an agent's other certificates when a token made for its name alone enrols it anew"
    )
