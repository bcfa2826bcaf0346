"""Capture files (pcap, pcapng), through the same decoders and flow table, on the file's own clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

from luytre_common.errors import Unavailable
from luytre_common.settings import at_least, at_most, setting
from luytre_common.telemetry import Sample
from luytre_common.wire.limits import MAX_ROWS

from luytre_agent import _core
from luytre_agent.ease import Ease
from luytre_agent.sources.base import SealedBatch, Source

#: Packets read between two looks at the clock and the stop flag: some tens of milliseconds.
_STEP = 20_000


@dataclass(frozen=True)
class Config:
    """Capture files to read once."""

    files: list[Path] = setting([], "pcap or pcapng files, also in gzip or zstd")
    inactive_timeout_seconds: float = setting(60.0, "a silent flow ends after so long", at_least(1))
    active_timeout_seconds: float = setting(300.0, "a long flow gives a row this often", at_least(1))
    max_flows: int = setting(1_048_576, "flows kept at a time; then the oldest is cut", at_least(64))
    batch_rows: int = setting(10_000, "rows of a batch at most", at_least(1), at_most(MAX_ROWS))


class Replay:
    """One capture file. `fault` says, once it is finished, what was wrong with it; empty if nothing."""

    patient = True

    def __init__(self, config: Config, path: Path) -> None:
        self.name = f"replay:{path}"
        self.fault = ""
        self._config = config
        self._path = path
        self._file: _core.FileReplay | None = None
        self._finished = False
        self._last: dict[str, int] = {}

    def open(self) -> None:
        """Open the file and read its header; see `Source.open`."""
        config = self._config
        try:
            self._file = _core.FileReplay(
                str(self._path),
                inactive_timeout_s=config.inactive_timeout_seconds,
                active_timeout_s=config.active_timeout_seconds,
                max_flows=config.max_flows,
                batch_rows=config.batch_rows,
            )
        except OSError as error:
            raise Unavailable(f"{self._path}: {error.strerror or error}", "give a readable file") from None
        except ValueError as error:  # the core names the file, the fault and the remedy
            raise Unavailable(str(error)) from None

    def poll(self, timeout_s: float) -> Sequence[SealedBatch]:
        """Read on; never waits."""
        if self._file is None or self._finished:
            return ()
        batches = self._file.read(_STEP)
        self._finished = self._file.finished
        self.fault = self._file.fault
        return batches

    def ease(self, ease: Ease) -> float:  # a source like all others
        """See `Source.ease`: a file is read as fast as it goes, and waits."""
        return 0.0

    def samples(self) -> Sequence[Sample]:
        """See `Source.samples`; split by file name."""
        counters = self._file.counters() if self._file else self._last
        return [Sample("replay", name, self._path.name, value) for name, value in sorted(counters.items())]

    @property
    def finished(self) -> bool:
        """Whether the file was read to its end, or to its first fault."""
        return self._finished

    def close(self) -> Sequence[SealedBatch]:
        """Cut the open flows; see `Source.close`."""
        file, self._file = self._file, None
        if file is None:
            return ()
        batches = file.close()
        self._last = file.counters()
        return batches


def json_lines(batch: SealedBatch, first_sequence: int) -> bytes:
    """The rows of a batch for people and other tools: one JSON object per line, the columns of the schema in order."""
    return _core.to_json_lines(cast(_core.Sealed, batch), first_sequence)


def build(config: Config) -> dict[str, Callable[[], Source]]:
    """One source per file."""
    return {f"replay:{path}": partial(Replay, config, path) for path in config.files}
