"""Where `bench_collector` lets a collector put its rows: its own engine, or a server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deploy.demo.services import Site
from tests.bench import delivery
from tests.bench.delivery import Delivery
from tests.support.bridge.process import Bridge

#: Where the tables can be, with what is to be known of the figures.
ENGINES = {
    "embedded": ["the collector's CPU: gRPC, TLS, decode, enrich, every shipped rule, insert; the floor's: insert"],
    "server": [
        "the collector's CPU: gRPC, TLS, decode, enrich, every rule, making and sending blocks; the floor's: blocks",
        "the server, a stand-in (chDB behind the native protocol), is not counted; rows/s and delays depend on it",
    ],
}

_SERVER = """
[store]
engine = "server"

[store.server]
hosts = ["{host}"]
"""


class Place:
    """A site, and its server if it has one; a context manager."""

    def __init__(self, folder: Path, engine: str) -> None:
        self.site = Site(folder)
        self._server = Bridge(folder / "server") if engine == "server" else None

    def __enter__(self) -> Place:
        if self._server is None:
            self.site.make()
        else:
            self._server.start()
            self.site.make(settings=_SERVER.format(host=self._server.host))
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.stop()

    def floor(self, names: Sequence[str], rows_at_once: int) -> Delivery:
        """The rows that are there, inserted anew by a process that does nothing else, the collector having ended."""
        folder = self.site.folder
        if self._server is None:
            return delivery.bare(folder, names, rows_at_once)
        self._server.stop()  # its folder is read by another engine now
        with Bridge(folder / "fresh") as fresh:
            found = delivery.bare(folder, names, rows_at_once, self._server.folder, fresh.host)
        self._server.start()
        return found
