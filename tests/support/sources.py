"""Sources that do as a test says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from luytre_agent.ease import Ease
from luytre_common.errors import Unavailable
from luytre_common.telemetry import Sample


@dataclass(frozen=True)
class Batch:
    """The outside of a sealed batch."""

    table: str = "flows"
    rows: int = 1
    body: bytes = b"rows"
    first_event: int = 1
    last_event: int = 2
    raw_size: int = 4


@dataclass
class Scripted:
    """`polls` are the answers to `poll`, exceptions among them are raised; after the last it is finished or idle."""

    name: str = "scripted"
    patient: bool = False
    polls: list[Any] = field(default_factory=list)
    unavailable: str = ""
    finishes: bool = False
    last: Sequence[Batch] = ()
    on_idle: Callable[[], None] = lambda: None
    opened: int = 0
    closed: int = 0
    fault: str = ""
    eased: list[Ease] = field(default_factory=list)
    rest_s: float = 0.0

    def open(self) -> None:
        self.opened += 1
        if self.unavailable:
            raise Unavailable(self.unavailable, "help it")

    def poll(self, timeout_s: float) -> Sequence[Batch]:
        if not self.polls:
            self.on_idle()
            return ()
        answer = self.polls.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return list(answer)

    def ease(self, ease: Ease) -> float:
        self.eased.append(ease)
        return self.rest_s

    def samples(self) -> Sequence[Sample]:
        return [Sample(self.name, "closed", "", self.closed)]

    @property
    def finished(self) -> bool:
        return self.finishes and not self.polls

    def close(self) -> Sequence[Batch]:
        self.closed += 1
        return self.last
