"""What the rows of `ledger` say: the values of `ledger_entry`, as the agent writes and the collector reads them.

Apart from the column table, which agents never load.
"""

from __future__ import annotations

from enum import StrEnum


class Entry(StrEnum):
    """Counts of an interval but for the last three: a gap, and the steps of the agent's ladder."""

    PACKETS_SEEN = "packets_seen"
    KERNEL_DROPPED = "kernel_dropped"
    UNDECODED = "undecoded"
    UNSAMPLED = "unsampled"
    ROWS_CUT = "rows_cut"
    ROWS_SPOOLED = "rows_spooled"
    ROWS_LOST = "rows_lost"
    ROWS_SENT = "rows_sent"
    ROWS_RESENT = "rows_resent"
    ROWS_ACKNOWLEDGED = "rows_acknowledged"
    GAP = "gap"
    DEGRADED = "degraded"
    RESTORED = "restored"
