"""How the HTTP endpoint is told to behave."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from luytre_common.settings import at_least, host_port, setting


@dataclass(frozen=True)
class Config:
    """Queries over HTTP as ClickHouse speaks it, from the embedded store; served once `users` names somebody."""

    listen: str = setting("127.0.0.1:8123", "where to listen, HOST:PORT; port 0 takes a free one", host_port)
    tls: bool = setting(False, "HTTPS with the certificate of [ingest.tls]; a must where others can reach it")
    users: Path = setting(Path("/etc/luytre/http-users"), "who may ask; made by: luytre-collector http user add NAME")
    max_connections: int = setting(64, "connections at a time", at_least(1))
    max_queries: int = setting(4, "queries that run at a time", at_least(1))
    max_waiting: int = setting(32, "queries that wait for those to end; more are refused", at_least(0))
    request_timeout_s: float = setting(10.0, "how long a request may take to come in whole, seconds", at_least(0.1))
    idle_timeout_s: float = setting(60.0, "how long a connection may stay without a request, seconds", at_least(0.1))
    send_timeout_s: float = setting(120.0, "how long an answer may take to be fetched, seconds", at_least(0.1))
