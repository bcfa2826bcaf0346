"""Questions from the network to the embedded engine, which has no users and grants of its own.

`check` says what may be asked, `limits` which settings a guest may choose, `session` asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from luytre_collector.store.base import QueryRefusedError

#: Numbers of ClickHouse's errors (src/Common/ErrorCodes.cpp) that are raised here before the engine is asked.
BAD_ARGUMENTS, UNKNOWN_FORMAT, READONLY, ACCESS_DENIED = 36, 73, 164, 497


class AnswerError(QueryRefusedError):
    """No answer, with ClickHouse's number of the error. Not always the guest's mistake."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Question:
    """What a guest asks. `form` is used if the statement names no format; `settings` are as the guest gave them.

    `database` is empty for the tables with local times. The values of `parameters` are escaped as in TabSeparated.
    `organisations`: only rows of these and of those below them are there for the guest; empty for no limit.
    """

    sql: str
    form: str = "TabSeparated"
    database: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    organisations: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What the engine said.

    `form` is the format that it came in, `zone` the zone of its times, `normal` the statement without its literals,
    `ignored` how many of the guest's settings were not obeyed. What was read is not told to who may not see all of it.
    """

    body: bytes
    form: str
    zone: str
    normal: str
    ignored: int
    result_rows: int
    read_rows: int
    read_bytes: int
    elapsed_s: float
