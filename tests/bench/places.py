"""Where `bench_collector` lets a collector put its rows: its own engine, or a server."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.demo.services import Site
from tests.bench import delivery
from tests.bench.delivery import Delivery
from tests.support.bridge.process import Bridge

#: Where the tables can be, with what is to be known of the figures.
ENGINES = {
    "embedded": ["the collector's CPU: gRPC, TLS, decode, enrich, every shipped rule, insert; the floor's: insert"],
    "server": [
        "own CPU: the collector's (gRPC, TLS, decode, enrich, every rule, making and sending blocks) beside that of",
        "making and sending blocks alone; ends: with the server's, which is a stand-in (chDB behind the protocol)",
    ],
}

_SERVER = """
[store]
engine = "server"

[store.server]
hosts = ["{host}"]
"""


@dataclass(frozen=True, slots=True)
class Floor:
    """A bare insert, and the server's CPU for it; 0 where the engine is in the process."""

    insert: Delivery
    server_cpu: float


class Place:
    """A site, and its server if it has one; a context manager.

    `ingest` replaces the collector's own `[ingest]` settings with more lines, `settings` goes to the end of its
    configuration; `through` makes of the server's address the one that the collector is given.
    """

    def __init__(
        self,
        folder: Path,
        engine: str,
        *,
        ingest: str = "",
        settings: str = "",
        through: Callable[[str], str] | None = None,
    ) -> None:
        self.site = Site(folder)
        self._ingest = ingest
        self._settings = settings
        self._through = through or (lambda host: host)
        self._server = Bridge(folder / "server") if engine == "server" else None

    def __enter__(self) -> Place:
        settings = self._settings
        if self._server is not None:
            self._server.start()
            settings += _SERVER.format(host=self._through(self._server.host))
        self.site.make(settings=settings)
        if self._ingest:
            path = self.site.collector_toml
            path.write_text(path.read_text().replace("[ingest]\n", self._ingest, 1))
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.stop()

    def server_cpu(self) -> float:
        """CPU seconds of the server so far; 0 if there is none."""
        return _cpu(self._server) if self._server is not None else 0.0

    def rows(self) -> int:
        """How many rows are in the tables that the supplies fill."""
        counts = " UNION ALL ".join(f"SELECT count() AS n FROM {name}" for name in (*delivery.NAMES, "processes"))
        return sum(int(row["n"]) for row in self.site.query(counts))

    def floor(self, names: Sequence[str], rows_at_once: int) -> Floor:
        """The rows that are there, inserted anew by a process that does nothing else, the collector having ended."""
        folder = self.site.folder
        if self._server is None:
            return Floor(delivery.bare(folder, names, rows_at_once), 0.0)
        self._server.stop()  # its folder is read by another engine now
        with Bridge(folder / "fresh") as fresh:
            before = _cpu(fresh)
            found = delivery.bare(folder, names, rows_at_once, self._server.folder, fresh.host)
            cpu = _cpu(fresh) - before
        self._server.start()
        return Floor(found, cpu)


def _cpu(bridge: Bridge) -> float:
    fields = Path(f"/proc/{bridge.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
