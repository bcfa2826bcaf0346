"""A stream as a control sees it, that remembers what it was told."""

from __future__ import annotations

from collections.abc import Callable

import grpc
from luytre_collector.ingest.control import Peer
from luytre_common.wire.v1 import ingest_pb2 as pb


class FakeStream:
    """`heard_us` can be set; `on_tell` is called with each message."""

    def __init__(self, peer: Peer, hello: pb.Hello | None = None) -> None:
        self.peer = peer
        self.hello = hello or pb.Hello()
        self.heard_us = 0
        self.told: list[pb.CollectorMessage] = []
        self.ended: list[tuple[str, grpc.StatusCode, str]] = []
        self.on_tell: Callable[[pb.CollectorMessage], None] = lambda message: None

    def tell(self, message: pb.CollectorMessage) -> None:
        self.told.append(message)
        self.on_tell(message)

    def end(self, status: grpc.StatusCode, message: str) -> None:
        self.ended.append(("end", status, message))

    def cut(self, status: grpc.StatusCode, message: str) -> None:
        self.ended.append(("cut", status, message))
