"""The collector's configuration: each stage's own, put together. A stage declares what it needs itself."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import luytre_rules
from luytre_common import settings
from luytre_common.settings import at_least, setting

from luytre_collector import (
    agents,
    chainkeeper,
    clocks,
    disk,
    health,
    notify,
    policy,
    retention,
    rollups,
    sites,
    worker,
)
from luytre_collector.detect import correlate
from luytre_collector.enrich import direction
from luytre_collector.enrol import config as enrol
from luytre_collector.httpd import config as httpd
from luytre_collector.ingest import presence, quarantine, server
from luytre_collector.store import choose


@dataclass(frozen=True)
class Collector:
    """The program itself."""

    name: str = setting("", "name of this collector in its own rows; the host's name if empty")
    log_level: Literal["debug", "info", "warning", "error"] = setting("info", "least important lines to log")
    log_form: Literal["text", "json"] = setting("text", "text for people, json for machines")
    stop_timeout_s: float = setting(5.0, "how long stopping waits for what was accepted, seconds", at_least(0))

    @property
    def called(self) -> str:
        """The name, given or found."""
        return self.name or socket.gethostname()


@dataclass(frozen=True)
class Detect:
    """Rules."""

    rules: list[Path] = setting([], "folders and files of rules; the shipped ones if empty")
    correlations: correlate.Config = setting(correlate.Config(), "correlations and query rules")

    @property
    def folders(self) -> list[Path]:
        """The folders and files, given or shipped."""
        return self.rules or [luytre_rules.FOLDER]


@dataclass(frozen=True)
class Config:
    """Everything that the collector can be told."""

    ingest: server.Config = settings.required("the gRPC server")
    collector: Collector = setting(Collector(), "the program itself")
    enrol: enrol.Config = setting(enrol.Config(), "certificates for agents")
    pipeline: worker.Config = setting(worker.Config(), "batches to inserts")
    quarantine: quarantine.Config = setting(quarantine.Config(), "refused batches")
    clocks: clocks.Config = setting(clocks.Config(), "times that are believed")
    store: choose.Config = setting(choose.Config(), "the tables")
    networks: direction.Config = setting(direction.Config(), "our networks")
    detect: Detect = setting(Detect(), "rules")
    notify: notify.Config = setting(notify.Config(), "where alerts go")
    sites: sites.Config = setting(sites.Config(), "organisations and information systems")
    agents: agents.Config = setting(agents.Config(), "the register of agents")
    retention: retention.Config = setting(retention.Config(), "how long rows are kept")
    disk: disk.Config = setting(disk.Config(), "room on the disks of the store")
    presence: presence.Config = setting(presence.Config(), "agents that fall silent, stop, or lose a source")
    chains: chainkeeper.Config = setting(chainkeeper.Config(), "hash chains")
    policy: policy.Config = setting(policy.Config(), "signed policies for agents")
    rollups: rollups.Config = setting(rollups.Config(), "sums and first sightings")
    health: health.Config = setting(health.Config(), "the collector's own counters")
    http: httpd.Config = setting(httpd.Config(), "queries over HTTP")


def load(path: Path) -> Config:
    """Read and check the file. ConfigError names every fault at once."""
    return settings.load(Config, path)
