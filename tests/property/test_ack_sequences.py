"""Spool and stream together, under every order of appends, sends, answers, lost answers, cuts, restarts and crashes.

The collector of this test keeps what a real one keeps: the last stored number of each numbering, from which it knows
what it already has. What must hold at any time: every accepted row is stored or waits; no row is stored twice; nothing
is deleted that was neither stored nor refused. What was refused is told of as a gap, once.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from luytre_agent.batch import Key
from luytre_agent.spool import Config, Spool
from luytre_agent.uplink.session import Flight, Session

from tests.support.spooled import gaps

TABLES = st.sampled_from(["flows", "dns"])
_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


class Sealed:
    """A batch whose rows can be told apart: its body names it."""

    first_event = last_event = raw_size = 1

    def __init__(self, table: str, rows: int, name: int) -> None:
        self.table, self.rows, self.body = table, rows, f"{name}".encode()


class Delivery(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(dir=_MEMORY))
        self.generation = 0
        self.now = 0.0
        self.heard: set[tuple[str, str, int]] = set()
        self.gaps: list[tuple[str, str, str, int, int]] = []
        self.named = 0
        self.accepted: dict[bytes, int] = {}
        self.refused: set[bytes] = set()
        self.stored: Counter[bytes] = Counter()
        self.last: dict[Key, int] = {}
        self.open()

    def open(self) -> None:
        config = Config(
            directory=self.root / str(self.generation), segment_bytes=4096, fsync="never", ledger_seconds=0.0
        )
        self.spool = Spool(
            config,
            lambda sealed, key, first, now, link: sealed.body * (1 if sealed.table == "ledger" else 60),
            lambda: self.now,
            "kernel",
        )
        self.spool.open()
        self.connect()

    def connect(self) -> None:
        self.session = Session(0.0)
        self.session.welcome(4, 0.0)
        self.position: Any = None
        self.wire: list[tuple[Flight, bytes]] = []
        self.answers: list[tuple[str, Key, int]] = []

    @rule(table=TABLES, rows=st.integers(1, 9), copies=st.integers(1, 12))
    def append(self, table: str, rows: int, copies: int) -> None:
        for _ in range(copies):
            self.named += 1
            self.now += 5.0
            assert self.spool.append(Sealed(table, rows, self.named), self.now)
            self.accepted[f"{self.named}".encode() * 60] = rows

    @rule()
    def send(self) -> None:
        for waiting in self.spool.pending(self.position):
            if not self.session.room:
                break
            record = waiting.record
            flight = Flight(record.key, record.first, record.last)
            self.session.sent(flight, 0.0)
            self.wire.append((flight, record.batch))
            self.position = waiting.position

    @precondition(lambda self: self.wire)
    @rule(refuse=st.sampled_from([False, False, False, True]))
    def collector_reads(self, refuse: bool) -> None:
        flight, batch = self.wire.pop(0)
        known = self.last.get(flight.key, -1)
        if refuse and batch not in self.stored and flight.key.stream != "ledger":
            self.refused.add(batch)
            self.answers.append(("refusal", flight.key, flight.first))
            return
        if flight.last > known:
            assert flight.first > known, "a batch that was sent again begins elsewhere"
            self.stored[batch] += 1
            if flight.key.stream == "ledger":
                self.gaps += gaps(batch)
            self.last[flight.key] = flight.last
        self.answers.append(("ack", flight.key, self.last[flight.key]))

    @precondition(lambda self: self.answers)
    @rule()
    def agent_hears(self) -> None:
        kind, key, number = self.answers.pop(0)
        if kind == "refusal":
            assert self.session.refuse(key, number, 0.0)
            self.spool.refuse(key.boot_id, key.stream, number)
            self.heard.add((key.boot_id, key.stream, number))
            return
        through = self.session.acknowledge(key, number, 4, 0.0)
        if through is not None:
            self.spool.acknowledge(key.boot_id, key.stream, through)

    @rule(delivered=st.integers(0, 3))
    def line_is_cut(self, delivered: int) -> None:
        """Some of what was on the line arrives, no answer does."""
        while self.wire and delivered:
            self.collector_reads(refuse=False)
            delivered -= 1
        self.connect()

    @rule()
    def restart(self) -> None:
        self.spool.close()
        self.open()

    @rule()
    def crash(self) -> None:
        """The folder as it is now is what the next agent finds."""
        here = self.spool.config.directory
        self.generation += 1
        shutil.copytree(here, self.root / str(self.generation))
        self.spool.close()
        shutil.rmtree(here)
        self.open()

    @invariant()
    def nothing_is_lost(self) -> None:
        waiting = {one.record.batch for one in self.spool.pending()}
        gone = self.accepted.keys() - waiting - self.stored.keys() - self.refused
        assert not gone, f"{len(gone)} batches are neither stored nor waiting"
        assert self.spool.unsettled() == len(waiting)

    @invariant()
    def nothing_is_doubled(self) -> None:
        assert all(times == 1 for times in self.stored.values())

    def teardown(self) -> None:
        """With a line that holds, everything arrives, and every refusal that was heard is in one gap."""
        self.deliver_all()
        self.restart()  # tells what is not told yet
        self.deliver_all()
        assert self.accepted.keys() | {one for one in self.stored if self.is_ledger(one)} == self.stored.keys() | (
            self.refused
        )
        told = [(boot, stream, one) for boot, stream, _, first, last in self.gaps for one in range(first, last + 1)]
        assert len(told) == len(set(told)), "a gap was told twice"
        assert self.heard <= set(told), "a refusal was never told of"
        self.spool.close()
        shutil.rmtree(self.root)

    def is_ledger(self, batch: bytes) -> bool:
        return batch not in self.accepted

    def deliver_all(self) -> None:
        self.connect()
        for _ in range(10_000):
            if not self.spool.unsettled():
                break
            self.send()
            while self.wire:
                self.collector_reads(refuse=False)
            while self.answers:
                self.agent_hears()
        assert self.spool.unsettled() == 0


TestDelivery = Delivery.TestCase
TestDelivery.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
