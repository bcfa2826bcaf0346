"""What every source is: something that can be opened, polled for sealed batches, and asked for its counters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from luytre_common.telemetry import Sample

from luytre_agent.batch import SealedBatch
from luytre_agent.ease import Ease

__all__ = ["SealedBatch", "Source"]


class Source(Protocol):
    """One source of rows, driven by one thread of its own.

    Constructors are inert: they take the configuration and touch nothing. `open` acquires; `poll` waits and works;
    `close` gives back everything, and whatever was still being put together.
    """

    name: str
    #: Whether what it reads is kept for it however long it takes (a file). If not, as in a ring of the kernel, its
    #: batches are never waited for.
    patient: bool

    def open(self) -> None:
        """Acquire sockets, rings, programs. Raises `luytre_common.errors.Unavailable` with reason and remedy."""

    def poll(self, timeout_s: float) -> Sequence[SealedBatch]:
        """Work for at most about `timeout_s` seconds; return the batches that became full or due. Never raises for bad
        input: that is counted. Raises `Unavailable` if what it reads has gone away (an interface)."""

    def ease(self, ease: Ease) -> float:
        """Do less, or all again: from the next poll on, in the thread that polls. Returns how many seconds to rest
        between two polls."""

    def samples(self) -> Sequence[Sample]:
        """The counters of this source now."""

    @property
    def finished(self) -> bool:
        """Whether there will never be more (a file that was read to its end). Live sources never finish."""

    def close(self) -> Sequence[SealedBatch]:
        """Release everything; return the last batches. May be called once, after `open`."""
