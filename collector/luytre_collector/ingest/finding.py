"""What was found out about an agent: the words that `presence` and `chain` have for it; `selfwatch` makes alerts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto


class Kind(Enum):
    """What it is."""

    SILENT = auto()
    HEARD_AGAIN = auto()
    STOPPED = auto()
    FINISHED = auto()
    NOT_BACK = auto()
    SOURCE_LOST = auto()
    SOURCE_BACK = auto()
    DEGRADED = auto()
    RESTORED = auto()
    CLOCK_OFF = auto()
    CLOCK_RIGHT = auto()
    BATCH_BROKEN = auto()
    ROWS_MISSING = auto()
    SPOOL_DAMAGED = auto()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing, found at `at_us` (microseconds since 1970). The same `story` of the same kind and agent is the same
    thing, whoever finds it, however often."""

    kind: Kind
    agent_id: str
    host_name: str
    at_us: int
    story: str
    facts: Mapping[str, object] = field(default_factory=dict)
    rows: tuple[str, ...] = ()  # table/agent_id/boot_id/stream/sequence, as in `evidence_ids`


def clean(text: str, most: int = 253) -> str:
    """Text that an agent says, short and printable."""
    return "".join(one if one.isprintable() else "?" for one in text[:most])
