"""What ClickHouse says went wrong, as one of our errors in one line."""

from __future__ import annotations

import re
from collections.abc import Mapping

from luytre_collector.store.base import QueryRefusedError, StoreError, StoreUnavailableError

#: Errors of ClickHouse (src/Common/ErrorCodes.cpp), by code, after which the same statement may succeed later.
UNAVAILABLE: Mapping[int, str] = {
    32: "ATTEMPT_TO_READ_AFTER_EOF",
    74: "CANNOT_READ_FROM_FILE_DESCRIPTOR",
    75: "CANNOT_WRITE_TO_FILE_DESCRIPTOR",
    76: "CANNOT_OPEN_FILE",
    95: "CANNOT_READ_FROM_SOCKET",
    96: "CANNOT_WRITE_TO_SOCKET",
    159: "TIMEOUT_EXCEEDED",
    164: "READONLY",
    172: "CANNOT_CREATE_DIRECTORY",
    173: "CANNOT_ALLOCATE_MEMORY",
    192: "UNKNOWN_USER",
    193: "WRONG_PASSWORD",
    194: "REQUIRED_PASSWORD",
    198: "DNS_ERROR",
    201: "QUOTA_EXCEEDED",
    202: "TOO_MANY_SIMULTANEOUS_QUERIES",
    203: "NO_FREE_CONNECTION",
    204: "CANNOT_FSYNC",
    209: "SOCKET_TIMEOUT",
    210: "NETWORK_ERROR",
    225: "NO_ZOOKEEPER",
    236: "ABORTED",
    241: "MEMORY_LIMIT_EXCEEDED",
    242: "TABLE_IS_READ_ONLY",
    243: "NOT_ENOUGH_SPACE",
    244: "UNEXPECTED_ZOOKEEPER_ERROR",
    252: "TOO_MANY_PARTS",
    254: "NO_ACTIVE_REPLICAS",
    265: "NO_AVAILABLE_REPLICA",
    279: "ALL_CONNECTION_TRIES_FAILED",
    285: "TOO_FEW_LIVE_REPLICAS",
    286: "UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE",
    289: "REPLICA_IS_NOT_IN_QUORUM",
    297: "SHARD_HAS_NO_CONNECTIONS",
    319: "UNKNOWN_STATUS_OF_INSERT",
    364: "RECEIVED_ERROR_TOO_MANY_REQUESTS",
    369: "ALL_REPLICAS_ARE_STALE",
    394: "QUERY_WAS_CANCELLED",
    415: "ALL_REPLICAS_LOST",
    416: "REPLICA_STATUS_CHANGED",
    425: "SYSTEM_ERROR",
    439: "CANNOT_SCHEDULE_TASK",
    497: "ACCESS_DENIED",
    499: "S3_ERROR",
    516: "AUTHENTICATION_FAILED",
    574: "DISTRIBUTED_TOO_MANY_PENDING_BYTES",
    586: "CANNOT_CREATE_FILE",
    667: "NOT_INITIALIZED",
    700: "USER_SESSION_LIMIT_EXCEEDED",
    720: "USER_EXPIRED",
    745: "SERVER_OVERLOADED",
    749: "TCP_CONNECTION_LIMIT_REACHED",
    999: "KEEPER_EXCEPTION",
}

#: Errors about tables that an operator can repair while rows wait. In a query they are the query's own mistake.
_REPAIRABLE: Mapping[int, str] = {
    16: "NO_SUCH_COLUMN_IN_TABLE",
    60: "UNKNOWN_TABLE",
    81: "UNKNOWN_DATABASE",
}

#: Codes that the driver gives to what happened to its own connection.
NETWORK = frozenset({209, 210})

_CODE = re.compile(r"Code: (\d+)\.\s*")
_NOISE = re.compile(r"Code: \d+\.\s*|DB::(?:NetException|Exception|ErrnoException): |\(version [0-9.]+[^)]*\)\.?\s*")
_EXPECTED = re.compile(r"Expected one of: (.{0,80}).*?(\([A-Z_]+\))?\.?$")
_COLUMNS = re.compile(r"(\b(?:INSERT|SELECT)\(\w+, \w+), [^()]*\)")  # of a grant, before the table's name
_LONGEST = 600


def code_of(text: str) -> int:
    """The number of the first error in ClickHouse's message; 0 if it has none."""
    match = _CODE.search(text)
    return int(match.group(1)) if match else 0


def one_line(text: str) -> str:
    """ClickHouse's message without its wrapping, its stack trace and the long list of tokens it would have taken."""
    text = text.split("Stack trace:", 1)[0]
    text = " ".join(_NOISE.sub("", text).split())
    text = _COLUMNS.sub(r"\1, ...)", _EXPECTED.sub(_shorten, text))
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def _shorten(found: re.Match[str]) -> str:
    return f"Expected one of: {found[1].rpartition(',')[0] or found[1]}... {found[2] or ''}".rstrip()


def name_of(code: int) -> str:
    """ClickHouse's name of an error that may pass, in small letters; `error_CODE` for any other."""
    return (UNAVAILABLE.get(code) or _REPAIRABLE.get(code) or f"error_{code}").lower()


def store_error(text: str, what: str = "", code: int | None = None) -> StoreError:
    """The exception for ClickHouse's message; `what` says what was being done."""
    return _error(text, what, code, UNAVAILABLE)


def insert_error(text: str, table: str, code: int | None = None) -> StoreError:
    """The exception for ClickHouse's message about an insert: rows wait while an operator can help."""
    return _error(text, table, code, {**UNAVAILABLE, **_REPAIRABLE})


def _error(text: str, what: str, code: int | None, passing: Mapping[int, str]) -> StoreError:
    number = code_of(text) if code is None else code
    line = one_line(text)
    message = f"{what}: {line}" if what else line
    return StoreUnavailableError(message, name_of(number)) if number in passing else StoreError(message)


#: Codes that, in a person's query, mean that the query asks for too much.
_TOO_MUCH = frozenset({159, 164, 201, 241, 497})  # TIMEOUT_EXCEEDED, READONLY, QUOTA_EXCEEDED, MEMORY..., ACCESS_DENIED


def query_error(text: str, code: int | None = None) -> StoreError:
    """The exception for ClickHouse's message about a person's query: their mistake, unless the store is not well."""
    number = code_of(text) if code is None else code
    if number in UNAVAILABLE.keys() - _TOO_MUCH:
        return StoreUnavailableError(one_line(text), name_of(number))
    return QueryRefusedError(one_line(text))
