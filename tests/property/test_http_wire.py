"""Whatever comes in over HTTP, in whatever pieces: a request, or one refusal; never more than may be kept."""

from __future__ import annotations

import asyncio
from unittest.mock import create_autospec

from hypothesis import given, settings
from hypothesis import strategies as st
from luytre_collector.httpd import wire

LINES = st.sampled_from(
    [
        b"GET / HTTP/1.1", b"POST /?query=1 HTTP/1.1", b"GET / HTTP/1.0", b"Host: x", b"Content-Length: 3", b"3",
        b"\r\n",
        b"Content-Length: 99999999999", b"Transfer-Encoding: chunked", b"Content-Encoding: gzip", b"abc", b"0", b"",
        b"Connection: close", b"Expect: 100-continue", b"fffffff",
    ]
)  # fmt: skip
REQUESTS = st.lists(st.one_of(LINES, st.binary(max_size=20)), max_size=12).map(b"\r\n".join)


async def read(data: bytes) -> wire.Request | wire.RequestError | None:
    reader = asyncio.StreamReader(limit=wire.MAX_HEAD)
    reader.feed_data(data)
    reader.feed_eof()
    first = await reader.read(1)
    if not first:
        return None
    try:
        return await wire.read(reader, create_autospec(asyncio.StreamWriter, instance=True), first)
    except wire.RequestError as error:
        return error


@settings(deadline=None, max_examples=300)
@given(REQUESTS)
def test_any_bytes(data: bytes) -> None:
    found = asyncio.run(read(data))
    if isinstance(found, wire.Request):
        assert data.startswith(found.method.encode() + b" " + found.target.encode())
        assert found.body in data or "content-encoding" in found.headers or "transfer-encoding" in found.headers


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=2000), st.lists(st.integers(1, 300), min_size=1, max_size=30))
def test_chunks_are_what_they_were(body: bytes, sizes: list[int]) -> None:
    pieces, left, at = [], body, 0
    while left:
        size = sizes[at % len(sizes)]
        pieces.append(b"%x\r\n%s\r\n" % (len(left[:size]), left[:size]))
        left, at = left[size:], at + 1
    data = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(pieces) + b"0\r\n\r\n"
    found = asyncio.run(read(data))
    assert isinstance(found, wire.Request)
    assert found.body == body
