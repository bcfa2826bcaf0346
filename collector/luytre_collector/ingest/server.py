"""The gRPC server: who may come in, one stream per agent, and what each stream is told.

The identity is the client certificate's, checked by TLS against our authority; nothing in a message changes it. A
second stream of the same agent ends the first: an agent that lost its connection must not wait for the timeout of the
old one. That both have batches under way is harmless, because one worker judges and inserts all that one agent sends.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError
from luytre_common import tls
from luytre_common.errors import UserError
from luytre_common.settings import at_least, at_most, host_port, required, setting
from luytre_common.telemetry import Counters, RateLimited
from luytre_common.wire.v1 import ingest_pb2 as pb
from luytre_common.wire.v1 import service

from luytre_collector.ingest import identity
from luytre_collector.ingest.admit import Refused, Sender
from luytre_collector.ingest.budget import Budget
from luytre_collector.ingest.control import Control, EndedError, Peer
from luytre_collector.ingest.finding import clean
from luytre_collector.ingest.quarantine import Quarantine
from luytre_collector.ingest.session import Session, Submit

PROTOCOL = 1
#: How messages of a stream after Welcome are counted.
_SENT = {"ack": "acks_sent", "refusal": "refusals_sent", "policy": "policies_sent", "ping": "pings_sent"}
#: Signs the next certificate of an agent; EndedError if it may have none.
Renew = Callable[[Peer, pb.RenewRequest], Awaitable[pb.Certificate]]
#: Lines of one kind about one agent, or about those who are turned away, come at most this often.
_QUIET_S = 10.0
_log = logging.getLogger("luytre.ingest")


@dataclass(frozen=True)
class Config:
    """The gRPC server that agents deliver to."""

    tls: tls.Config = required("certificates")
    listen: str = setting("0.0.0.0:7071", "where to listen, HOST:PORT; port 0 takes a free one", host_port)
    max_streams: int = setting(2000, "agents at a time", at_least(1))
    credit: int = setting(16, "batches that one agent may have under way", at_least(1), at_most(1024))
    max_waiting_bytes: int = setting(
        256 << 20, "bytes of batches, of all agents, that may wait for the store", at_least(1 << 20)
    )
    hello_timeout_s: float = setting(10.0, "how long a new stream may stay silent, seconds", at_least(0.1))
    revoked: Path | None = setting(
        None, "file with the certificates that are good no more; revoked.jsonl beside tls.authority if not set"
    )

    @property
    def revocations(self) -> Path:
        """The file, given or not."""
        return self.revoked or self.tls.authority.with_name("revoked.jsonl")


class IngestServer:
    """Serves `luytre.wire.v1.Ingest`. Constructed inside the event loop that it runs in."""

    def __init__(
        self,
        config: Config,
        identity: tls.Identity,
        collector_id: str,
        submit: Submit,
        quarantine: Quarantine,
        counters: Counters,
        clock: Callable[[], float],
        controls: Sequence[Control] = (),
        renew: Renew | None = None,
    ) -> None:
        self._controls = controls
        self._sign = renew
        self._config = config
        self._identity = identity
        self._collector_id = collector_id
        self._submit = submit
        self._quarantine = quarantine
        self._counters = counters
        self._clock = clock
        self._budget = Budget(config.max_waiting_bytes)
        self._quiet = RateLimited(clock, _QUIET_S)
        self._numbers = itertools.count(1)
        self._sessions: dict[str, Session] = {}
        self._streams: set[Session] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopping = False
        self._server: grpc.aio.Server | None = None

    async def start(self) -> str:
        """Listen; the address, with the port that the system gave. UserError if it cannot be had."""
        credentials = tls.server_credentials(self._identity)
        probe(self._config.listen)
        options: list[tuple[str, Any]] = [
            *service.OPTIONS,
            ("grpc.so_reuseport", 0),  # two collectors must not share a port without knowing
            ("grpc.max_concurrent_streams", 8),
            ("grpc.server_handshake_timeout_ms", 20_000),  # who has no certificate holds a descriptor no longer
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
        ]
        server = grpc.aio.server(options=options)
        server.add_generic_rpc_handlers((service.handler(self._deliver, self._renew),))
        try:
            port = server.add_secure_port(self._config.listen, credentials)
        except RuntimeError:
            port = 0
        if not port:
            raise UserError(f"{self._config.listen}: cannot listen there; choose another ingest.listen")
        await server.start()
        self._server = server
        return f"{self._config.listen.rpartition(':')[0]}:{port}"

    async def drain(self, timeout_s: float) -> bool:
        """Accept nothing more and answer what was accepted; whether that was done in time."""
        self._stopping = True
        for session in list(self._streams):
            session.end(grpc.StatusCode.UNAVAILABLE, "the collector is stopping")
        try:
            await asyncio.wait_for(self._idle.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    async def stop(self, grace_s: float = 1.0) -> None:
        """Close the port and whatever stream is left."""
        if self._server:
            await self._server.stop(grace_s)

    async def _deliver(
        self,
        requests: AsyncIterator[pb.AgentMessage],
        context: grpc.aio.ServicerContext[pb.AgentMessage, pb.CollectorMessage],
    ) -> AsyncIterator[pb.CollectorMessage]:
        try:
            peer = self._identify(context)
            agent_id = peer.agent_id
            hello = await self._hello(requests)
            self._make_sure_of_room(agent_id)
            for control in self._controls:
                await control.enter(peer, hello)
            self._make_sure_of_room(agent_id)  # they may have taken their time
            if hello.probe:
                self._counters.add("probes")
                yield pb.CollectorMessage(welcome=self._welcome(agent_id))
                return
            session = self._enter(peer, hello)
        except EndedError as error:
            self._say(logging.WARNING, f"turned away {error.status.name}", f"{context.peer()}: {error.message}")
            await self._abort(context, error)
        self._say(
            logging.INFO,
            f"connected {agent_id}",
            f"{agent_id} connected: {session.sender.host_name}, agent {clean(hello.agent_version)}",
        )
        try:
            yield pb.CollectorMessage(welcome=self._welcome(agent_id))
            for control in self._controls:
                control.entered(session)
            async for message in session.answers(requests):
                self._counters.add(_SENT[message.WhichOneof("kind") or ""])
                yield message
        except EndedError as error:
            self._say(logging.INFO, f"ended {agent_id}", f"{agent_id}: stream ended: {error.message}")
            await self._abort(context, error)
        finally:
            self._leave(session)

    async def _renew(
        self, request: pb.RenewRequest, context: grpc.aio.ServicerContext[pb.RenewRequest, pb.Certificate]
    ) -> pb.Certificate:
        try:
            peer = self._identify(context)
            if self._sign is None:
                self._counters.add("renewals_refused", label="not_here")
                message = "this collector does not sign certificates; ask for one where the authority is"
                raise EndedError(grpc.StatusCode.FAILED_PRECONDITION, message)
            for control in self._controls:
                await control.renews(peer)
            return await self._sign(peer, request)
        except EndedError as error:
            self._say(logging.WARNING, f"not renewed {error.status.name}", f"{context.peer()}: {error.message}")
            await self._abort(context, error)

    def _identify(self, context: grpc.aio.ServicerContext[Any, Any]) -> Peer:
        try:
            return identity.peer(context.auth_context(), context.peer())
        except identity.NoIdentityError as error:
            self._counters.add("turned_away", label="no_certificate")
            raise EndedError(grpc.StatusCode.UNAUTHENTICATED, str(error)) from None
        except identity.BadIdentityError as error:
            self._counters.add("turned_away", label="bad_certificate")
            raise EndedError(grpc.StatusCode.PERMISSION_DENIED, str(error)) from None

    async def _hello(self, requests: AsyncIterator[pb.AgentMessage]) -> pb.Hello:
        try:
            first = await asyncio.wait_for(anext(requests), self._config.hello_timeout_s)
        except (TimeoutError, StopAsyncIteration, DecodeError):
            first = pb.AgentMessage()
        if first.WhichOneof("kind") != "hello":
            self._counters.add("turned_away", label="no_hello")
            raise EndedError(grpc.StatusCode.INVALID_ARGUMENT, "the first message must be Hello")
        if first.hello.protocol != PROTOCOL:
            self._counters.add("turned_away", label="protocol")
            message = f"protocol {first.hello.protocol} is not spoken here, only {PROTOCOL}; update agent or collector"
            raise EndedError(grpc.StatusCode.FAILED_PRECONDITION, message)
        return first.hello

    def _make_sure_of_room(self, agent_id: str) -> None:
        if self._stopping:
            raise EndedError(grpc.StatusCode.UNAVAILABLE, "the collector is stopping")
        if agent_id not in self._sessions and len(self._sessions) >= self._config.max_streams:
            self._counters.add("turned_away", label="too_many")
            raise EndedError(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{len(self._sessions)} agents are connected already")

    def _enter(self, peer: Peer, hello: pb.Hello) -> Session:
        sender = Sender(peer.agent_id, clean(hello.host_name), next(self._numbers))
        older = self._sessions.get(sender.agent_id)
        if older is not None:
            self._counters.add("superseded")
            older.end(grpc.StatusCode.UNAVAILABLE, "superseded by a newer stream of this agent")
        session = Session(
            peer,
            hello,
            sender,
            self._submit,
            self._set_aside,
            self._hear,
            self._budget,
            self._config.credit,
            self._counters,
            self._now_us,
        )
        self._sessions[sender.agent_id] = session
        self._streams.add(session)
        self._idle.clear()
        self._counters.add("streams_opened")
        self._counters.set("agents_connected", len(self._sessions))
        return session

    def _hear(self, session: Session, message: pb.AgentMessage) -> None:
        self._counters.add("messages_heard", label=message.WhichOneof("kind") or "")
        for control in self._controls:
            control.heard(session, message)

    def _leave(self, session: Session) -> None:
        for control in self._controls:
            control.left(session)
        if self._sessions.get(session.sender.agent_id) is session:
            del self._sessions[session.sender.agent_id]
        self._streams.discard(session)
        self._counters.set("agents_connected", len(self._sessions))
        if not self._streams:
            self._idle.set()

    def _welcome(self, agent_id: str) -> pb.Welcome:
        return pb.Welcome(
            protocol=PROTOCOL,
            collector_id=self._collector_id,
            collector_time_us=self._now_us(),
            credit=self._budget.credit(self._config.credit),
            agent_id=agent_id,
        )

    async def _set_aside(self, batch: pb.Batch, sender: Sender, refused: Refused) -> None:
        self._counters.add("refused", label=refused.cause)
        self._say(
            logging.WARNING,
            f"refused {sender.agent_id} {refused.cause}",
            f"batch of {sender.agent_id} refused: {refused.cause}: {refused.message}",
        )
        facts = {
            "code": refused.cause,
            "message": refused.message,
            "agent_id": sender.agent_id,
            "table": batch.table[:256],
            "boot_id": batch.boot_id[:256],
            "stream": batch.stream[:256],
            "first_sequence": batch.first_sequence,
            "row_count": batch.row_count,
            "compression": batch.compression,
        }
        await asyncio.to_thread(self._quarantine.keep, batch.body, facts)

    async def _abort(self, context: grpc.aio.ServicerContext[Any, Any], error: EndedError) -> NoReturn:
        await context.abort(error.status, error.message)
        raise AssertionError("abort raises")

    def _say(self, level: int, key: str, text: str) -> None:
        """A line for people, unless there was one of this kind a moment ago: who connects in a loop fills no disk."""
        if self._quiet.ready(key):
            more = self._quiet.left_out(key)
            _log.log(level, "%s%s", text, f" (and {more} more like it)" if more else "")

    def _now_us(self) -> int:
        return int(self._clock() * 1_000_000)


def probe(listen: str, key: str = "ingest.listen") -> None:
    """Try to listen, for an error that says why: gRPC only says that it could not. UserError with the remedy, which
    names the setting `key`."""
    host, _, port = listen.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, proto, _, address = found[0]
        with socket.socket(family, kind, proto) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
            trial.listen(1)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"{listen}: {reason}; stop what listens there or choose another {key}") from None
