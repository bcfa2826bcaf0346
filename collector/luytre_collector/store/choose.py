"""Which store the configuration asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from luytre_common.settings import setting

from luytre_collector.store import embedded, readonly, server
from luytre_collector.store.base import Store


@dataclass(frozen=True)
class Config:
    """Where the tables live."""

    engine: Literal["embedded", "server"] = setting(
        "embedded", "embedded: in this process; server: a ClickHouse server"
    )
    embedded: embedded.Config = setting(embedded.Config(), "the engine in this process")
    server: server.Config = setting(server.Config(), "the ClickHouse server")
    people: readonly.Config = setting(readonly.Config(), "queries of people")


#: Every store, by the name that `engine` gives.
STORES: Mapping[str, Callable[[Config], Store]] = {
    "embedded": lambda config: embedded.EmbeddedStore(config.embedded, config.people),
    "server": lambda config: server.ServerStore(config.server, config.people),
}


def make_store(config: Config) -> Store:
    """The store, not yet open."""
    return STORES[config.engine](config)
