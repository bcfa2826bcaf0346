"""What the configuration says of a ClickHouse server. Apart from the store itself, whose driver is slow to import."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from luytre_common.settings import at_least, host_port, not_empty, setting

#: The oldest version whose SQL the tables and queries are written for; `Config` says it too.
OLDEST = (24, 3)


def _hosts(value: list[str]) -> str | None:
    if not value:
        return "must name at least one host"
    return next((f"{one!r} {fault}" for one in value if (fault := host_port(one))), None)


def _cluster(value: str) -> str | None:
    return None if re.fullmatch(r"[\w.-]*", value, re.ASCII) else "is not a name such as luytre"


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
    compression: Literal["none", "lz4", "zstd"] = setting(
        "none", "on the network; lz4 and zstd need luytre-collector[compression]"
    )
    connect_timeout_s: int = setting(10, "for one host, seconds", at_least(1))
    timeout_s: int = setting(300, "for one answer, seconds", at_least(1))
    insert_quorum: int = setting(
        0, "replicas that hold an insert before it is acknowledged; 0: the one that took it", at_least(0)
    )

    cluster: str = setting(
        "", "cluster of remote_servers over which the tables are spread; empty: one server", _cluster
    )

    storage_policy: str = setting("", "storage policy of the server for the tables; empty: as they are")
    cold_volume: str = setting("cold", "its volume for rows that are seldom asked for", not_empty)
    cold_after_days: int = setting(0, "days after arrival when rows move there; 0: never", at_least(0))

    @property
    def insert_settings(self) -> Mapping[str, int]:
        """What inserts ask for besides `sql.INSERT_SETTINGS`: an answer only when every shard has stored its rows.

        One insert after the other with a quorum, because only then can a query ask for everything acknowledged.
        """
        quorum = {"insert_quorum": self.insert_quorum, "insert_quorum_parallel": 0} if self.insert_quorum else {}
        return {"insert_distributed_sync": 1, **quorum}

    @property
    def sequence_settings(self) -> Mapping[str, int]:
        """What the question for the last sequence asks for: with a quorum, no replica that lags may answer it."""
        return {"select_sequential_consistency": 1} if self.insert_quorum else {}
