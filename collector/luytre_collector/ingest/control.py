"""What is decided about an agent besides its batches: may it come in, what does it say of itself, what is it told.

Each concern is a `Control` in a file of its own; `app` hands the server a list of them. All run in the event loop of
the server, so none may block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import grpc
from luytre_common.wire.v1 import ingest_pb2 as pb


class EndedError(Exception):
    """The stream ends with this status and message."""

    def __init__(self, status: grpc.StatusCode, message: str) -> None:
        self.status = status
        self.message = message
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end, by the certificate and the connection; nothing of it comes from a message.

    agent_id: the certificate's common name.
    serial: the certificate's serial number.
    fingerprint: SHA-256 of the certificate (DER), hexadecimal.
    expires_us: end of its validity, microseconds since 1970; begins_us: its beginning.
    address: the other end of the connection, as gRPC writes it: `ipv4:192.0.2.7:41234`.
    """

    agent_id: str
    serial: int
    fingerprint: str
    expires_us: int
    address: str
    begins_us: int = 0


class Stream(Protocol):
    """One live stream, as a control sees it."""

    @property
    def peer(self) -> Peer:
        """Who it is."""

    @property
    def hello(self) -> pb.Hello:
        """What it said first."""

    @property
    def heard_us(self) -> int:
        """When the last message of it came, microseconds since 1970 by the collector's clock."""

    @property
    def waiting(self) -> bool:
        """Whether reading waits for the store to take what was read: meanwhile nothing can be heard."""

    def tell(self, message: pb.CollectorMessage) -> None:
        """Send a message, after the answers that are due before it."""

    def end(self, status: grpc.StatusCode, message: str) -> None:
        """Read no more; end once what was read is answered."""

    def cut(self, status: grpc.StatusCode, message: str) -> None:
        """End now, whatever is under way."""


class Control:
    """One concern. Everything is allowed and nothing is done unless a method says otherwise."""

    async def enter(self, peer: Peer, hello: pb.Hello) -> None:
        """May it come in? EndedError if not."""

    async def renews(self, peer: Peer) -> None:
        """May it have its next certificate? EndedError if not."""

    def entered(self, stream: Stream) -> None:
        """It is in, and was welcomed."""

    def heard(self, stream: Stream, message: pb.AgentMessage) -> None:
        """It said something that is not a batch."""

    def left(self, stream: Stream) -> None:
        """It is gone."""
