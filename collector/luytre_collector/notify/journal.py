"""The outbox on disk: which alerts came in, and which channels have delivered them.

Format: a text file, one record a line, only ever appended to. A line is the CRC-32 of the rest as 8 hexadecimal digits,
a space, and one JSON object:

    {"add": {...}}               an alert; written and fsynced before the rows behind it are stored
    {"done": [alert_id, name]}   channel `name` needs it no more; not fsynced: a crash of the machine delivers it again
    {"gone": alert_id}           every channel is done with it, or it had to make room
    {"seen": [alert_id, ...]}    ids that must not be taken in again, as a rewrite keeps them

A line that a crash cut short fails its CRC; it is counted and skipped. When the file has doubled since the
last rewrite, what is still needed is written to `<file>.new`, fsynced and renamed over it.
"""

from __future__ import annotations

import fcntl
import json
import os
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from luytre_common.durable import sync_directory
from luytre_common.telemetry import Counters

from luytre_collector.detect.alert import Alert

_MIN_REWRITE_BYTES = 1 << 20
_SEEN_PER_LINE = 1000


class Journal:
    """The file and the state that it spells. Not safe for several threads: the outbox holds its lock around it."""

    def __init__(self, path: Path, counters: Counters, max_seen: int = 100_000) -> None:
        self.pending: OrderedDict[str, Alert] = OrderedDict()
        self.done: dict[str, set[str]] = {}
        self._path = path
        self._counters = counters
        self._max_seen = max_seen
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._file: BinaryIO | None = None
        self._size = 0
        self._base = 0  # the size after the last rewrite
        self._torn = False
        self._lock: BinaryIO | None = None

    def open(self) -> None:
        """Read what is there, and write it anew. OSError if the folder cannot be used; BlockingIOError if another
        process uses it, whose alerts a rewrite would lose."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = self._path.with_name(self._path.name + ".lock").open("ab")
        fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if self._path.exists():
            for record in _read(self._path, self._counters):
                self._replay(record)
        self._rewrite()

    def close(self) -> None:
        """Close the file and let others have it."""
        self._close_file()
        if self._lock:
            self._lock.close()
            self._lock = None

    def _close_file(self) -> None:
        if self._file:
            self._file.close()
            self._file = None

    def seen(self, alert_id: str) -> bool:
        """Whether the alert was taken in before, delivered or not."""
        return alert_id in self._seen

    def add(self, alerts: Sequence[Alert]) -> None:
        """Take in alerts, on disk when this returns. OSError if the disk refuses; then nothing is taken in."""
        self._append([{"add": _to_json(alert)} for alert in alerts], sync=True)
        for alert in alerts:
            self._take(alert)

    def finish(self, alert_id: str, channel: str) -> None:
        """The channel needs the alert no more."""
        self.done.setdefault(alert_id, set()).add(channel)
        self._append([{"done": [alert_id, channel]}], sync=False)

    def remove(self, alert_id: str) -> None:
        """The alert is needed by nobody."""
        self.pending.pop(alert_id, None)
        self.done.pop(alert_id, None)
        self._append([{"gone": alert_id}], sync=False)
        if self._size > max(_MIN_REWRITE_BYTES, 2 * self._base):
            self._rewrite()

    def _take(self, alert: Alert) -> None:
        self.pending[alert.alert_id] = alert
        self._see(alert.alert_id)

    def _see(self, alert_id: str) -> None:
        self._seen[alert_id] = None
        self._seen.move_to_end(alert_id)
        if len(self._seen) > self._max_seen:
            self._seen.popitem(last=False)

    def _replay(self, record: dict[str, Any]) -> None:
        if "add" in record:
            self._take(_from_json(record["add"]))
        elif "done" in record:
            alert_id, channel = record["done"]
            self.done.setdefault(alert_id, set()).add(channel)
        elif "gone" in record:
            self.pending.pop(record["gone"], None)
            self.done.pop(record["gone"], None)
        for alert_id in record.get("seen", ()):
            self._see(alert_id)

    def _append(self, records: Iterable[dict[str, Any]], sync: bool) -> None:
        if self._file is None:
            raise OSError(f"{self._path}: not open")
        data = (b"\n" if self._torn else b"") + b"".join(map(_line, records))
        self._torn = True
        self._file.write(data)
        self._file.flush()
        if sync:
            os.fsync(self._file.fileno())
        self._torn = False
        self._size += len(data)

    def _rewrite(self) -> None:
        fresh = self._path.with_name(self._path.name + ".new")
        with fresh.open("wb") as file:
            self._size = self._base = sum(file.write(line) for line in self._lines())
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        sync_directory(self._path.parent)
        self._close_file()
        self._file = self._path.open("ab", buffering=0)
        self._torn = False

    def _lines(self) -> Iterator[bytes]:
        ids = list(self._seen)
        for at in range(0, len(ids), _SEEN_PER_LINE):
            yield _line({"seen": ids[at : at + _SEEN_PER_LINE]})
        for alert_id, alert in self.pending.items():
            yield _line({"add": _to_json(alert)})
            for channel in sorted(self.done.get(alert_id, ())):
                yield _line({"done": [alert_id, channel]})


def _line(record: dict[str, Any]) -> bytes:
    text = json.dumps(record, default=str).encode("ascii")
    return b"%08x %b\n" % (zlib.crc32(text), text)


def _read(path: Path, counters: Counters) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for line in file:
            text = line[9:].rstrip(b"\n")
            if line.endswith(b"\n") and line[:9] == b"%08x " % zlib.crc32(text):
                yield json.loads(text)
            elif line != b"\n":
                counters.add("journal_torn")


def _to_json(alert: Alert) -> dict[str, Any]:
    given = asdict(alert)
    given["source_ip"] = alert.source_ip.hex()
    given["destination_ip"] = alert.destination_ip.hex()
    return given


def _from_json(given: dict[str, Any]) -> Alert:
    changed = {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
    addresses = {name: bytes.fromhex(given[name]) for name in ("source_ip", "destination_ip")}
    return Alert(**{**given, **changed, **addresses})
