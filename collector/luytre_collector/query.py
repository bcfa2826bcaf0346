"""`luytre-collector query`: SQL for people, whether or not a collector runs.

The embedded store's folder belongs to one process. While a collector runs, it answers queries itself on a Unix domain
socket in that folder; while none runs, the command opens the store. A server store is simply asked.

The socket, `query.socket`, mode 0600, accepts peers of the collector's own user and of root (SO_PEERCRED). One
connection carries one query:

    client:     {"sql": "SELECT 1", "form": "JSONEachRow", "utc": false} LF
    collector:  {"status": "ok", "size": 6} LF  and `size` bytes of answer
            or  {"status": "refused" | "failed", "message": "one line"} LF

`refused` is the person's mistake (`QueryRefusedError`), `failed` is not. The request is at most 1 MiB.

A backup asks `{"freeze": true}`: the answer is `backup.frozen.Frozen` as JSON, and the parts stay frozen until the
connection ends. Who asked copies them, with their own rights.

Other commands ask `{"do": NAME, "given": VALUE}`: one of the deeds that the collector offers, with what it needs; the
answer is JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
from luytre_common.errors import LuytreError, UserError
from luytre_common.telemetry import Counters

from luytre_collector.backup import frozen
from luytre_collector.store.base import QueryRefusedError, Store, StoreUnavailableError
from luytre_collector.store.choose import Config, expect_made, make_store
from luytre_collector.store.lock import FolderInUseError

NAME = "query.socket"

#: What the command's options choose: output format by option.
FORMS = {"table": "PrettyCompactMonoBlock", "json": "JSONEachRow", "csv": "CSVWithNames"}

MAX_REQUEST_BYTES = 1 << 20
_REQUEST_SECONDS = 10.0
_AT_ONCE = 4


def socket_path(config: Config) -> Path | None:
    """Where a collector with this configuration answers queries; None if people ask the server themselves."""
    return config.embedded.directory / NAME if config.engine == "embedded" else None


def run_query(config: Config, sql: str, form: str = FORMS["table"], utc: bool = False) -> bytes:
    """The answer to `sql` in ClickHouse's output format `form`, times in the configured zone unless `utc`.

    QueryRefusedError or UserError (exit code 2) for the person's mistake, StoreUnavailableError for what is not.
    In the table form control characters are made visible, so that what a host sent cannot steer a terminal.
    """
    expect_made(config)
    store = make_store(config)
    try:
        store.open()
    except FolderInUseError as error:
        answer = _ask(config.embedded.directory / NAME, error.pid, sql, form, utc)
    else:
        try:
            answer = store.query_text(sql, form, utc)
        finally:
            store.close()
    return visible(answer) if form.startswith("Pretty") else answer


def visible(text: bytes) -> bytes:
    """Control characters (but line ends), and marks that turn the direction of text, as \\xNN and \\uNNNN."""
    return _UNSAFE.sub(_escape, text.decode("utf-8", "replace")).encode()


_UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def _ask(path: Path, pid: int, sql: str, form: str, utc: bool) -> bytes:
    request = json.dumps({"sql": sql, "form": form, "utc": utc}).encode() + b"\n"
    if len(request) > MAX_REQUEST_BYTES:
        raise UserError(f"the query is longer than {MAX_REQUEST_BYTES} bytes")
    with _asked(path, pid, request) as answer:
        return answer


class Running:
    """The store of a running collector, for commands that look at its tables or have it do something."""

    def __init__(self, config: Config, pid: int) -> None:
        self._path = config.embedded.directory / NAME
        self._pid = pid

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """See `Reading.query`; without parameters, within the limits of people's queries, a name as a plain string."""
        assert not parameters, "people's queries have none"
        return pa.ipc.open_stream(_ask(self._path, self._pid, sql, "ArrowStream", utc=True)).read_all()

    def do(self, name: str, given: Any) -> Any:
        """Have the collector do one of its deeds; its answer. UserError if it does not know it."""
        request = json.dumps({"do": name, "given": given}).encode() + b"\n"
        if len(request) > MAX_REQUEST_BYTES:
            raise UserError(f"{name}: more than {MAX_REQUEST_BYTES} bytes in one request")
        with _asked(self._path, self._pid, request) as answer:
            return json.loads(answer)


@contextlib.contextmanager
def frozen_by_collector(directory: Path, pid: int) -> Iterator[bytes]:
    """The running collector's answer about the parts that it holds still while inside: `frozen.Frozen` as JSON."""
    with _asked(directory / NAME, pid, b'{"freeze": true}\n') as facts:
        yield facts


@contextlib.contextmanager
def _asked(path: Path, pid: int, request: bytes) -> Iterator[bytes]:
    """The answer; the connection stays while inside."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            with _short(path) as short:
                sock.connect(short)
            sock.sendall(request)
            with sock.makefile("rb") as file:
                answer = _read_answer(file.readline(), file)
        except OSError as error:
            raise StoreUnavailableError(
                f"{path}: {error.strerror or error}; pid {pid} holds the store but answers no queries"
                " (still starting, or not a running collector): try again"
            ) from None
        yield answer


def _read_answer(line: bytes, answer: Any) -> bytes:
    try:
        head = json.loads(line)
        status, message, size = head["status"], str(head.get("message", "")), int(head.get("size", 0))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise StoreUnavailableError("the collector went away while it answered; try again") from None
    if status == "refused":
        raise QueryRefusedError(message)
    if status != "ok":
        raise StoreUnavailableError(message)
    body = bytes(answer.read(size))
    if len(body) < size:
        raise StoreUnavailableError("the collector went away while it answered; try again")
    return body


@contextlib.contextmanager
def _short(path: Path) -> Any:
    """A name of at most 108 bytes for a socket, however deep its folder: through the folder's descriptor."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


#: What a collector does when asked: from JSON to JSON, in a thread. LuytreError if it cannot be done, ValueError if
#: what was given makes no sense.
Deeds = Mapping[str, Callable[[Any], Any]]


@contextlib.asynccontextmanager
async def serve_queries(
    store: Store, path: Path, counters: Counters, deeds: Deeds | None = None
) -> AsyncIterator[None]:
    """Answer queries on the socket `path` while inside. The caller holds the store's folder, so an old socket is stale.

    Counters: `queries`, `queries_refused`, `queries_failed`, `query_peers_refused`, `query_requests_bad`, `backups`,
    `deeds` by name.
    """
    path.unlink(missing_ok=True)
    frozen.sweep(path.parent)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(sock.fileno(), 0o600)  # bind() gives the file this mode: it is never open to others, not for a moment
        with _short(path) as short:
            sock.bind(short)
        desk = _Desk(store, path.parent, counters, deeds or {})
        server = await asyncio.start_unix_server(desk.serve, sock=sock, limit=MAX_REQUEST_BYTES)
    except OSError as error:
        sock.close()
        raise UserError(f"{path}: {error.strerror or error}; queries cannot be served") from None
    try:
        yield
    finally:
        server.close()
        await desk.finish()
        path.unlink(missing_ok=True)


class _Desk:
    def __init__(self, store: Store, directory: Path, counters: Counters, deeds: Deeds) -> None:
        self._store = store
        self._directory = directory
        self._deeds = deeds
        self._counters = counters
        # Threads of its own: a collector busy with inserts must still answer, and the other way round.
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="query")
        self._tasks: set[asyncio.Task[Any]] = set()
        self._finishing = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            if _peer_may_ask(writer):
                request = await self._request(reader)
                if request is not None and request.get("freeze") is True:
                    await self._hold_still(reader, writer)
                elif request is not None and "do" in request:
                    await _send(writer, *await self._done(request))
                else:
                    await _send(writer, *await self._answer(request))
            else:
                self._counters.add("query_peers_refused")
        except OSError:
            self._counters.add("queries_failed", label="peer_gone")
        finally:
            writer.close()

    async def finish(self) -> None:
        """Wait for the queries that run; each is bound in time. Who copies frozen parts goes on without us."""
        self._finishing.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._threads.shutdown()

    async def _request(self, reader: asyncio.StreamReader) -> dict[str, Any] | None:
        """What is asked; None for what is not a request."""
        try:
            request = json.loads(await asyncio.wait_for(reader.readuntil(b"\n"), _REQUEST_SECONDS))
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            return None
        return request if isinstance(request, dict) else None

    async def _hold_still(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Freeze all tables, say where, and keep them so until the other end has gone."""
        loop = asyncio.get_running_loop()
        try:
            held = await loop.run_in_executor(self._threads, frozen.freeze, self._store, self._directory)
        except LuytreError as error:
            self._counters.add("queries_failed", label="store")
            await _send(writer, {"status": "failed", "message": str(error)}, b"")
            return
        self._counters.add("backups")
        gone = asyncio.create_task(reader.read(1))
        finishing = asyncio.create_task(self._finishing.wait())
        try:
            body = json.dumps(held.to_json()).encode()
            await _send(writer, {"status": "ok", "size": len(body)}, body)
            await asyncio.wait((gone, finishing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not self._finishing.is_set():
                await loop.run_in_executor(self._threads, frozen.thaw, self._directory, held.name)
            gone.cancel()
            finishing.cancel()

    async def _done(self, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        name = str(request["do"])
        deed = self._deeds.get(name)
        if deed is None:
            self._counters.add("query_requests_bad")
            return {"status": "refused", "message": f"{name}: this collector cannot do that while it runs"}, b""
        try:
            loop = asyncio.get_running_loop()
            body = json.dumps(await loop.run_in_executor(self._threads, deed, request.get("given"))).encode()
        except ValueError as error:
            self._counters.add("query_requests_bad")
            return {"status": "refused", "message": f"{name}: {error}"}, b""
        except LuytreError as error:
            self._counters.add("queries_failed", label="store")
            return {"status": "failed", "message": str(error)}, b""
        self._counters.add("deeds", label=name)
        return {"status": "ok", "size": len(body)}, body

    async def _answer(self, request: dict[str, Any] | None) -> tuple[dict[str, Any], bytes]:
        try:
            if request is None:
                raise ValueError("no request")
            sql, form, utc = str(request["sql"]), str(request["form"]), bool(request["utc"])
        except (ValueError, KeyError):
            self._counters.add("query_requests_bad")
            return {"status": "failed", "message": "not a request of luytre-collector query"}, b""
        try:
            loop = asyncio.get_running_loop()
            body = await loop.run_in_executor(self._threads, self._store.query_text, sql, form, utc)
        except QueryRefusedError as error:
            self._counters.add("queries_refused")
            return {"status": "refused", "message": str(error)}, b""
        except LuytreError as error:
            self._counters.add("queries_failed", label="store")
            return {"status": "failed", "message": str(error)}, b""
        self._counters.add("queries")
        return {"status": "ok", "size": len(body)}, body


async def _send(writer: asyncio.StreamWriter, head: dict[str, Any], body: bytes) -> None:
    writer.write(json.dumps(head).encode() + b"\n" + body)
    await writer.drain()


def _peer_may_ask(writer: asyncio.StreamWriter) -> bool:
    sock = writer.get_extra_info("socket")
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    return uid in (0, os.geteuid())
