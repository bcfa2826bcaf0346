"""Which store the configuration asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from luytre_common import settings
from luytre_common.errors import UserError
from luytre_common.settings import setting
from luytre_common.telemetry import Counters

from luytre_collector.store import embedded, readonly, server_config
from luytre_collector.store.base import Store


@dataclass(frozen=True)
class Config:
    """Where the tables live."""

    engine: Literal["embedded", "server"] = setting(
        "embedded", "embedded: in this process; server: a ClickHouse server"
    )
    embedded: embedded.Config = setting(embedded.Config(), "the engine in this process")
    server: server_config.Config = setting(server_config.Config(), "the ClickHouse server")
    people: readonly.Config = setting(readonly.Config(), "queries of people")


@dataclass(frozen=True)
class _Part:
    store: Config = setting(Config(), "the tables")


def load(path: Path) -> Config:
    """The part `[store]` of a collector's configuration: who only asks need not care about faults in other parts."""
    tables = settings.read_toml(path)
    return settings.build(_Part, {name: part for name, part in tables.items() if name == "store"}, path).store


def _server(config: Config, counters: Counters) -> Store:
    from luytre_collector.store.server import ServerStore  # its driver is slow to import, and rarely needed

    return ServerStore(config.server, config.people, counters)


#: Every store, by the name that `engine` gives.
STORES: Mapping[str, Callable[[Config, Counters], Store]] = {
    "embedded": lambda config, _: embedded.EmbeddedStore(config.embedded, config.people),
    "server": _server,
}


def expect_made(config: Config) -> None:
    """UserError if the embedded engine has no folder yet: to open it would make one without tables."""
    if config.engine == "embedded" and not config.embedded.directory.is_dir():
        raise UserError(f"{config.embedded.directory}: no tables there yet; run: luytre-collector migrate")


def make_store(config: Config, counters: Counters | None = None) -> Store:
    """The store, not yet open. What it counts nobody reads, unless `counters` are given."""
    return STORES[config.engine](config, counters or Counters("store"))
