"""What the uplink asks of the place where batches wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from luytre_agent.batch import Key


class Batch(Protocol):
    """A batch that waits: rows `first` to `last` of `key`, and the serialized message."""

    @property
    def key(self) -> Key:
        """The numbering."""

    @property
    def table(self) -> str:
        """The table."""

    @property
    def first(self) -> int:
        """Sequence of the first row."""

    @property
    def last(self) -> int:
        """Sequence of the last row."""

    @property
    def batch(self) -> bytes:
        """A serialized `luytre.wire.v1.Batch`."""


class Waiting(Protocol):
    """A batch and the place behind it."""

    @property
    def record(self) -> Batch:
        """The batch."""

    @property
    def position(self) -> Any:
        """Where to go on."""


class Outbox(Protocol):
    """Where batches wait; see `luytre_agent.spool.Spool`."""

    def pending(self, after: Any = None, may: Callable[[int], bool] = ...) -> Iterator[Waiting]:
        """The batches behind `after` that are not settled, by class and age; of classes (0 the first) that `may` go."""

    def acknowledge(self, boot_id: str, stream: str, through: int) -> int:
        """They are stored; returns how many rows are newly so."""

    def refuse(self, boot_id: str, stream: str, first: int) -> None:
        """It will never be stored."""

    def unsettled(self) -> int:
        """Number of batches that wait."""

    def wait(self, ready: Callable[[], bool], timeout_s: float | None = None) -> bool:
        """Sleep until `ready()`."""

    def listen(self, tell: Callable[[], object] | None) -> None:
        """Call `tell`, in any thread, whenever a batch is put in; None: no more."""
