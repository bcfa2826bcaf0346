"""Responses as ClickHouse gives them: status by error, type by format, headers. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus

from luytre_collector.httpd.wire import Response
from luytre_collector.store.guest import Answer

#: Numbers of ClickHouse's errors (src/Common/ErrorCodes.cpp) that are made here.
NOT_IMPLEMENTED, TOO_MANY_QUERIES, REQUIRED_PASSWORD, NOT_AN_HTTP_REQUEST = 48, 202, 194, 1000
AUTHENTICATION_FAILED, UNAVAILABLE = 516, 210

#: Status by number of the error, as `exceptionCodeToHTTPStatus` of ClickHouse has it; every other is 500.
_STATUS: Mapping[int, HTTPStatus] = {
    **dict.fromkeys((REQUIRED_PASSWORD,), HTTPStatus.UNAUTHORIZED),
    **dict.fromkeys((192, 193, AUTHENTICATION_FAILED), HTTPStatus.FORBIDDEN),
    **dict.fromkeys((6, 25, 26, 27, 33, 36, 38, 41, 53, 62, 72, 117, 467), HTTPStatus.BAD_REQUEST),
    **dict.fromkeys((46, 47, 50, 56, 60, 63, 73, 81, 115, 137), HTTPStatus.NOT_FOUND),
    **dict.fromkeys((NOT_IMPLEMENTED,), HTTPStatus.NOT_IMPLEMENTED),
    **dict.fromkeys((159,), HTTPStatus.REQUEST_TIMEOUT),
    **dict.fromkeys((TOO_MANY_QUERIES, UNAVAILABLE), HTTPStatus.SERVICE_UNAVAILABLE),
}

_TEXT = "text/plain; charset=UTF-8"
_TYPES = (
    ("TabSeparated", "text/tab-separated-values; charset=UTF-8"),
    ("TSV", "text/tab-separated-values; charset=UTF-8"),
    ("CSVWithNames", "text/csv; charset=UTF-8; header=present"),
    ("CSV", "text/csv; charset=UTF-8; header=absent"),
    ("JSONEachRow", "application/x-ndjson; charset=UTF-8"),
    ("JSONCompactEachRow", "application/x-ndjson; charset=UTF-8"),
    ("JSON", "application/json; charset=UTF-8"),
    ("XML", "application/xml; charset=UTF-8"),
    ("Native", "application/octet-stream"),
    ("RowBinary", "application/octet-stream"),
    ("Parquet", "application/octet-stream"),
    ("Arrow", "application/octet-stream"),
    ("ORC", "application/octet-stream"),
    ("Avro", "application/octet-stream"),
    ("Npy", "application/octet-stream"),
    ("MsgPack", "application/octet-stream"),
    ("BSON", "application/octet-stream"),
)


def type_of(form: str) -> str:
    """The Content-Type of an answer in this format; names of formats are alike whatever the letters' size."""
    return next((kind for start, kind in _TYPES if form.lower().startswith(start.lower())), _TEXT)


def error(code: int, message: str, version: str) -> Response:
    """An error in the words and numbers of ClickHouse, by which clients tell them apart."""
    status = _STATUS.get(code, HTTPStatus.INTERNAL_SERVER_ERROR)
    headers = {"Content-Type": _TEXT, "X-ClickHouse-Exception-Code": str(code)}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Basic realm="ClickHouse server HTTP API"'
    return Response(status, f"Code: {code}. DB::Exception: {message} (version {version})\n".encode(), headers)


def plain(text: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """A short text."""
    return Response(status, text.encode(), {"Content-Type": _TEXT})


def answered(answer: Answer, body: bytes) -> Response:
    """An answer; `body` is its body or that body compressed."""
    summary = {
        "read_rows": answer.read_rows,
        "read_bytes": answer.read_bytes,
        "written_rows": 0,
        "written_bytes": 0,
        "total_rows_to_read": 0,
        "result_rows": answer.result_rows,
        "result_bytes": len(answer.body),
        "elapsed_ns": round(answer.elapsed_s * 1e9),
    }
    headers = {
        "Content-Type": type_of(answer.form),
        "X-ClickHouse-Format": answer.form,
        "X-ClickHouse-Timezone": answer.zone,
        "X-ClickHouse-Summary": json.dumps({key: str(value) for key, value in summary.items()}, separators=(",", ":")),
    }
    return Response(HTTPStatus.OK, body, headers)
