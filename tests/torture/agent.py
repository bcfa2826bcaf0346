"""One agent whose rows are known: `python -m tests.torture.agent --config FILE --truth FILE --rate N --base US`.

Rows go to three tables by turns, hence into three numberings and priorities. The event time of a row is its number: the
first and last event time of a batch say which rows are in it. A run goes on behind the last number that the truth
knows of, so that no two rows are ever alike.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from luytre_agent import _core, config
from luytre_agent.app import Agent
from luytre_agent.batch import SealedBatch
from luytre_agent.ease import Ease
from luytre_agent.sources.base import Source
from luytre_common.lifecycle import stop_on_signals
from luytre_common.telemetry import Sample, configure_logging

from tests.torture.truth import KEPT, LOST, TABLES, TRIED, Truth, line


class Numbered:
    """A source of rows whose event times go up by one microsecond, `rate` rows a second, in batches of odd sizes."""

    name = "numbered"
    finished = False
    patient = False  # by way of the queue before the disk, as rows of rings go

    def __init__(self, first: int, rate: int, random_: random.Random, paused: Callable[[], bool]) -> None:
        self._next = first
        self._rate = rate
        self._random = random_
        self._paused = paused
        self._made = 0

    def open(self) -> None:
        """Nothing to acquire."""

    def poll(self, timeout_s: float) -> Sequence[SealedBatch]:
        """A few batches, and the pause that keeps the rate."""
        if self._paused():
            time.sleep(0.02)
            return ()
        batches = []
        made = 0
        for table in self._random.sample(TABLES, len(TABLES)):
            rows = self._random.randint(1, 60)
            builder = _core.TableBuilder(table)
            for _ in range(rows):
                builder.append({"event_time": self._next} if table != "flows" else self._flow(self._next))
                self._next += 1
            sealed = builder.seal()
            assert sealed is not None
            batches.append(sealed)
            made += rows
        self._made += made
        time.sleep(made / self._rate)
        return batches

    def _flow(self, number: int) -> dict[str, int]:
        return {"flow_start": number, "flow_end": number, "source_bytes": 1, "source_packets": 1}

    def ease(self, ease: Ease) -> float:
        """Always the same."""
        return 0.0

    def samples(self) -> Sequence[Sample]:
        """How many rows there were."""
        return [Sample(self.name, "rows", "", self._made)]

    def close(self) -> Sequence[SealedBatch]:
        """Nothing is held back."""
        return ()


def witnessed(append: Callable[[SealedBatch, float], bool], path: Path) -> Callable[[SealedBatch, float], bool]:
    """`Spool.append`, with what it was given and what it took written down. A written line survives kill -9."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def witness(sealed: SealedBatch, now: float) -> bool:
        if sealed.table not in TABLES:
            return append(sealed, now)
        os.write(file, line(TRIED, sealed.table, sealed.first_event, sealed.last_event))
        kept = append(sealed, now)
        os.write(file, line(KEPT if kept else LOST, sealed.table, sealed.first_event, sealed.last_event))
        return kept

    return witness


def main() -> int:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--rate", type=int, required=True)
    parser.add_argument("--base", type=int, required=True)
    arguments = parser.parse_args()
    loaded = config.load(arguments.config)
    configure_logging(loaded.agent.log_level)
    pause = arguments.truth.with_suffix(".pause")
    last = Truth.read(arguments.truth).last
    first = arguments.base if last is None else last + 1

    def make() -> Source:
        return Numbered(first, arguments.rate, random.Random(first), pause.exists)

    agent = Agent(loaded, lambda: {"numbered": make}, patient=True)
    agent.spool.append = witnessed(agent.spool.append, arguments.truth)  # type: ignore[method-assign]
    with stop_on_signals() as stop:
        agent.run(stop)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
