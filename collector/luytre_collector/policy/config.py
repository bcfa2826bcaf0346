"""Settings of the collector about policies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from luytre_common.settings import at_least, setting


@dataclass(frozen=True)
class Config:
    """Signed policies for agents."""

    directory: Path = setting(Path("/var/lib/luytre-collector/policies"), "folder of signed policies, *.policy")
    interval_s: float = setting(5.0, "seconds between looks into the folder", at_least(0.1))
    key: Path | None = setting(
        None, "file of the public keys that policies are signed with; if given, what others signed is not passed on"
    )
