"""Listens, and bounds what a connection may cost: how many there are, how long each step of each may take."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus

from luytre_common import tls
from luytre_common.errors import UserError
from luytre_common.telemetry import Counters

from luytre_collector.httpd import replies, wire
from luytre_collector.httpd.config import Config
from luytre_collector.httpd.desk import Desk
from luytre_collector.httpd.users import Users
from luytre_collector.store.guest import Answer, Question

_SLICE = 256 << 10
_HANDSHAKE_S = 10.0
_log = logging.getLogger("luytre.http")


def check(config: Config, certificates: tls.Config) -> ssl.SSLContext | None:
    """What encrypts, if anything. UserError if others could reach an endpoint that does not, or if files are faulty."""
    host = config.listen.rpartition(":")[0].strip("[]")
    if not config.tls:
        if not _is_loopback(host):
            raise UserError(
                f"http.listen: {config.listen} can be reached by others, who would see passwords on their way;"
                " set http.tls = true, or listen on 127.0.0.1"
            )
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificates.certificate, certificates.key)
    except (ssl.SSLError, OSError) as error:
        raise UserError(f"{certificates.certificate}: not usable for HTTPS with its key ({error.strerror})") from None
    return context


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextlib.asynccontextmanager
async def serve(
    config: Config,
    certificates: tls.Config,
    ask: Callable[[Question], Answer],
    name: str,
    counters: Counters,
    clock: Callable[[], float],
) -> AsyncIterator[str]:
    """Serve while inside, if there are users; the address, empty if there are none. UserError if that cannot be.

    Counters: `requests`, `requests_refused` by cause, `connections_refused`, `connections_broken` by cause, `queries`,
    `query_ms`, `answer_rows`, `answer_bytes`, `settings_ignored`, `logins_failed`, `users_unreadable`.
    """
    context = check(config, certificates)
    users = Users(config.users)
    users.refresh()
    if not len(users):
        _log.info("not served: nobody may ask yet; run: luytre-collector http user add NAME, and start again")
        yield ""
        return
    version = ask(Question("SELECT version()")).body.decode().strip()
    door = _Door(config, Desk(config, ask, users, name, version, counters, clock), counters)
    host, _, port = config.listen.rpartition(":")
    try:
        server = await asyncio.start_server(
            door.serve, host.strip("[]"), int(port), limit=wire.MAX_HEAD, ssl=context,
            ssl_handshake_timeout=_HANDSHAKE_S if context else None,
        )  # fmt: skip
    except OSError as error:
        raise UserError(f"http.listen: {config.listen}: {error.strerror or error}; choose another address") from None
    address = f"{host}:{server.sockets[0].getsockname()[1]}"
    _log.info("served on %s://%s to %d users", "https" if context else "http", address, len(users))
    try:
        yield address
    finally:
        server.close()
        await door.close()


class _Door:
    def __init__(self, config: Config, desk: Desk, counters: Counters) -> None:
        self._config = config
        self._desk = desk
        self._counters = counters
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """End every connection; queries that run end in their threads."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._desk.close)

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Called for every connection."""
        if len(self._tasks) >= self._config.max_connections:
            self._counters.add("connections_refused")
            busy = replies.plain("too many connections\n", HTTPStatus.SERVICE_UNAVAILABLE)
            writer.write(wire.head_of(busy, keep_alive=False) + busy.body)
            writer.close()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = str(writer.get_extra_info("peername")[0])
        try:
            while await self._one(reader, writer, peer):
                pass
            writer.close()
        except TimeoutError:
            self._counters.add("connections_broken", label="timeout")
        except OSError:
            self._counters.add("connections_broken", label="peer_gone")
        except Exception:  # noqa: BLE001 - the collector must live on
            self._counters.add("connections_broken", label="fault")
            _log.exception("a request could not be answered")
        finally:
            if not writer.is_closing():  # do not wait for who does not read
                writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: str) -> bool:
        """One request and its response; whether another may follow."""
        try:
            async with asyncio.timeout(self._config.idle_timeout_s):
                first = await reader.read(1)
        except TimeoutError:
            return False  # nothing was asked: no fault
        if not first:
            return False
        try:
            async with asyncio.timeout(self._config.request_timeout_s):
                request = await wire.read(reader, writer, first)
        except wire.RequestError as error:
            self._counters.add("requests_refused", label="protocol")
            response = replies.plain(f"{error}\n", error.status)
            await self._send(writer, response, keep_alive=False, with_body=True)
            return False
        async with self._desk.answer(request, peer) as response:
            await self._send(writer, response, request.keep_alive, request.method != "HEAD")
        return request.keep_alive

    async def _send(
        self, writer: asyncio.StreamWriter, response: wire.Response, keep_alive: bool, with_body: bool
    ) -> None:
        async with asyncio.timeout(self._config.send_timeout_s):
            writer.write(wire.head_of(response, keep_alive))
            view = memoryview(response.body)
            for start in range(0, len(view) if with_body else 0, _SLICE):
                writer.write(view[start : start + _SLICE])
                await writer.drain()
            await writer.drain()
