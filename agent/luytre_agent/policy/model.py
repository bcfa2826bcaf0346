"""What the parts of this package hand to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

State = Literal["trying", "applied", "refused", "rolled_back", "expired"]


@dataclass(frozen=True, slots=True)
class Given:
    """A policy as it came."""

    version: int
    document: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a version."""

    version: int
    state: State
    message: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """One source at one moment."""

    available: bool
    reason: str = ""
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """How the agent is at one moment: its sources by name, `KIND` or `KIND:WHICH`; the kinds that are configured; and
    whether the collector is there."""

    sources: Mapping[str, Source] = field(default_factory=dict)
    kinds: frozenset[str] = frozenset()
    connected: bool = False

    def available(self, kind: str) -> bool:
        """Whether something of this kind runs."""
        return any(source.available for name, source in self.sources.items() if kind_of(name) == kind)


def kind_of(name: str) -> str:
    """`packets` of `packets:eth0`."""
    return name.partition(":")[0]
