"""What the spool is told and what it hands out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from luytre_common.ledger import Entry
from luytre_common.settings import at_least, setting

from luytre_agent.batch import Key, SealedBatch
from luytre_agent.spool.classes import NAMES
from luytre_agent.spool.segment import Record


@dataclass(frozen=True)
class Config:
    """The disk spool: where batches wait until the collector has stored them."""

    directory: Path = setting(Path("/var/lib/luytre-agent/spool"), "folder of the spool; one agent per folder")
    max_bytes: int = setting(
        1 << 32, "quota, bytes; when it is reached the lowest class gives way, oldest first, counted", at_least(1 << 16)
    )
    max_age_hours: float = setting(
        0.0, "what waits for longer, by this host's clock, is dropped and counted; 0: nothing is", at_least(0)
    )
    segment_bytes: int = setting(8 << 20, "a segment is closed at this size, bytes", at_least(1 << 12))
    fsync: Literal["segment", "batch", "never"] = setting(
        "segment",
        "wait for the disk after each segment (a power cut loses at most the newest of each class), each batch"
        " (nothing), or never (what the kernel has not written yet, some 30 s)",
    )
    ledger_seconds: float = setting(5.0, "acknowledged positions are written down this often", at_least(0))


#: Makes the bytes that are sent, from a sealed batch, its numbering, its first sequence, the time in seconds since
#: 1970, and its link in the chain of its numbering (`luytre_common.wire.chain`).
Encode = Callable[[SealedBatch, Key, int, float, bytes], bytes]

#: Hears what became of rows: their numbering, rows_spooled or rows_lost (rows_cut of its own), how many, and the cause.
Tally = Callable[[Key, Entry, int, str], object]


def no_tally(key: Key, entry: Entry, rows: int, cause: str) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place between two batches of a class."""

    segment: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Position:
    """How far somebody has read in each class."""

    places: tuple[Place, ...] = (Place(),) * len(NAMES)

    def with_place(self, rank: int, place: Place) -> Position:
        """The same, but for one class."""
        return Position((*self.places[:rank], place, *self.places[rank + 1 :]))


@dataclass(frozen=True, slots=True)
class Stored:
    """A batch that waits, and where to go on after it."""

    record: Record
    position: Position
