"""What the whole agent costs on a server where little happens, beside other programs that watch a host.

python -m tests.bench.bench_idle [--seconds N] [--settle N] [--peers NAME,...] [--json]

A real collector, a real agent with every default source, each measured by itself for N seconds. The host is as it is:
what happened meanwhile is reported too. Needs root.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from deploy.demo.screen import Screen, wants_colour
from deploy.demo.services import ServiceError, Site
from tests.bench import idle_peers
from tests.bench.footprint import Footprint, between, moment
from tests.bench.idle_peers import PeerError, Running

_CACHE = Path(__file__).parents[2] / "build/bench/peers"
AGENT = "luytre-agent"
_HEAD = (
    *("", "CPU", "in kernel threads", "wake-ups/s", "resident MB", "shared out MB", "written kB/s", "host's forks/s"),
    *("CPU of ours", "memory of ours"),
)
#: The promise: parts of one core, and bytes.
MOST_CPU, MOST_RESIDENT = 0.005, 60_000_000


@contextmanager
def agent(work: Path, settings: str) -> Iterator[Running]:
    """Collector and agent; the agent with its defaults but for where its state is."""
    site = Site(work)
    site.make()
    with ExitStack() as ending:
        collector = site.start_collector()
        ending.callback(collector.stop)
        config = site.agent_toml("idle", settings)
        text = config.read_text()
        for setting in ("reconnect_seconds", "drain_seconds", "interval_seconds"):  # what the demo is impatient about
            text = re.sub(rf"(?m)^{setting} = .*\n", "", text)
        config.write_text(text)
        watching = site.agent(config)
        watching.start()
        ending.callback(watching.stop)
        watching.wait_until(lambda: "running: " in watching.log_text(), 60)
        yield Running([watching.pid], [])


def measure(running: Running, settle_s: float, seconds: float) -> tuple[Footprint, float]:
    """The cost over `seconds`, and what kernel threads spent for it, parts of a core."""
    time.sleep(settle_s)
    before, kernel = moment(running.pids), moment(running.kernel_pids)
    time.sleep(seconds)
    after = moment(running.pids)
    return between(before, after, running.pids), (moment(running.kernel_pids).cpu_s - kernel.cpu_s) / seconds


def forks() -> int:
    """Processes and threads that this host has begun since it runs (proc(5), stat)."""
    match = re.search(r"^processes (\d+)$", Path("/proc/stat").read_text(), re.MULTILINE)
    return int(match[1]) if match else 0


def main() -> int:
    """Run them one after the other; 0 if the agent came to its end."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bench_idle", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300.0, help="measured, of each (default: %(default)s)")
    parser.add_argument("--settle", type=float, default=30.0, help="not measured before that (default: %(default)s)")
    parser.add_argument("--peers", default="auditd,softflowd", help=f"of {', '.join(idle_peers.PEERS)}; empty: none")
    parser.add_argument("--settings", default="", help="more TOML for the agent")
    parser.add_argument("--json", action="store_true", help="figures for programs")
    arguments = parser.parse_args()
    screen = Screen(sys.stderr if arguments.json else sys.stdout, "en", colour=wants_colour(sys.stdout))
    found: dict[str, tuple[Footprint, float, float]] = {}
    with tempfile.TemporaryDirectory(prefix="luytre-idle-") as folder:
        for name in [AGENT, *filter(None, arguments.peers.split(","))]:
            screen.section(f"{name}: {arguments.settle:g} s to settle, {arguments.seconds:g} s measured", "")
            work = Path(folder) / name
            try:
                if name == AGENT:
                    work.mkdir()
                    started = agent(work, arguments.settings)
                elif name in idle_peers.PEERS:
                    started = idle_peers.PEERS[name](idle_peers.fetch(name, _CACHE), work)
                else:
                    raise PeerError(f"{name}: not known; give one of {', '.join(idle_peers.PEERS)}")
                with started as running:
                    begun, at = forks(), time.monotonic()
                    cost, kernel = measure(running, arguments.settle, arguments.seconds)
                    found[name] = cost, kernel, (forks() - begun) / (time.monotonic() - at)
            except (PeerError, ServiceError) as error:
                screen.failed(str(error))
                if name == AGENT:
                    return 1
                continue
            if name == AGENT:
                _detail(screen, cost)
    _table(screen, found)
    if arguments.json:
        figures = {
            name: {**dataclasses.asdict(cost), "kernel_cpu": kernel, "host_forks": rate}
            for name, (cost, kernel, rate) in found.items()
        }
        print(json.dumps(figures, indent=1))
    return 0


def _detail(screen: Screen, cost: Footprint) -> None:
    screen.table(
        ["thread", "CPU %", "wake-ups/s"],
        [[name, f"{cpu:.3%}", f"{wakes:.2f}"] for name, cpu, wakes in cost.threads],
    )
    screen.table(
        ["resident", "MB"], [[use, f"{size / 1e6:.1f}"] for use, size in cost.parts.items() if size >= 400_000]
    )


def _table(screen: Screen, found: dict[str, tuple[Footprint, float, float]]) -> None:
    screen.section("Cost of an idle server", "")
    ours = found[AGENT][0]
    rows = []
    for name, (cost, kernel, rate) in found.items():
        rows.append(
            [
                name,
                f"{cost.cpu:.3%}",
                f"{kernel:.3%}",
                f"{cost.wakeups:.1f}",
                f"{cost.resident / 1e6:.1f}",
                f"{cost.proportional / 1e6:.1f}",
                f"{cost.written / 1e3:.2f}",
                f"{rate:.1f}",
                f"{cost.cpu / ours.cpu:.2f}" if ours.cpu else "",
                f"{cost.resident / ours.resident:.2f}",
            ]
        )
    screen.table(
        _HEAD,
        rows,
    )
    well = ours.cpu < MOST_CPU and ours.resident < MOST_RESIDENT
    promise = f"under {MOST_CPU:.1%} of one core and {MOST_RESIDENT / 1e6:.0f} MB"
    screen.note(f"the agent {'keeps' if well else 'breaks'} its promise: {promise}")


if __name__ == "__main__":
    sys.exit(main())
