"""What every source must do, the same for all of them: `agent/luytre_agent/sources/base.py` in checks.

A new source is one more `Case` here.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import zstandard
from luytre_agent import _core, limits
from luytre_agent.limits.ladder import ease_of
from luytre_agent.sources import (
    SOURCES,
    SealedBatch,
    Source,
    files,
    inventory,
    logins,
    network,
    packets,
    processes,
    replay,
    sockets,
)
from luytre_common.errors import Unavailable
from luytre_common.schema import WIRE_TABLES

#: A place that does not exist, except while it is busy.
SOME_FILES = Path(tempfile.gettempdir()) / f"luytre-contract-{os.getpid()}"
CAPTURE = Path(__file__).parents[1] / "golden/capture/tcp.pcap"


def some_packets() -> None:
    """Datagrams over the loopback interface."""
    subprocess.run(["bash", "-c", "for n in {1..20}; do echo hello > /dev/udp/127.0.0.1/9; done"], check=True)


def some_processes() -> None:
    subprocess.run(["bash", "-c", "for n in {1..5}; do /bin/true; done"], check=True)


def some_files() -> None:
    SOME_FILES.write_text("x")
    SOME_FILES.unlink()


@dataclass(frozen=True)
class Case:
    """How to make one that works, one that cannot, and what makes it busy."""

    kind: str
    make: Callable[[], Source]
    broken: Callable[[], Source]
    busy: Callable[[], None] = lambda: None
    tables: frozenset[str] = frozenset({"flows"})


#: An authentication log, and the state of who reads it.
SOME_LOGINS = Path(tempfile.gettempdir()) / f"luytre-contract-logins-{os.getpid()}"
atexit.register(shutil.rmtree, SOME_LOGINS, ignore_errors=True)


def some_logins() -> None:
    with (SOME_LOGINS / "auth.log").open("a") as log:
        log.write("2026-11-23T22:11:00Z web-01 sshd[812]: Invalid user admin from 203.0.113.66 port 51514\n" * 5)


def make_logins() -> Source:
    SOME_LOGINS.mkdir(exist_ok=True)
    log = SOME_LOGINS / "auth.log"
    log.touch()
    return logins.Logins(logins.Config(read="files", auth_logs=[log], wtmp=[], btmp=[]), SOME_LOGINS)


def broken_logins() -> Source:
    config = logins.Config(read="journald", journalctl=["/no such program"], wtmp=[], btmp=[])
    return logins.Logins(config, SOME_LOGINS)


CASES = [
    Case("logins", make_logins, broken_logins, some_logins, frozenset({"logins"})),
    Case(
        "replay",
        lambda: replay.Replay(replay.Config(), CAPTURE),
        lambda: replay.Replay(replay.Config(), CAPTURE.with_name("none.pcap")),
    ),
    Case(
        "packets",
        lambda: packets.Packets(
            packets.Config(ring_bytes=1 << 20, inactive_timeout_seconds=1.0), packets.Interface("lo")
        ),
        lambda: packets.Packets(packets.Config(), packets.Interface("none0")),
        some_packets,
    ),
    Case(
        "files",
        lambda: files.Files(files.Config(defaults=False, homes=False, paths=[str(SOME_FILES)], fold_seconds=0.05)),
        lambda: files.Files(files.Config(rung="no such rung")),  # type: ignore[arg-type]
        some_files,
        frozenset({"files"}),
    ),
    Case(
        "network",
        lambda: network.Network(network.Config(batch_seconds=0.05)),
        lambda: network.Network(network.Config(network_namespace="none-such")),
        tables=frozenset({"network_changes"}),
    ),
    Case(
        "inventory",
        lambda: inventory.Inventory(inventory.Config(batch_seconds=0.05), Path(tempfile.mkdtemp())),
        lambda: inventory.Inventory(inventory.Config(root=Path("/none")), Path("/none")),
        tables=frozenset({"inventory"}),
    ),
    Case(
        "processes",
        lambda: processes.Processes(processes.Config()),
        lambda: processes.Processes(processes.Config(rung="no such rung")),  # type: ignore[arg-type]
        some_processes,
        frozenset({"processes"}),
    ),
    Case(
        "sockets",
        lambda: sockets.Sockets(sockets.Config(), _core.Owners()),
        lambda: sockets.Sockets(sockets.Config(rung="no such rung"), _core.Owners()),  # type: ignore[arg-type]
        some_packets,
        frozenset({"sockets"}),
    ),
]


@pytest.fixture(
    params=[pytest.param(case, id=case.kind, marks=() if case.kind == "replay" else pytest.mark.root) for case in CASES]
)
def case(request: pytest.FixtureRequest) -> Case:
    made: Case = request.param
    return made


@pytest.fixture
def source(case: Case) -> Iterator[Source]:
    made = case.make()
    try:
        made.open()
    except Unavailable as error:
        pytest.skip(f"not available here: {error}")
    yield made
    made.close()


def rows(batch: SealedBatch) -> pa.Table:
    with pa.ipc.open_stream(zstandard.decompress(batch.body)) as stream:
        return stream.read_all()


def collect(source: Source, case: Case) -> list[SealedBatch]:
    """Polls while something goes on, until there is a batch or the source says it has finished, then closes."""
    case.busy()
    batches: list[SealedBatch] = []
    deadline = time.monotonic() + 5
    while not batches and not source.finished and time.monotonic() < deadline:
        batches += source.poll(0.2)
    return batches


def test_every_kind_of_source_is_held_to_this() -> None:
    assert {case.kind for case in CASES} == SOURCES.keys()


def test_construction_touches_nothing(case: Case) -> None:
    made = case.broken()
    assert made.name
    assert not made.finished
    assert all(sample.value == 0 for sample in made.samples())


def test_what_cannot_run_says_why_and_what_would_help(case: Case) -> None:
    with pytest.raises(Unavailable) as caught:
        case.broken().open()
    assert caught.value.reason
    assert "\n" not in str(caught.value)
    assert ";" in str(caught.value), "reason; remedy"


def test_batches_are_what_they_say(case: Case, source: Source) -> None:
    batches = [*collect(source, case), *source.close()]
    assert {batch.table for batch in batches} >= case.tables
    for batch in batches:
        table = WIRE_TABLES[batch.table]
        read = rows(batch)
        assert read.num_rows == batch.rows >= 1
        assert [(field.name, str(field.type)) for field in read.schema] == [
            (column.name, column.kind.arrow) for column in table.agent_columns
        ]
        times = read.column(table.event_time).cast(pa.int64()).to_pylist()
        assert (batch.first_event, batch.last_event) == (min(times), max(times))
        assert batch.raw_size == len(zstandard.decompress(batch.body))


def test_samples_are_counters(case: Case, source: Source) -> None:
    def read() -> dict[tuple[str, str], int]:
        samples = source.samples()
        named = {(sample.name, sample.label): sample.value for sample in samples}
        assert len(named) == len(samples), "one sample per name and label"
        assert {sample.component for sample in samples} == {case.kind}
        return named

    before = read()
    collect(source, case)
    after = read()
    assert after.keys() >= before.keys()
    assert all(isinstance(value, int) and value >= 0 for value in after.values())
    assert sum(after.values()) > 0


def test_it_does_less_when_asked_never_what_matters_most_and_all_again(case: Case, source: Source) -> None:
    config, batches = limits.Config(batch_seconds=0.2, rest_seconds=0.3), []
    for step in [*limits.Step, limits.Step.FULL]:
        rests = source.ease(ease_of(step, config))
        matters = case.kind in ("processes", "logins", "packets", "replay")
        assert rests == (0.3 if step >= limits.Step.RARE_LOOKS and not matters else 0.0)
        batches += source.poll(0.05)
    batches += [*collect(source, case), *source.close()]
    assert {batch.table for batch in batches} >= case.tables


@pytest.mark.root
def test_packets_that_are_left_out_are_counted() -> None:
    made = packets.Packets(packets.Config(ring_bytes=1 << 20), packets.Interface("lo"))
    made.open()
    made.ease(ease_of(limits.Step.FLOW_TOTALS, limits.Config()))
    some_packets()
    batches = [*made.poll(0.5), *made.close()]
    assert not [batch for batch in batches if batch.table != "flows"]
    named = {sample.name: sample.value for sample in made.samples()}
    assert named["unsampled_packets/udp"] >= 20
    assert named["unsampled_bytes/udp"] >= 20 * 34
    assert named["flows"] == sum(value for name, value in named.items() if name.startswith("flows_cut/"))


def test_it_can_be_closed_and_another_opened(case: Case, source: Source) -> None:
    source.close()
    again: Any = case.make()
    again.open()
    again.close()


def test_a_damaged_file_is_data(tmp_path: Path) -> None:
    """Polling never raises for bad input: prefixes of a capture file, and flips in it."""
    data = CAPTURE.read_bytes()
    path = tmp_path / "bad.pcap"
    for at in range(0, len(data), 3):
        bad = data[:at] if at % 2 else data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
        path.write_bytes(bad)
        made = replay.Replay(replay.Config(), path)
        try:
            made.open()
        except Unavailable:
            continue
        while not made.finished:
            made.poll(0.0)
        made.close()
