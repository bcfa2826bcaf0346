"""The agent's configuration: nothing but the stages' own, composed. Every stage's `Config` lies beside its code."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from luytre_common import settings, tls
from luytre_common.errors import ConfigError
from luytre_common.policy import ALLOWED
from luytre_common.settings import required, setting

from luytre_agent import balance, health, limits, policy, sources, spool, uplink
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
    limits: limits.Config = setting(limits.Config(), "what the agent may use of its host")
    redact: redaction.Config = setting(redaction.Config(), "secrets in command lines and log lines")
    health: health.Config = setting(health.Config(), "the agent's own counters")
    ledger: balance.Config = setting(balance.Config(), "the balance of packets and rows")
    policy: policy.Config = setting(policy.Config(), "settings that come signed, through the collector")

    @property
    def policy_folder(self) -> Path:
        """Where the policy in force is kept."""
        return self.policy.folder(self.spool.directory)


def load(path: Path) -> Config:
    """Read the file. ConfigError names every fault."""
    return settings.load(Config, path)


def effective(own: Config, given: Mapping[str, Any]) -> Config:
    """The host's own configuration with what a policy sets, by dotted key. ConfigError if that is none, or leaves
    nothing to do; `own` stays as it is."""
    tables: dict[str, Any] = {}
    for key, value in given.items():
        *parts, name = key.split(".")
        inner, before = tables, own
        for part in parts:
            inner, before = inner.setdefault(part, {}), getattr(before, part)
        inner[name] = value if not ALLOWED[key].added else [*getattr(before, name), *value]
    made = settings.overlay(own, tables)
    if given and not sources.kinds(made.sources) - {"replay"}:
        raise ConfigError(
            None, ["sources: the policy turns off every source; an agent with none could not start again"]
        )
    return made


def dump(config: Config) -> str:
    """The effective configuration, as a commented file that `load` reads back."""
    return settings.dump(config)
