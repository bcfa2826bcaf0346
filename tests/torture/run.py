"""Rounds of faults, and after every few of them the comparison of the tables with the truth."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.torture.arena import arena
from tests.torture.faults import choose
from tests.torture.truth import Verdict

#: Rows that came again and were recognised. The counter begins at 0 with every start of the collector.
_RECOGNISED = """
SELECT sum(if(value < before, value, value - before)) AS rows FROM (
    SELECT toInt64(value) AS value,
        lagInFrame(toInt64(value), 1, 0) OVER (PARTITION BY label ORDER BY event_time) AS before
    FROM luytre.collector_health WHERE counter = 'duplicate_rows')"""


@dataclass
class Result:
    """What a run came to."""

    rounds: int = 0
    comparisons: int = 0
    seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    connections: int = 0
    verdict: Verdict = field(default_factory=Verdict)
    flows: int = 0
    flows_in_sums: int = 0
    duplicates: int = 0

    @property
    def good(self) -> bool:
        """Nothing lost, nothing doubled, also not in the sums."""
        return self.verdict.good and self.flows == self.flows_in_sums


def run(
    folder: Path,
    rounds: int,
    seed: int,
    agents: int = 3,
    rate: int = 1500,
    compare_every: int = 20,
    say: Callable[[str], object] = lambda _: None,
) -> Result:
    """Play; the result, at the latest after the first comparison that is not good. ServiceError if a program does not
    come back or a spool is not emptied."""
    dice = random.Random(seed)
    result = Result()
    begun = time.monotonic()
    with arena(folder, agents, rate, dice) as place:
        for number in range(1, rounds + 1):
            time.sleep(dice.uniform(0.0, 0.5))
            fault = choose(place)
            fault(place)
            result.faults[fault.__name__] += 1
            result.rounds = number
            place.start_what_is_down()
            if number % compare_every and number != rounds:
                continue
            place.settle()
            result.verdict = place.verdict()
            result.flows, result.flows_in_sums = place.sums()
            result.comparisons += 1
            result.seconds = time.monotonic() - begun
            result.starts, result.connections = place.starts, place.relay.connections
            say(f"round {number}: {result.verdict}; sums {result.flows_in_sums:,} of {result.flows:,}")
            if not result.good:
                break
            place.pause(False)
            place.start_what_is_down()
        result.duplicates = int(place.site.query(_RECOGNISED)[0]["rows"])
    return result
