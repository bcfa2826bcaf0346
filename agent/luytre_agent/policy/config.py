"""What this host says about policies. None of it can be set by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luytre_common.policy import ALLOWED
from luytre_common.settings import at_least, at_most, setting


def _locked(values: list[str]) -> str | None:
    for value in values:
        if not any(_within(key, value) for key in ALLOWED):
            return f"has {value!r}, which no policy may set anyway; give keys or tables of deploy/policy/ALLOWED.md"
    return None


def _within(key: str, table: str) -> bool:
    return key == table or key.startswith(f"{table}.")


@dataclass(frozen=True)
class Config:
    """Policies: settings that come signed, through the collector."""

    enabled: bool = setting(True, "whether policies are taken; false: this file alone counts")
    key: Path | None = setting(
        None, "file of the Ed25519 public keys that policies are signed with; without it they are refused"
    )
    locked: list[str] = setting([], 'keys or tables that policies leave alone, such as "sources.files"', _locked)
    trial_seconds: float = setting(
        60.0, "a new policy is taken back if the agent is not well with it for so long", at_least(1), at_most(3600)
    )
    directory: Path | None = setting(None, "where the policy in force is kept; else beside the spool, as NAME-policy")

    def folder(self, spool: Path) -> Path:
        """Where the policy in force is kept, given where the spool is."""
        return self.directory or spool.with_name(f"{spool.name}-policy")

    def open(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Those of the settings that this host leaves to policies."""
        return {key: value for key, value in settings.items() if not self._pinned(key)}

    def kept(self, keys: Iterable[str]) -> list[str]:
        """Those of the keys that this host keeps to itself."""
        return [key for key in keys if self._pinned(key)]

    def _pinned(self, key: str) -> bool:
        return any(_within(key, table) for table in self.locked)
