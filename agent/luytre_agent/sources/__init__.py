"""Sources of rows: one file per source; `SOURCES` is the table of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from luytre_common.settings import at_least, setting

from luytre_agent.sources import files, inventory, logins, network, packets, processes, replay, sockets
from luytre_agent.sources.base import SealedBatch, Source
from luytre_agent.sources.watch.own import Own


@dataclass(frozen=True)
class Config:
    """Where rows come from."""

    refresh_seconds: float = setting(10.0, "look for new and vanished interfaces this often", at_least(0.1))
    state_directory: Path = setting(
        Path("/var/lib/luytre-agent/state"), "where sources remember positions and snapshots; one agent per folder"
    )
    files: files.Config = setting(files.Config(), "changes of files that matter")
    logins: logins.Config = setting(logins.Config(), "logins, sessions, privileges and accounts")
    packets: packets.Config = setting(packets.Config(), "packets of live interfaces")
    processes: processes.Config = setting(processes.Config(), "process events")
    network: network.Config = setting(network.Config(), "changes of the network configuration")
    inventory: inventory.Config = setting(inventory.Config(), "what the host consists of")
    sockets: sockets.Config = setting(sockets.Config(), "socket events, and the process of every flow")
    replay: replay.Config = setting(replay.Config(), "capture files")


@dataclass(frozen=True)
class Context:
    """What sources must know of the rest: the addresses and ports of our own uplink, which nobody wants to see; and
    whose sockets are, which one source learns and others ask; and what we are made of, which is watched."""

    exclude: tuple[tuple[str, int], ...] = ()
    own: Own = field(default_factory=Own)
    owners: sockets.Owners = field(default_factory=sockets.Owners)


#: Makers of sources, by an identity that stays the same as long as the source is the same thing.
Makers = dict[str, Callable[[], Source]]


def _asked(config: Config, context: Context) -> sockets.Owners | None:
    return context.owners if config.sockets.enabled else None


def _told(config: Config, context: Context) -> sockets.Owners | None:
    return context.owners if config.processes.enabled else None


#: Every kind of source, and what of it there is now. Asked again and again: interfaces come and go.
SOURCES: dict[str, Callable[[Config, Context], Makers]] = {
    "files": lambda config, context: files.build(config.files, _told(config, context), context.own),
    "logins": lambda config, _: logins.build(config.logins, config.state_directory),
    "packets": lambda config, context: packets.build(config.packets, context.exclude, owners=_asked(config, context)),
    "processes": lambda config, context: processes.build(config.processes, context.owners),
    "sockets": lambda config, context: sockets.build(config.sockets, context.owners),
    "network": lambda config, _: network.build(config.network),
    "inventory": lambda config, _: inventory.build(config.inventory, config.state_directory),
    "replay": lambda config, _: replay.build(config.replay),
}


def wanted(config: Config, context: Context) -> Makers:
    """The makers of all sources that there should be now."""
    return {name: maker for build in SOURCES.values() for name, maker in build(config, context).items()}


#: Whose switch a source was built by, besides its own settings: whose sockets are, packets ask only if somebody knows.
_DEPENDS = {"packets": "sockets", "files": "processes"}


def kinds(config: Config) -> frozenset[str]:
    """The kinds of sources that are configured to run."""
    return frozenset(kind for kind in SOURCES if getattr(getattr(config, kind), "enabled", True))


def changed(before: Config, after: Config, redaction_too: bool = False) -> frozenset[str]:
    """The kinds whose sources must be made anew. What interfaces there are does not change how one is captured;
    processes take the redaction when they are opened, all others each time."""
    found = {kind for kind in SOURCES if _settings(before, kind) != _settings(after, kind)}
    for kind, other in _DEPENDS.items():
        if getattr(before, other).enabled != getattr(after, other).enabled:
            found.add(kind)
    return frozenset(found | ({"processes"} if redaction_too else set()))


def _settings(config: Config, kind: str) -> object:
    own = getattr(config, kind)
    return replace(own, interfaces=[], interface=[]) if isinstance(own, packets.Config) else own


__all__ = ["SOURCES", "Config", "Context", "Makers", "SealedBatch", "Source", "changed", "kinds", "wanted"]
