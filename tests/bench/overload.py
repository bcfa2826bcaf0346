"""Memory of a collector that is offered ten times what its store takes: part of `bench_collector`.

Agents send as fast as they are let. With a server, a relay in front of it carries a tenth of what was stored at full
speed; the embedded engine, which cannot be slowed from outside, is as fast as it is. Either way far more waits with the
agents than may wait in the collector (`ingest.max_waiting_bytes`), so that limit binds all the time.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from deploy.demo.services import ServiceError
from tests.bench import senders, supply
from tests.bench.places import Place
from tests.bench.relay import Relay

#: What may wait in the collector, bytes: less than the agents have under way (16 batches each, some 370 kB of flows).
WAITING_BYTES = 64 << 20
AGENTS = 16
#: Bytes of a row of the supply in a block for a server, roughly: what turns rows into a pace of the relay.
_BLOCK_BYTES = {"flows, dns, tls": 170, "process events": 312}


@dataclass(frozen=True, slots=True)
class Overload:
    """Memory resident before and at most, bytes; rows per second that were stored and that the store takes at full
    speed; the most bytes that waited, as far as seen."""

    idle_bytes: int
    most_bytes: int
    stored_per_second: float
    full_per_second: float

    @property
    def over_bytes(self) -> int:
        """What it took beyond what it takes when idle and what may wait."""
        return self.most_bytes - self.idle_bytes - WAITING_BYTES


def run(kind: str, file: Path, engine: str, full_per_second: float, seconds: float) -> Overload:
    """Offer more for so many seconds; look at the collector's memory five times a second."""
    settings = f"[ingest]\nmax_waiting_bytes = {WAITING_BYTES}\n"
    with contextlib.ExitStack() as closing:
        folder = closing.enter_context(tempfile.TemporaryDirectory(prefix="luytre-bench-"))
        pace = full_per_second / 10 * _BLOCK_BYTES[kind]
        slow = (lambda host: closing.enter_context(Relay(host, pace)).host) if engine == "server" else None
        place = closing.enter_context(Place(Path(folder), engine, ingest=settings, through=slow))
        collector = place.site.start_collector()
        try:
            idle = senders.resident(collector, "VmRSS")
            rounds = 1 + round(10 * full_per_second * seconds / supply.rows_of(supply.read(file)))
            agents = [senders.start(place.site, file, f"agent-{at}", rounds, 0) for at in range(AGENTS)]
            try:
                begin, before = time.monotonic(), place.rows()
                while time.monotonic() - begin < seconds:
                    if any(one.poll() for one in agents):
                        raise ServiceError("a sender failed; see above")
                    time.sleep(0.2)
                stored = (place.rows() - before) / (time.monotonic() - begin)
                most = senders.resident(collector, "VmHWM")
            finally:
                _end(agents)
        finally:
            collector.kill()
    return Overload(idle, most, stored, full_per_second)


def _end(agents: list[subprocess.Popen[bytes]]) -> None:
    for one in agents:
        one.kill()
    for one in agents:
        one.communicate(timeout=20)
