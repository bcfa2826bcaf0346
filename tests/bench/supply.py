"""Batches as agents send them, in files: what `sender` sends again and again.

The rows of flows, dns and tls are what the core makes of the generated capture; events of processes, sockets, files
and logins are made up, encoded by the core. A file is a run of serialized `Batch` messages, each behind its length (32
bits, little-endian).
"""

from __future__ import annotations

import random
import struct
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from luytre_agent import _core, uplink
from luytre_agent.batch import Key, SealedBatch
from luytre_agent.sources import replay
from luytre_common.wire import chain
from luytre_common.wire.v1 import ingest_pb2 as pb

from tests.bench import made_up

_LENGTH = struct.Struct("<I")
#: Whoever sends puts its own in the place of this one: every sending is a numbering of its own.
BOOT = "00000000-0000-4000-8000-000000000000"


def flows(capture: Path, batch_rows: int) -> Iterator[SealedBatch]:
    """The batches of a capture file: flows, dns and tls."""
    source = replay.Replay(replay.Config(batch_rows=batch_rows), capture)
    source.open()
    while not source.finished:
        yield from source.poll(0.0)
    yield from source.close()


def processes(count: int, batch_rows: int, seed: int = 1) -> Iterator[SealedBatch]:
    """`count` rows of exec and exit: few programs, many command lines, as on a busy web server."""
    return made("processes", count, batch_rows, seed)


def made(table: str, count: int, batch_rows: int, seed: int = 1) -> Iterator[SealedBatch]:
    """`count` rows that are made up, 200 microseconds apart; see `made_up.ROWS`."""
    chance = random.Random(seed)
    builder = _core.TableBuilder(table)
    begin = int(time.time() * 1_000_000)
    for number in range(count):
        builder.append(made_up.ROWS[table](chance, number, begin + number * 200))
        if builder.rows == batch_rows:
            yield _sealed(builder)
    if builder.rows:
        yield _sealed(builder)


def write(path: Path, batches: Iterable[SealedBatch]) -> int:
    """Number the batches, write them as messages; how many rows they have."""
    numbers: defaultdict[str, int] = defaultdict(int)
    links: dict[str, bytes] = {}
    now = time.time()
    messages = []
    for batch in batches:
        first, body = numbers[batch.table], batch.body
        before = links.get(batch.table) or chain.start(BOOT, batch.table)
        links[batch.table] = chain.link(before, first, batch.rows, body)
        messages.append(uplink.encode(batch, Key(BOOT, batch.table), first, now, links[batch.table]))
        numbers[batch.table] += batch.rows
    write_messages(path, messages)
    return sum(numbers.values())


def write_messages(path: Path, messages: Iterable[bytes]) -> None:
    """Write the file."""
    with path.open("wb") as file:
        for message in messages:
            file.write(_LENGTH.pack(len(message)) + message)


def rows_of(messages: Iterable[bytes]) -> int:
    """How many rows they carry."""
    return sum(pb.Batch.FromString(message).row_count for message in messages)


def read(path: Path) -> list[bytes]:
    """The messages of a file."""
    data, messages, position = path.read_bytes(), [], 0
    while position < len(data):
        (length,) = _LENGTH.unpack_from(data, position)
        position += _LENGTH.size + length
        messages.append(data[position - length : position])
    return messages


def _sealed(builder: _core.TableBuilder) -> SealedBatch:
    batch = builder.seal()
    assert batch is not None
    return batch
