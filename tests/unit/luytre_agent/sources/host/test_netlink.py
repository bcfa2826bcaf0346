from __future__ import annotations

import errno
import socket
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from luytre_agent.sources.host.netlink import (
    NETLINK_ROUTE,
    Dumper,
    Subscription,
    attributes,
    each_attribute,
    in_namespace,
    messages,
    number,
    string,
)


def message(kind: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 1, 0) + body


def test_messages_end_at_the_first_length_that_cannot_be() -> None:
    good = message(16, b"body")
    assert [one.body for one in messages(good + good)] == [b"body", b"body"]
    assert [one.body for one in messages(good + struct.pack("=I", 3) + bytes(12))] == [b"body"]
    assert [one.body for one in messages(good + good[:-1])] == [b"body"]


def test_attributes_are_aligned_and_without_their_flags() -> None:
    data = struct.pack("=HH", 7, 3) + b"lo\0\0" + struct.pack("=HHI", 8, 0x8000 | 4, 1500)
    assert attributes(data) == {3: b"lo\0", 4: struct.pack("=I", 1500)}
    assert string(attributes(data)[3]) == "lo"
    assert number(attributes(data)[4]) == 1500
    assert number(b"\x00\x01", "big") == 1
    assert number(None) == 0


@given(st.binary(max_size=200))
def test_any_bytes_are_taken_apart(data: bytes) -> None:
    assert sum(4 + len(value) for _, value in each_attribute(data)) <= len(data) + 3
    assert sum(16 + len(one.body) for one in messages(data)) <= len(data) + 3


def test_a_dump_has_the_loopback_interface() -> None:
    dumper = Dumper(NETLINK_ROUTE)
    try:
        names = [string(attributes(one.body, 16).get(3)) for one in dumper.dump(18, bytes(16))]
        assert "lo" in names
        with pytest.raises(OSError, match="not supported") as caught:
            dumper.dump(9999, bytes(16))
        assert caught.value.errno == errno.EOPNOTSUPP
        assert dumper.dump(18, bytes(16)), "a refusal does not spoil what comes next"
    finally:
        dumper.close()


@pytest.mark.root
def test_only_the_kernel_is_believed() -> None:
    subscription = Subscription(NETLINK_ROUTE, (1,), 65536)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE) as stranger:
        stranger.bind((0, 0))
        stranger.sendto(message(16, bytes(16)), (subscription.port, 0))
    assert subscription.receive() == []
    assert subscription.foreign == 1
    assert subscription.receive() is None
    subscription.close()


def test_a_namespace_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        in_namespace("none-such", lambda: 1)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="Invalid argument"):
        in_namespace(str(tmp_path / "file"), lambda: 1)
    assert in_namespace("", lambda: 1) == 1
