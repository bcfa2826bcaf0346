"""Packets of the native protocol, from the server's side of the socket."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import Any

from clickhouse_driver.bufferedreader import BufferedSocketReader
from clickhouse_driver.bufferedwriter import BufferedSocketWriter
from clickhouse_driver.reader import (
    read_binary_int32,
    read_binary_str,
    read_binary_uint8,
    read_binary_uint64,
    read_binary_uint128,
)
from clickhouse_driver.varint import read_varint, write_varint
from clickhouse_driver.writer import write_binary_int32, write_binary_str, write_binary_uint8

from tests.support.bridge.columns import copy, parse

#: What the bridge speaks: as much as the driver does (DBMS_MIN_REVISION_WITH_SYSTEM_KEYWORDS_TABLE).
REVISION = 54468

# What clients send.
CLIENT_HELLO, QUERY, CLIENT_DATA, CANCEL, CLIENT_PING = 0, 1, 2, 3, 4
# What servers send.
HELLO, DATA, EXCEPTION, PROGRESS, PONG, END_OF_STREAM, PROFILE_INFO = 0, 1, 2, 3, 4, 5, 6
TABLE_COLUMNS, PROFILE_EVENTS, TIMEZONE_UPDATE = 11, 14, 17

BUFFER = 1 << 18


class Memory:
    """Bytes in memory where the driver's buffers want a socket."""

    def __init__(self, data: bytes = b"") -> None:
        self._rest = memoryview(data)
        self.written = bytearray()

    def sendall(self, data: Any) -> None:
        self.written += data

    def recv_into(self, buffer: Any) -> int:
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


@dataclass
class Block:
    """Columns by name and type, and their bytes as in a file of the format Native (revision 0)."""

    names: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    rows: int = 0
    native: bytes = b""

    @property
    def header(self) -> Block:
        return Block(self.names, self.types)


def read_block(source: Any, with_flags: bool) -> Block:
    """The next block. `with_flags`: each column says how it is serialised, as on the wire; in files none does."""
    memory = Memory()
    sink = BufferedSocketWriter(memory, BUFFER)
    columns, rows = read_varint(source), read_varint(source)
    block = Block(rows=rows)
    write_varint(columns, sink)
    write_varint(rows, sink)
    for _ in range(columns):
        name, spec = read_binary_str(source), read_binary_str(source)
        block.names.append(name)
        block.types.append(spec)
        write_binary_str(name, sink)
        write_binary_str(spec, sink)
        if with_flags and read_binary_uint8(source):
            raise ValueError(f"column {name} is sparse")
        if rows:
            copy(parse(spec), rows, source, sink)
    sink.flush()
    block.native = bytes(memory.written)
    return block


def write_block(block: Block, sink: Any) -> None:
    """A block as on the wire, behind its block info."""
    source = BufferedSocketReader(Memory(block.native), BUFFER)
    write_varint(len(block.names), sink)
    write_varint(block.rows, sink)
    if block.rows:
        read_varint(source), read_varint(source)
    for name, spec in zip(block.names, block.types, strict=True):
        write_binary_str(name, sink)
        write_binary_str(spec, sink)
        write_binary_uint8(0, sink)
        if block.rows:
            read_binary_str(source), read_binary_str(source)
            copy(parse(spec), block.rows, source, sink)


def split_native(data: bytes) -> list[Block]:
    """The blocks of a file of the format Native."""
    memory = Memory(data)
    source = BufferedSocketReader(memory, max(1, len(data)))
    blocks = []
    while True:
        try:
            blocks.append(read_block(source, with_flags=False))
        except EOFError:
            return blocks


def read_block_info(source: Any) -> None:
    """Whether a block overflowed and its bucket: fields by number, ended by 0."""
    while number := read_varint(source):
        read_binary_uint8(source) if number == 1 else read_binary_int32(source)


def write_block_info(sink: Any) -> None:
    write_varint(1, sink)
    write_binary_uint8(0, sink)
    write_varint(2, sink)
    write_binary_int32(-1, sink)
    write_varint(0, sink)


@dataclass(frozen=True)
class Hello:
    """Who comes, and where to."""

    client: str
    revision: int
    database: str
    user: str
    password: str


def read_hello(source: Any) -> Hello:
    if read_varint(source) != CLIENT_HELLO:
        raise ValueError("not a client of the native protocol")
    client = read_binary_str(source)
    read_varint(source), read_varint(source)
    return Hello(client, read_varint(source), *(read_binary_str(source) for _ in range(3)))


def read_client_info(source: Any) -> None:
    """All of it is for the query log, which is not the bridge's business."""
    if not read_binary_uint8(source):
        return
    for _ in range(3):  # who asked first, under which query id, from where
        read_binary_str(source)
    read_binary_uint64(source)  # since when
    read_binary_uint8(source)  # over TCP
    for _ in range(3):  # user, host and name of the client
        read_binary_str(source)
    for _ in range(3):  # its version
        read_varint(source)
    read_binary_str(source)  # quota key
    read_varint(source), read_varint(source)  # depth, patch
    if read_binary_uint8(source):  # OpenTelemetry
        read_binary_uint128(source), read_binary_uint64(source)
        read_binary_str(source), read_binary_uint8(source)
    for _ in range(3):  # parallel replicas
        read_varint(source)


@dataclass(frozen=True)
class Setting:
    """A setting or a parameter; an important one must be known."""

    value: str
    important: bool


def read_settings(source: Any) -> dict[str, Setting]:
    """Names with flags and values, ended by an empty name."""
    found = {}
    while name := read_binary_str(source):
        flags = read_binary_uint8(source)
        found[name] = Setting(read_binary_str(source), bool(flags & 1))
    return found


def write_exception(code: int, text: str, sink: Any) -> None:
    write_varint(EXCEPTION, sink)
    write_binary_int32(code, sink)
    for part in ("DB::Exception", f"DB::Exception: {text}", "0. no stack: the bridge"):
        write_binary_str(part, sink)
    write_binary_uint8(0, sink)
    sink.flush()


def open_streams(sock: socket.socket) -> tuple[Any, Any]:
    return BufferedSocketReader(sock, BUFFER), BufferedSocketWriter(sock, BUFFER)
