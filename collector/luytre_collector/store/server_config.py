"""What the configuration says of a ClickHouse server. Apart from the store itself, whose driver is slow to import."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from luytre_common.settings import at_least, host_port, setting


def _hosts(value: list[str]) -> str | None:
    if not value:
        return "must name at least one host"
    return next((f"{one!r} {fault}" for one in value if (fault := host_port(one))), None)


@dataclass(frozen=True)
class Config:
    """A ClickHouse server, 24.3 or later."""

    hosts: list[str] = setting(["127.0.0.1:9000"], "native protocol, HOST:PORT; the first that answers is used", _hosts)
    user: str = setting("default", "user; must be allowed to create the databases luytre and luytre_local")
    password_file: Path | None = setting(None, "file with the password in its first line")
    tls: bool = setting(False, "encrypt; the port is then usually 9440")
    authority: Path | None = setting(None, "PEM file of the authority that signed the servers' certificates")
    certificate: Path | None = setting(None, "PEM file of this collector's certificate, if the servers ask for one")
    key: Path | None = setting(None, "PEM file of its private key")
    compression: Literal["none", "lz4", "zstd"] = setting("none", "on the network; lz4 and zstd need extra packages")
    connect_timeout_s: int = setting(10, "for one host, seconds", at_least(1))
    timeout_s: int = setting(300, "for one answer, seconds", at_least(1))
