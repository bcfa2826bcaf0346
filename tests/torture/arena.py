"""The place of a run: file systems of its own, the programs as processes, the relay between them."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from luytre_agent import config as agent_config

from deploy.demo.services import Service, ServiceError, Site
from tests.support.small_disk import Disk
from tests.torture.relay import Relay
from tests.torture.truth import NUMBER, TABLES, Truth, Verdict, judge

#: Rows' numbers begin a little before now: what is too far from its arrival would go to `quarantine`.
_BACK_US = 3_600_000_000
_SETTINGS = """
[pipeline]
linger_s = 0.05
retry_max_s = 0.5

[disk]
low_water_bytes = 268435456
interval_s = 1.0

[rollups]
interval_s = 1.0
settle_s = 1.0
"""


class Arena:
    """Agents, relay and collector of one run. `with arena(...)` makes one and takes all of it away."""

    def __init__(self, folder: Path, agents: int, rate: int, relay: Relay, random_: random.Random) -> None:
        self.names = [f"torture-{number}" for number in range(agents)]
        self.relay = relay
        self.random = random_
        self.collector: Service | None = None
        self.agents: dict[str, Service] = {}
        self.starts = 0
        self._said: dict[str, int] = {}
        self._rate = rate
        self._base = int(time.time() * 1_000_000) - _BACK_US
        self._folder = folder
        self.store_disk = Disk(folder / "site", 3000)
        self.spool_disk = Disk(folder / "spools", 512)
        self.site = Site(self.store_disk.path)
        self.site.make(settings=_SETTINGS)

    @property
    def services(self) -> list[Service]:
        """Everything that should run."""
        return [*([self.collector] if self.collector else []), *self.agents.values()]

    def start_collector(self) -> None:
        """The collector, ready, at another port each time."""
        self.collector = self.site.start_collector(120)
        host, _, port = self.site.address.rpartition(":")
        self.relay.target = (host, int(port))
        self.starts += 1

    def start_agent(self, name: str) -> None:
        """One agent, whose way to the collector is the relay."""
        path = self.site.agent_toml(name, collector=f"127.0.0.1:{self.relay.port}")
        loaded = agent_config.load(path)
        settings = replace(
            loaded,
            uplink=replace(loaded.uplink, reconnect_seconds=0.5, answer_seconds=10.0),
            spool=replace(loaded.spool, directory=self.spool_disk.path / name, segment_bytes=65536, ledger_seconds=0.2),
        )
        path.write_text(agent_config.dump(settings))
        arguments = ["--config", str(path), "--truth", str(self.truth(name)), "--rate", str(self._rate)]
        command = [sys.executable, "-m", "tests.torture.agent", *arguments, "--base", str(self._base)]
        service = Service(name, command, self._folder / f"{name}.log")
        self._said[name] = len(service.log_text())
        service.start()
        self.agents[name] = service
        self.starts += 1

    def start_what_is_down(self) -> None:
        """Start whatever is not running, in any order."""
        down = [name for name in self.names if name not in self.agents or not self.agents[name].running]
        if self.collector is None or not self.collector.running:
            down.append("")
        self.random.shuffle(down)
        for name in down:
            if name:
                self.start_agent(name)
            else:
                self.start_collector()

    def truth(self, name: str) -> Path:
        """What the agent has given to its spool."""
        return self._folder / f"{name}.truth"

    def pause(self, paused: bool) -> None:
        """Whether the sources make rows."""
        for name in self.names:
            path = self.truth(name).with_suffix(".pause")
            if paused:
                path.touch()
            else:
                path.unlink(missing_ok=True)

    def settle(self, timeout_s: float = 300.0) -> None:
        """Fair weather, everything up, until nothing waits in any spool. ServiceError if that does not come about."""
        self.relay.clear()
        self.spool_disk.relieve()
        self.store_disk.relieve()
        for service in self.services:
            if service.running:
                os.kill(service.pid, signal.SIGCONT)
        self.pause(True)
        self.start_what_is_down()
        deadline = time.monotonic() + timeout_s
        for name, service in self.agents.items():
            begun = self._said[name]
            service.wait_until(lambda one=service, at=begun: "running:" in one.log_text()[at:], 60)  # type: ignore[misc]
            code = service.stop(max(1.0, deadline - time.monotonic()))
            if code != 0:
                raise ServiceError(f"{service.name} ended with {code}: {service.last_words()}")
        left = [str(path) for path in self.spool_disk.path.rglob("*.seg")]
        if left:
            raise ServiceError(f"{len(left)} segments are left in the spools, for example {left[0]}")

    def verdict(self) -> Verdict:
        """What the tables hold, of all agents."""
        whole = Verdict()
        for name in self.names:
            stored = {table: self._numbers(name, table) for table in TABLES}
            one = judge(Truth.read(self.truth(name)), stored, self._gaps(name))
            whole.told += one.told
            whole.kept += one.kept
            whole.stored += one.stored
            whole.missing += one.missing
            whole.doubled += one.doubled
            whole.foreign += one.foreign
        return whole

    def _gaps(self, name: str) -> dict[str, int]:
        """By table, how many rows the agent says are lost, without those that came all the same: they were on their
        way when they were dropped."""
        found = {}
        for table in TABLES:
            gaps = f"luytre.ledger WHERE ledger_entry = 'gap' AND agent_id = '{name}' AND ledger_stream = '{table}'"
            rows = self.site.query(
                f"SELECT (SELECT sum(ledger_count) FROM {gaps}) AS count, (SELECT count() FROM luytre.{table} AS rows"
                f" INNER JOIN (SELECT * FROM {gaps}) AS gaps ON rows.boot_id = gaps.ledger_boot_id"
                f" WHERE rows.agent_id = '{name}'"
                " AND rows.sequence BETWEEN gaps.ledger_first_sequence AND gaps.ledger_last_sequence) AS came"
            )
            found[table] = int(rows[0]["count"]) - int(rows[0]["came"])
        return found

    def _numbers(self, name: str, table: str) -> list[int]:
        column = NUMBER[table]
        rows = self.site.query(
            f"SELECT groupArray(toUnixTimestamp64Micro({column})) AS numbers FROM"
            f" (SELECT {column} FROM luytre.{table} WHERE agent_id = '{name}')"
        )
        return [int(number) for number in rows[0]["numbers"]]

    def sums(self, timeout_s: float = 60.0) -> tuple[int, int]:
        """Rows of flows, and rows that the sums by minute have counted: once they are the same, or time is over."""
        deadline = time.monotonic() + timeout_s
        while True:
            (row,) = self.site.query(
                "SELECT (SELECT count() FROM luytre.flows) AS rows, (SELECT sum(rows) FROM luytre.flows_1m) AS counted"
            )
            found = int(row["rows"]), int(row["counted"])
            if found[0] == found[1] or time.monotonic() > deadline:
                return found
            time.sleep(0.5)

    def close(self) -> None:
        """End everything, at once."""
        for service in self.services:
            service.kill()
        for disk in (self.store_disk, self.spool_disk):
            disk.unmount()


@contextmanager
def arena(folder: Path, agents: int, rate: int, random_: random.Random) -> Iterator[Arena]:
    """An arena in `folder`, with everything running."""
    relay = Relay()
    relay.start()
    made = Arena(folder, agents, rate, relay, random_)
    try:
        made.start_what_is_down()
        yield made
    finally:
        made.close()
        relay.stop()
