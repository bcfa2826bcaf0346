"""Which question a request asks, and in whose name. Pure.

As ClickHouse has it: the statement is `query` of the URL, a line end, and the body; `param_NAME` are its parameters,
what is none of ClickHouse's own names is a setting; headers win over the URL.
"""

from __future__ import annotations

import base64
import binascii
import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass

from luytre_collector.httpd.replies import AUTHENTICATION_FAILED, NOT_IMPLEMENTED
from luytre_collector.httpd.wire import Request
from luytre_collector.store.guest import BAD_ARGUMENTS, AnswerError, Question

#: What a URL may say that is about transport or sessions, and means nothing here.
_MEANINGLESS = frozenset(
    {
        *(
            "add_http_cors_header",
            "buffer_size",
            "cancel_http_readonly_queries_on_client_close",
            "client_protocol_version",
        ),
        *("close_session", "http_headers_progress_interval_ms", "http_write_exception_in_output_format", "quota_key"),
        *("send_progress_in_http_headers", "session_check", "session_id", "session_timeout", "stacktrace"),
        *("wait_end_of_query",),
    }
)
_MOST = 300
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_REVISION = re.compile(r"[0-9]{1,6}")
_QUERY_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")


@dataclass(frozen=True)
class Login:
    """Who says to ask. An empty name means that nobody was named."""

    user: str = ""
    password: str = ""


@dataclass(frozen=True)
class Asked:
    """A question with what is around it."""

    login: Login
    question: Question
    query_id: str
    compressed: bool  # whether the client takes an answer in gzip
    revision: int  # of the native protocol that it reads blocks of Native by; 0 if none
    framed: bool  # whether it wants ClickHouse's own compressed blocks


def split(target: str) -> tuple[str, dict[str, str]]:
    """Path and parameters of a request's target; the last of one name counts. AnswerError for what is neither."""
    path, _, query = target.partition("?")
    try:
        pairs = urllib.parse.parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST, errors="strict")
    except (ValueError, UnicodeDecodeError):
        raise AnswerError("the URL has too many parameters or is not UTF-8. (BAD_ARGUMENTS)", BAD_ARGUMENTS) from None
    return path, dict(pairs)


def asked(request: Request, parameters: Mapping[str, str]) -> Asked:
    """What is asked. AnswerError for what cannot be read or is not served."""
    left = dict(parameters)
    login = _login(request.headers, left)
    sql = _statement(request, left.pop("query", ""))
    form = request.headers.get("x-clickhouse-format") or left.pop("default_format", "") or "TabSeparated"
    database = request.headers.get("x-clickhouse-database") or left.pop("database", "")
    allowed = left.pop("enable_http_compression", "0") in ("1", "true")
    compressed = allowed and _accepts_gzip(request.headers.get("accept-encoding", ""))
    revision = left.pop("client_protocol_version", "0")
    framed = left.pop("compress", "0") in ("1", "true")
    if left.pop("decompress", "0") in ("1", "true"):
        raise AnswerError(
            "decompress=1 is not served; send the statement as it is, or in gzip. (NOT_IMPLEMENTED)", NOT_IMPLEMENTED
        )
    query_id = left.pop("query_id", "") or request.headers.get("x-clickhouse-query-id", "")
    for name in ("default_format", "database"):
        left.pop(name, None)
    given: dict[str, str] = {}
    settings: dict[str, str] = {}
    for name, value in left.items():
        if not _NAME.fullmatch(name):
            raise AnswerError("a name in the URL is not that of a setting. (BAD_ARGUMENTS)", BAD_ARGUMENTS)
        if name.startswith("param_"):
            given[name.removeprefix("param_")] = value
        elif name not in _MEANINGLESS:
            settings[name] = value
    question = Question(sql, form, database, settings, given)
    return Asked(
        login,
        question,
        query_id if _QUERY_ID.fullmatch(query_id) else "",
        compressed,
        int(revision) if _REVISION.fullmatch(revision) else 0,
        framed,
    )


def _statement(request: Request, query: str) -> str:
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        raise AnswerError("multipart bodies are not served. (NOT_IMPLEMENTED)", NOT_IMPLEMENTED)
    try:
        body = request.body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise AnswerError(f"the statement is not UTF-8 at byte {error.start}. (BAD_ARGUMENTS)", BAD_ARGUMENTS) from None
    return f"{query}\n{body}" if query and body else query or body


def _accepts_gzip(value: str) -> bool:
    """Whether an Accept-Encoding names gzip, and not with the weight of 0."""
    for one in value.lower().split(","):
        coding, _, weight = one.partition(";")
        if coding.strip() in ("gzip", "x-gzip"):
            return not re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", weight)
    return False


def _login(headers: Mapping[str, str], left: dict[str, str]) -> Login:
    """Takes the name and password out of `left`."""
    in_url = Login(left.pop("user", ""), left.pop("password", ""))
    in_headers = Login(headers.get("x-clickhouse-user", ""), headers.get("x-clickhouse-key", ""))
    basic = _basic(headers["authorization"]) if "authorization" in headers else Login()
    found = [one for one in (in_headers, basic, in_url) if one != Login()]
    if len(set(found)) > 1:
        raise AnswerError(
            "Invalid authentication: give name and password in one way only. (AUTHENTICATION_FAILED)",
            AUTHENTICATION_FAILED,
        )
    return found[0] if found else Login()


def _basic(value: str) -> Login:
    scheme, _, encoded = value.partition(" ")
    try:
        if scheme.lower() != "basic":
            raise ValueError
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).decode("utf-8").partition(":")
        if not colon:
            raise ValueError
    except (ValueError, binascii.Error):
        raise AnswerError(
            "Invalid authentication: Authorization is not Basic with NAME:PASSWORD in base64. (AUTHENTICATION_FAILED)",
            AUTHENTICATION_FAILED,
        ) from None
    return Login(user, password)
