"""The HTTP endpoint of a real store, in a thread with an event loop of its own, and requests to it."""

from __future__ import annotations

import asyncio
import base64
import http.client
import ssl
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from luytre_collector.httpd import server, users
from luytre_collector.httpd.config import Config
from luytre_collector.store import embedded, readonly
from luytre_collector.store.guest import Answer, Question
from luytre_common import tls
from luytre_common.schema import TABLES
from luytre_common.telemetry import Counters

from tests.contract.rows import make

USER, PASSWORD = "mai", "tre già măng mọc"
#: Enough to be scrypt, too little to slow a test down.
CHEAP = users.Cost(2, 1, 1)
NO_TLS = tls.Config(Path("none"), Path("none"), Path("none"))
LIMITS = readonly.Config(max_seconds=5, max_rows=100_000, max_bytes=8 << 20, max_memory_bytes=256 << 20)


@contextmanager
def filled_store(folder: Path) -> Iterator[embedded.EmbeddedStore]:
    """With 20 flows in it."""
    one = embedded.EmbeddedStore(embedded.Config(directory=folder), LIMITS)
    one.open()
    try:
        one.migrate()
        one.insert("flows", make(TABLES["flows"], 20), "token")
        yield one
    finally:
        one.close()


def basic(user: str = USER, password: str = PASSWORD) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@dataclass
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> int:
        """ClickHouse's number of the error."""
        return int(self.headers.get("x-clickhouse-exception-code", 0))


@dataclass
class Endpoint:
    address: str
    users: Path
    counters: Counters = field(default_factory=lambda: Counters("http"))

    @property
    def host(self) -> str:
        return self.address.rpartition(":")[0]

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def connect(self, context: ssl.SSLContext | None = None) -> http.client.HTTPConnection:
        if context is not None:
            return http.client.HTTPSConnection("localhost", self.port, timeout=30, context=context)
        return http.client.HTTPConnection(self.host, self.port, timeout=30)

    def request(
        self,
        body: bytes | str = b"",
        method: str = "",
        path: str = "/",
        headers: Mapping[str, str] | None = None,
        login: Mapping[str, str] | None = None,
        **parameters: str,
    ) -> Reply:
        """One request on a connection of its own; POST if there is a body."""
        connection = self.connect()
        try:
            target = path + ("?" + urllib.parse.urlencode(parameters) if parameters else "")
            given = {**(basic() if login is None else login), **(headers or {})}
            data = body.encode() if isinstance(body, str) else body
            connection.request(method or ("POST" if body else "GET"), target, data or None, given)
            answer = connection.getresponse()
            return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()


@contextmanager
def served(
    ask: Callable[[Question], Answer],
    folder: Path,
    certificates: tls.Config = NO_TLS,
    counters: Counters | None = None,
    clock: Callable[[], float] = time.monotonic,
    **given: object,
) -> Iterator[Endpoint]:
    """Served for `USER`; `given` are settings of the endpoint."""
    file = folder / "http-users"
    users.write(file, {USER: users.make(PASSWORD, CHEAP)})
    config = Config(listen="127.0.0.1:0", users=file, **given)  # type: ignore[arg-type]
    counted = counters or Counters("http")
    loop = asyncio.new_event_loop()
    ready: list[str | BaseException] = []
    up, stop = threading.Event(), asyncio.Event()

    async def run() -> None:
        try:
            async with server.serve(config, certificates, ask, "collector-1", counted, clock) as address:
                ready.append(address)
                up.set()
                await stop.wait()
        except BaseException as error:
            ready.append(error)
            up.set()
            raise

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    try:
        assert up.wait(30)
        if isinstance(ready[0], BaseException):
            raise ready[0]
        yield Endpoint(ready[0], file, counted)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()
