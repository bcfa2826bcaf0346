"""HTTP/1.1 (RFC 9112): requests from a stream, bounded in every way, and responses as bytes.

What two programs could read differently is refused, not guessed: two lengths, a length beside chunks, line folding.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

#: Largest request line with headers, largest body as sent and after decompression, bytes; most headers.
MAX_HEAD, MAX_BODY, MAX_HEADERS = 64 << 10, 1 << 20, 100

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LINE = re.compile(rb"([A-Z]{1,16}) ([!-~]+) HTTP/1\.([01])")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(;[^\r\n]*)?\r\n")
_SIZE = re.compile(r"[0-9]{1,10}")
#: Headers that may come once only.
_SINGLE = frozenset({"authorization", "content-encoding", "content-length", "host", "transfer-encoding"})


class RequestError(Exception):
    """The bytes are no request that is served; after the response the connection is closed."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Request:
    """A request with its whole body, decompressed. Names of headers are in small letters."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""
    keep_alive: bool = True


@dataclass(frozen=True)
class Response:
    """A response with its whole body."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes) -> Request:
    """The request that begins with `first`, which the caller has read. RequestError for what is no request.

    The caller bounds the time, and gave the reader the limit `MAX_HEAD`.
    """
    try:
        head = first + await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise RequestError(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"more than {MAX_HEAD} bytes before the body"
        ) from None
    except asyncio.IncompleteReadError:
        raise RequestError(HTTPStatus.BAD_REQUEST, "the request ends in its head") from None
    method, target, minor, headers = _parse(head)
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = _decompressed(await _body(reader, headers), headers.get("content-encoding", "identity"))
    stays = headers.get("connection", "").lower()
    return Request(method, target, headers, body, stays == "keep-alive" if minor == 0 else stays != "close")


def _parse(head: bytes) -> tuple[str, str, int, dict[str, str]]:
    line, *rest = head[:-4].split(b"\r\n")
    found = _LINE.fullmatch(line)
    if not found:
        raise RequestError(HTTPStatus.BAD_REQUEST, "not a request line of HTTP/1.1")
    if len(rest) > MAX_HEADERS:
        raise RequestError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"more than {MAX_HEADERS} headers")
    headers: dict[str, str] = {}
    for one in rest:
        raw_name, colon, raw_value = one.decode("latin-1").partition(":")
        name, value = raw_name.lower(), raw_value.strip(" \t")
        if not colon or not _TOKEN.fullmatch(name) or any(char < " " and char != "\t" for char in value):
            raise RequestError(HTTPStatus.BAD_REQUEST, "a header is not NAME: VALUE")
        if name in headers and name in _SINGLE:
            raise RequestError(HTTPStatus.BAD_REQUEST, f"{name} is given twice")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if found[3] == b"1" and "host" not in headers:
        raise RequestError(HTTPStatus.BAD_REQUEST, "a request of HTTP/1.1 names its Host")
    return found[1].decode(), found[2].decode(), int(found[3]), headers


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    coding, length = headers.get("transfer-encoding"), headers.get("content-length")
    try:
        if coding is not None:
            if length is not None or coding.lower() != "chunked":
                raise RequestError(HTTPStatus.BAD_REQUEST, "Transfer-Encoding is chunked, alone, or not there")
            return await _chunks(reader)
        if length is None:
            return b""
        if not _SIZE.fullmatch(length):
            raise RequestError(HTTPStatus.BAD_REQUEST, "Content-Length is not a number of bytes")
        if int(length) > MAX_BODY:
            raise _too_large()
        return await reader.readexactly(int(length))
    except asyncio.IncompleteReadError:
        raise RequestError(HTTPStatus.BAD_REQUEST, "the request ends in its body") from None
    except asyncio.LimitOverrunError:
        raise RequestError(HTTPStatus.BAD_REQUEST, "a line between chunks is too long") from None


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while True:
        found = _CHUNK.fullmatch(await reader.readuntil(b"\r\n"))
        if not found:
            raise RequestError(HTTPStatus.BAD_REQUEST, "not the size of a chunk")
        size = int(found[1], 16)
        if len(body) + size > MAX_BODY:
            raise _too_large()
        body += await reader.readexactly(size)
        if size == 0:
            break
        if await reader.readexactly(2) != b"\r\n":
            raise RequestError(HTTPStatus.BAD_REQUEST, "a chunk is longer than it says")
    for _ in range(MAX_HEADERS):  # trailers, which nobody here asks for
        if await reader.readuntil(b"\r\n") == b"\r\n":
            return bytes(body)
    raise RequestError(HTTPStatus.BAD_REQUEST, f"more than {MAX_HEADERS} trailers")


def _decompressed(body: bytes, coding: str) -> bytes:
    if coding.lower() in ("", "identity") or not body:
        return body
    windows = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
    if coding.lower() not in windows:
        raise RequestError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "a body may come as it is, in gzip or in deflate")
    stream = zlib.decompressobj(windows[coding.lower()])
    try:
        plain = stream.decompress(body, MAX_BODY)
    except zlib.error:
        raise RequestError(HTTPStatus.BAD_REQUEST, f"the body is not {coding.lower()}") from None
    if stream.unconsumed_tail:
        raise _too_large()
    if not stream.eof or stream.unused_data:
        raise RequestError(HTTPStatus.BAD_REQUEST, f"the body is not one whole stream of {coding.lower()}")
    return plain


def _too_large() -> RequestError:
    return RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {MAX_BODY} bytes")


def head_of(response: Response, keep_alive: bool) -> bytes:
    """Everything before the body."""
    try:
        phrase = HTTPStatus(response.status).phrase
    except ValueError:
        phrase = ""
    fields = {
        "Connection": "Keep-Alive" if keep_alive else "Close",
        "X-Content-Type-Options": "nosniff",  # what hosts sent is never a page, whatever a browser thinks of it
        "Cache-Control": "no-store",
        "Content-Length": str(len(response.body)),
        **response.headers,
    }
    lines = [f"HTTP/1.1 {response.status} {phrase}", *(f"{name}: {_safe(value)}" for name, value in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def _safe(value: str) -> str:
    return "".join(one if one >= " " and one != "\x7f" else " " for one in value)
