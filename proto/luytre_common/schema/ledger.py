"""The table that the balance of every row is struck from."""

from __future__ import annotations

from luytre_common.schema.model import Column, Kind, Table

LEDGER = Table(
    "ledger",
    "What became of packets and rows on the agent, each interval: sums over it and the rows of the tables close the"
    " balance of an agent, a stream and an hour",
    (
        Column(
            "event_time",
            Kind.TIME,
            "End of the interval; of a gap, when the rows were lost",
            codec="Delta, ZSTD",
            example="2026-11-23 02:12:00.000000",
        ),
        Column(
            "ledger_boot_id",
            Kind.NAME,
            "The numbering that is spoken of; the row's own boot_id may be a later one",
            example="0d4f6c0e-3f0b-4a5e-9d0e-0f5a1d2b3c4d",
        ),
        Column(
            "ledger_stream",
            Kind.NAME,
            "The stream that is spoken of; of packets, the interface or capture file",
            example="flows",
        ),
        Column(
            "ledger_entry",
            Kind.NAME,
            "packets_seen, kernel_dropped, undecoded, unsampled (of flows left out); rows_cut, rows_spooled, rows_lost,"
            " rows_sent, rows_resent, rows_acknowledged; gap: rows that had numbers and will never come; degraded: a"
            " step of the agent's ladder begins, restored: it ends (cause start: whatever an earlier start left, stop:"
            " the agent ended)",
            example="rows_spooled",
        ),
        Column(
            "ledger_cause",
            Kind.NAME,
            "Why: quota, age, disk, queue, corrupt, refused; of packets, what; of a step, the budget: cpu, memory,"
            " disk, spool, uplink",
            example="quota",
        ),
        Column("ledger_count", Kind.U64, "Packets or rows in this interval; the number of the step", example="4096"),
        Column("ledger_first_sequence", Kind.U64, "Of a gap: the number of its first row", example="81920"),
        Column("ledger_last_sequence", Kind.U64, "Of a gap: the number of its last row", example="86015"),
    ),
    event_time="event_time",
    order_by=("agent_id", "event_time"),
)
