"""One connection's conversation: hello, then pings and queries until the client goes."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from clickhouse_driver.reader import read_binary_str
from clickhouse_driver.varint import read_varint, write_varint
from clickhouse_driver.writer import write_binary_str, write_binary_uint8, write_binary_uint64

from tests.support.bridge import wire
from tests.support.bridge.columns import UnknownTypeError
from tests.support.bridge.engine import NOT_IMPLEMENTED, Engine, EngineError, Insert, Session, as_insert
from tests.support.bridge.wire import Block

AUTHENTICATION_FAILED = 516


@dataclass(frozen=True)
class Identity:
    """What a server says it is, and whom it lets in."""

    version: tuple[int, int, int] = (26, 9, 2)
    revision: int = wire.REVISION
    users: tuple[tuple[str, str], ...] = (("default", ""),)


class Conversation:
    """With one client, over one socket."""

    def __init__(self, engine: Engine, identity: Identity, sock: socket.socket) -> None:
        self._engine = engine
        self._identity = identity
        self._in, self._out = wire.open_streams(sock)
        self._revision = 0
        self._database = "default"
        self._compressed = False

    def run(self) -> None:
        """Until the client goes (EOFError or OSError) or says what no client says (ValueError)."""
        if not self._greet():
            return
        while True:
            match read_varint(self._in):
                case wire.CLIENT_PING:
                    write_varint(wire.PONG, self._out)
                    self._out.flush()
                case wire.QUERY:
                    self._query()
                case wire.CANCEL:  # what it would cancel has been answered
                    pass
                case other:
                    raise ValueError(f"packet {other} out of order")

    def _greet(self) -> bool:
        hello = wire.read_hello(self._in)
        self._revision = min(hello.revision, self._identity.revision)
        self._database = hello.database or "default"
        try:
            if (hello.user, hello.password) not in self._identity.users:
                raise EngineError(
                    AUTHENTICATION_FAILED,
                    f"{hello.user}: Authentication failed: password is incorrect, or there is no user with such name."
                    " (AUTHENTICATION_FAILED)",
                )
            with self._engine.session(self._database):
                pass
        except EngineError as error:
            wire.write_exception(error.code, str(error), self._out)
            return False
        major, minor, patch = self._identity.version
        write_varint(wire.HELLO, self._out)
        write_binary_str("ClickHouse", self._out)
        for number in (major, minor, self._identity.revision):
            write_varint(number, self._out)
        write_binary_str("UTC", self._out)
        write_binary_str("bridge", self._out)
        write_varint(patch, self._out)
        if self._revision >= 54461:
            write_varint(0, self._out)  # rules for passwords
        if self._revision >= 54462:
            write_binary_uint64(0, self._out)  # a number for secrets between servers
        self._out.flush()
        if self._revision >= 54458:
            read_binary_str(self._in)  # quota key
        return True

    def _query(self) -> None:
        read_binary_str(self._in)  # query id
        wire.read_client_info(self._in)
        settings = wire.read_settings(self._in)
        read_binary_str(self._in)  # secret between servers
        read_varint(self._in)  # stage: complete
        self._compressed = bool(read_varint(self._in))
        sql = read_binary_str(self._in)
        parameters = {name: _restored(one.value) for name, one in wire.read_settings(self._in).items()}
        external = self._blocks()
        zone = settings.get("session_timezone")
        try:
            with self._engine.session(self._database, settings) as session:
                for name, block in external:
                    session.temporary(name, block)
                if zone:
                    self._packet(wire.TIMEZONE_UPDATE, lambda sink: write_binary_str(zone.value, sink))
                if insert := as_insert(sql):
                    self._insert(session, insert)
                else:
                    self._select(session, sql, parameters)
            write_varint(wire.END_OF_STREAM, self._out)
            self._out.flush()
        except EngineError as error:
            wire.write_exception(error.code, str(error), self._out)
        except UnknownTypeError as error:
            wire.write_exception(NOT_IMPLEMENTED, f"{error}. (NOT_IMPLEMENTED)", self._out)

    def _insert(self, session: Session, insert: Insert) -> None:
        sample = session.sample(insert)
        self._packet(wire.TABLE_COLUMNS, lambda sink: [write_binary_str(text, sink) for text in ("", "columns")])
        self._send(sample)
        blocks = [block for _, block in self._blocks(self._profile_events)]
        session.insert(insert, blocks)
        self._profile_events(Block())

    def _select(self, session: Session, sql: str, parameters: dict[str, str]) -> None:
        blocks = session.select(sql, parameters)
        rows = sum(block.rows for block in blocks)
        size = sum(len(block.native) for block in blocks)
        for block in blocks:
            self._send(block)
        if blocks:
            progress = (rows, size, rows, size, 0, 0, 1)[: 7 if self._revision >= 54463 else 5]
            self._packet(wire.PROGRESS, lambda sink: [write_varint(number, sink) for number in progress])
            self._packet(wire.PROFILE_INFO, lambda sink: _profile_info(rows, len(blocks), size, sink))

    def _profile_events(self, block: Block) -> None:
        """What a server says after each block of an insert, and after the end."""
        with self._engine.session("default") as session:
            events = session.select(
                "SELECT hostName() AS host_name, now() AS current_time, toUInt64(0) AS thread_id,"
                " CAST(1, 'Enum8(\\'increment\\' = 1, \\'gauge\\' = 2)') AS type, 'InsertedRows' AS name,"
                f" toInt64({block.rows}) AS value"
            )[-1]
        self._packet(wire.PROFILE_EVENTS, lambda sink: _plain_block(events, sink))

    def _blocks(self, taken: Callable[[Block], None] = lambda _: None) -> list[tuple[str, Block]]:
        """The named blocks that the client sends, up to the empty one."""
        found = []
        while True:
            packet = read_varint(self._in)
            if packet != wire.CLIENT_DATA:
                raise ValueError(f"packet {packet} where blocks were due")
            name = read_binary_str(self._in)
            source = self._decompressing() if self._compressed else self._in
            wire.read_block_info(source)
            block = wire.read_block(source, with_flags=self._revision >= 54454)
            if not block.names:
                return found
            found.append((name, block))
            taken(block)

    def _send(self, block: Block) -> None:
        write_varint(wire.DATA, self._out)
        write_binary_str("", self._out)
        if self._compressed:
            stream = _compressing(self._out)
            _plain(block, stream.fout)
            stream.finalize()
        else:
            _plain(block, self._out)
        self._out.flush()

    def _packet(self, number: int, body: Callable[[Any], object]) -> None:
        write_varint(number, self._out)
        body(self._out)
        self._out.flush()

    def _decompressing(self) -> Any:
        from clickhouse_driver.streams.compressed import CompressedBlockInputStream  # needs the extra packages

        return CompressedBlockInputStream(self._in, None).fin


def _compressing(sink: Any) -> Any:
    from clickhouse_driver.compression.lz4 import Compressor
    from clickhouse_driver.streams.compressed import CompressedBlockOutputStream

    return CompressedBlockOutputStream(Compressor, 1 << 20, sink, None)


def _plain(block: Block, sink: Any) -> None:
    wire.write_block_info(sink)
    wire.write_block(block, sink)


def _plain_block(block: Block, sink: Any) -> None:
    write_binary_str("", sink)
    _plain(block, sink)


def _profile_info(rows: int, blocks: int, size: int, sink: Any) -> None:
    for number in (rows, blocks, size):
        write_varint(number, sink)
    write_binary_uint8(0, sink)
    write_varint(0, sink)
    write_binary_uint8(0, sink)


_ESCAPED = {"b": "\b", "f": "\f", "r": "\r", "n": "\n", "t": "\t", "0": "\0", "a": "\a", "v": "\v"}


def _restored(dump: str) -> str:
    """A parameter travels as a quoted literal; the engine takes what is in it."""
    return re.sub(r"\\(.)", lambda found: _ESCAPED.get(found[1], found[1]), dump[1:-1], flags=re.DOTALL)
