from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from luytre_agent.uplink import Config, probe
from luytre_common import tls
from luytre_common.errors import Unavailable
from luytre_common.wire.v1 import ingest_pb2 as pb


def ask(identity: tls.Config, port: int, timeout_s: float = 10.0) -> pb.Welcome:
    return probe(Config(f"127.0.0.1:{port}"), identity, tls.read(identity, "agent"), pb.Hello(protocol=1), timeout_s)


def test_a_collector_that_takes_us(authority: Any, collector: Any) -> None:
    collector.start(authority.issue("collector"))
    assert ask(authority.issue("web-01"), collector.port).agent_id == "web-01"
    assert collector.batches == []


def test_a_port_where_nobody_listens(authority: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(Unavailable, match="Connection refused") as caught:
            ask(authority.issue("web-01"), taken.getsockname()[1])
    assert caught.value.remedy


@pytest.fixture
def mute() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield listener.getsockname()[1]


def test_a_port_that_says_nothing(authority: Any, mute: int) -> None:
    with pytest.raises(Unavailable, match=r"did not answer within 0\.3 s; look at its log"):
        ask(authority.issue("web-01"), mute, 0.3)
