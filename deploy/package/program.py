"""The two programs that are packaged: what they are called and what they consist of."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build"


@dataclass(frozen=True)
class Program:
    """One program. `members` are our own distributions in it, by folder; `rust`: it carries the compiled core."""

    name: str
    module: str
    members: tuple[str, ...]
    summary: str
    description: str
    rust: bool = False

    @property
    def short(self) -> str:
        """`agent` or `collector`: the name of its lock, its configuration and its folder in deploy/."""
        return self.name.removeprefix("luytre-")

    @property
    def lock(self) -> Path:
        """Its run-time dependencies, with hashes."""
        return ROOT / "requirements" / f"{self.short}.txt"

    @property
    def version(self) -> str:
        """The version of its distribution."""
        return str(tomllib.loads((ROOT / self.short / "pyproject.toml").read_text())["project"]["version"])


AGENT = Program(
    "luytre-agent",
    "luytre_agent",
    ("proto", "agent"),
    "network flows and host events to a Luy Tre collector",
    "Watches packets, processes, sockets, logins, files and network settings of\n"
    "this host, and delivers flow metadata and events to a collector: numbered,\n"
    "kept on disk until they are stored there, over mutually authenticated TLS.\n"
    "No payload leaves the host, and nobody can run or read anything through it.",
    rust=True,
)
COLLECTOR = Program(
    "luytre-collector",
    "luytre_collector",
    ("proto", "rules", "collector"),
    "stores what Luy Tre agents send, applies rules, raises alerts",
    "Receives flow metadata and host events from agents, stores them in ClickHouse\n"
    "(embedded, or a server), applies detection rules written in Sigma YAML, and\n"
    "tells of alerts on the console or by webhook.",
)
PROGRAMS = {one.short: one for one in (AGENT, COLLECTOR)}
