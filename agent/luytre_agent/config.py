"""The agent's configuration: nothing but the stages' own, composed. Every stage's `Config` lies beside its code."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from luytre_common import settings, tls
from luytre_common.settings import required, setting

from luytre_agent import balance, health, sources, spool, uplink
from luytre_agent.sources import redaction


@dataclass(frozen=True)
class Agent:
    """The agent itself."""

    name: str = setting("", "host name to report; empty: the system's. The identity is the certificate's, not this")
    log_level: Literal["debug", "info", "warning", "error"] = setting("info", "log lines from this level up")
    log_format: Literal["text", "json"] = setting("text", "log lines for people or for machines, on standard error")

    @property
    def host_name(self) -> str:
        """The name to report."""
        return self.name or socket.gethostname()


@dataclass(frozen=True)
class Config:
    """The whole configuration."""

    tls: tls.Config = required("our certificate and whom we trust")
    uplink: uplink.Config = required("the collector")
    agent: Agent = setting(Agent(), "the agent itself")
    spool: spool.Config = setting(spool.Config(), "the disk spool")
    sources: sources.Config = setting(sources.Config(), "where rows come from")
    redact: redaction.Config = setting(redaction.Config(), "secrets in command lines and log lines")
    health: health.Config = setting(health.Config(), "the agent's own counters")
    ledger: balance.Config = setting(balance.Config(), "the balance of packets and rows")


def load(path: Path) -> Config:
    """Read the file. ConfigError names every fault."""
    return settings.load(Config, path)


def dump(config: Config) -> str:
    """The effective configuration, as a commented file that `load` reads back."""
    return settings.dump(config)
