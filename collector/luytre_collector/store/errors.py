"""What ClickHouse says went wrong, as one of our errors in one line."""

from __future__ import annotations

import re

from luytre_collector.store.base import QueryRefusedError, StoreError, StoreUnavailableError

#: ClickHouse error codes (src/Common/ErrorCodes.cpp) after which the same statement may succeed later.
UNAVAILABLE = frozenset(
    {
        32,  # ATTEMPT_TO_READ_AFTER_EOF
        74,  # CANNOT_READ_FROM_FILE_DESCRIPTOR
        75,  # CANNOT_WRITE_TO_FILE_DESCRIPTOR
        76,  # CANNOT_OPEN_FILE
        88,  # CANNOT_FSYNC
        159,  # TIMEOUT_EXCEEDED
        164,  # READONLY: a replica that lost its keeper, a user without the right
        202,  # TOO_MANY_SIMULTANEOUS_QUERIES
        209,  # SOCKET_TIMEOUT
        210,  # NETWORK_ERROR
        225,  # NO_ZOOKEEPER
        236,  # ABORTED
        241,  # MEMORY_LIMIT_EXCEEDED
        242,  # TABLE_IS_READ_ONLY
        243,  # NOT_ENOUGH_SPACE
        252,  # TOO_MANY_PARTS
        279,  # ALL_CONNECTION_TRIES_FAILED
        285,  # TOO_FEW_LIVE_REPLICAS
        286,  # UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE
        319,  # UNKNOWN_STATUS_OF_INSERT
        394,  # QUERY_WAS_CANCELLED
        425,  # SYSTEM_ERROR
        439,  # CANNOT_SCHEDULE_TASK
        516,  # AUTHENTICATION_FAILED: an operator can repair it while batches wait
        999,  # KEEPER_EXCEPTION
    }
)

_CODE = re.compile(r"Code: (\d+)\.\s*")
_NOISE = re.compile(r"Code: \d+\.\s*|DB::(?:NetException|Exception|ErrnoException): |\(version [0-9.]+[^)]*\)\.?\s*")
_EXPECTED = re.compile(r"Expected one of: (.{0,80}).*?(\([A-Z_]+\))?\.?$")
_LONGEST = 600


def code_of(text: str) -> int:
    """The number of the first error in ClickHouse's message; 0 if it has none."""
    match = _CODE.search(text)
    return int(match.group(1)) if match else 0


def one_line(text: str) -> str:
    """ClickHouse's message without its wrapping, its stack trace and the long list of tokens it would have taken."""
    text = text.split("Stack trace:", 1)[0]
    text = " ".join(_NOISE.sub("", text).split())
    text = _EXPECTED.sub(_shorten, text)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def _shorten(found: re.Match[str]) -> str:
    return f"Expected one of: {found[1].rpartition(',')[0] or found[1]}... {found[2] or ''}".rstrip()


def store_error(text: str, what: str = "", code: int | None = None) -> StoreError:
    """The exception for ClickHouse's message; `what` says what was being done."""
    number = code_of(text) if code is None else code
    line = one_line(text)
    message = f"{what}: {line}" if what else line
    return StoreUnavailableError(message) if number in UNAVAILABLE else StoreError(message)


#: Codes that, in a person's query, mean that the query asks for too much.
_TOO_MUCH = frozenset({159, 164, 241})  # TIMEOUT_EXCEEDED, READONLY, MEMORY_LIMIT_EXCEEDED


def query_error(text: str, code: int | None = None) -> StoreError:
    """The exception for ClickHouse's message about a person's query: their mistake, unless the store is not well."""
    number = code_of(text) if code is None else code
    if number in UNAVAILABLE - _TOO_MUCH:
        return StoreUnavailableError(one_line(text))
    return QueryRefusedError(one_line(text))
