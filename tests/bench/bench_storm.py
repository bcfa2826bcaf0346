"""A storm of short processes against the process source: `python -m tests.bench.bench_storm` (root).

Processes that live for less than a millisecond, each with arguments of its own, while the source runs in another
process. First exactness: execs, arguments, exits and exit codes against the truth, with a live consumer. Then the
price: CPU of the same storm with and without the source, in turns, by minima and medians; and CPU of the source itself
for each event. Then with a consumer that stalls: what is lost must be counted, to the event, against a second source
with a ring that is large enough.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from luytre_agent.sources.processes import Config
from luytre_common.errors import Unavailable

from tests.bench.storm import Seen, Storm, blow, build, watching

#: Never fills up.
_WITNESS = 64 << 20


@dataclass(frozen=True)
class Stalled:
    """A storm past a consumer that stalled; rows are those of all processes of the host during the storm."""

    there_were: int
    seen: int
    lost: int


def live(program: Path, config: Config, count: int, rate: int) -> tuple[Storm, Seen]:
    """A storm with a live consumer."""
    with watching(config) as watcher:
        begin = datetime.now(UTC)
        storm = blow(program, count, rate)
        return storm, watcher.close(storm, begin, datetime.now(UTC))


def stalled(program: Path, config: Config, count: int, rate: int) -> Stalled:
    """A storm during which nobody reads the ring; then somebody does."""
    config = dataclasses.replace(config, forks=True)
    with (
        watching(dataclasses.replace(config, ring_bytes=_WITNESS)) as witness,
        watching(config) as watcher,
    ):
        begin = datetime.now(UTC)
        watcher.stall(True)
        storm = blow(program, count, rate)
        watcher.stall(False)
        end = datetime.now(UTC)
        seen, truth = watcher.close(storm, begin, end), witness.close(storm, begin, end)
    if truth.lost:
        raise RuntimeError(f"the witness lost {truth.lost} records: try a smaller storm")
    return Stalled(
        truth.rows + truth.counters["exit_duplicate"], seen.rows + seen.counters["exit_duplicate"], seen.lost
    )


def price(program: Path, config: Config, count: int, rounds: int) -> dict[str, float]:
    """Microseconds of CPU per process of a storm as fast as it goes, without and with the source, in turns."""
    bare, watched, own = [], [], []
    for _ in range(rounds):
        bare.append(blow(program, count, 0).cpu_s / count * 1e6)
        storm, seen = live(program, config, count, 0)
        watched.append(storm.cpu_s / count * 1e6)
        own.append(seen.cpu_s / max(seen.events, 1) * 1e6)
    return {
        "bare_min_us": min(bare),
        "watched_min_us": min(watched),
        "added_min": min(watched) / min(bare) - 1,
        "bare_median_us": statistics.median(bare),
        "watched_median_us": statistics.median(watched),
        "added_median": statistics.median(watched) / statistics.median(bare) - 1,
        "source_min_us_per_event": min(own),
        "source_median_us_per_event": statistics.median(own),
    }


def main() -> int:
    """Run it; 0 if all that was asked was seen or counted."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bench_storm", description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=int, default=5000, help="processes a second (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=5, help="so many (default: %(default)s)")
    parser.add_argument("--rung", choices=("auto", "ebpf", "cn_proc"), default="ebpf", help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="of the price (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="figures for programs")
    arguments = parser.parse_args()
    if arguments.rate < 1 or arguments.rate * arguments.seconds < 1:
        parser.error("--rate and --seconds: a storm has at least one process; give larger ones")
    config = Config(rung=arguments.rung, seed=False)
    count = arguments.rate * arguments.seconds
    try:
        with tempfile.TemporaryDirectory(prefix="luytre-storm-") as folder:
            program = build(Path(folder))
            storm, seen = live(program, config, count, arguments.rate)
            cost = price(program, config, min(count, 5000), arguments.rounds)
            stall = stalled(program, config, count, arguments.rate)
    except (Unavailable, RuntimeError) as error:
        print(f"bench_storm: {error}", file=sys.stderr)
        return 1
    if arguments.json:
        figures = {
            "storm": dataclasses.asdict(storm),
            "seen": dataclasses.asdict(seen),
            "price": cost,
            "stalled": dataclasses.asdict(stall),
        }
        print(json.dumps(figures, indent=1))
    else:
        _say(storm, seen, cost, stall)
    exact = (seen.execs, seen.arguments_right, seen.exits, seen.exit_codes_right, seen.doubled, seen.lost)
    return int(exact != (count, count, count, count, 0, 0) or stall.seen + stall.lost != stall.there_were)


def _say(storm: Storm, seen: Seen, cost: dict[str, float], stall: Stalled) -> None:
    print(f"storm     {storm.count} processes, {storm.count / storm.wall_s:.0f} a second")
    print(f"seen      {seen.execs} execs, {seen.arguments_right} with the right arguments, {seen.exits} exits,")
    print(f"          {seen.exit_codes_right} with the right code, {seen.doubled} doubled; {seen.lost} records lost")
    print("price     CPU of the storm itself, per process:")
    for name in ("min", "median"):
        bare, watched, added = cost[f"bare_{name}_us"], cost[f"watched_{name}_us"], cost[f"added_{name}"]
        own = cost[f"source_{name}_us_per_event"]
        print(
            f"  {name:7} {bare:.1f} us without, {watched:.1f} us with: {added:+.1%}; the source {own:.1f} us an event"
        )
    print(f"stalled   {stall.there_were} events of the host, {stall.seen} seen + {stall.lost} lost")


if __name__ == "__main__":
    sys.exit(main())
