"""Delivers what waits in the spool to the collector, over one stream at a time, for as long as the agent runs.

Every batch is sent until the collector has said stored or refused. After a lost connection everything that is not
answered is sent again, the same bytes under the same numbers; the collector knows what it has.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import grpc
from luytre_common import tls
from luytre_common.telemetry import Counters, RateLimited, Sample
from luytre_common.wire.v1 import ingest_pb2 as pb
from luytre_common.wire.v1 import service

from luytre_agent.batch import Key
from luytre_agent.uplink.backoff import Backoff
from luytre_agent.uplink.channel import PROTOCOL, Config, open_channel
from luytre_agent.uplink.faults import Fault, explain
from luytre_agent.uplink.session import Flight, Session

_log = logging.getLogger("luytre.uplink")


class Batch(Protocol):
    """A batch that waits: rows `first` to `last` of `key`, and the serialized message."""

    @property
    def key(self) -> Key:
        """The numbering."""

    @property
    def table(self) -> str:
        """The table."""

    @property
    def first(self) -> int:
        """Sequence of the first row."""

    @property
    def last(self) -> int:
        """Sequence of the last row."""

    @property
    def batch(self) -> bytes:
        """A serialized `luytre.wire.v1.Batch`."""


class Waiting(Protocol):
    """A batch and the place behind it."""

    @property
    def record(self) -> Batch:
        """The batch."""

    @property
    def position(self) -> Any:
        """Where to go on."""


class Outbox(Protocol):
    """Where batches wait; see `luytre_agent.spool.Spool`."""

    def pending(self, after: Any = None) -> Iterator[Waiting]:
        """The batches behind `after` that are not settled, oldest first."""

    def acknowledge(self, boot_id: str, stream: str, through: int) -> None:
        """They are stored."""

    def refuse(self, boot_id: str, stream: str, first: int) -> None:
        """It will never be stored."""

    def unsettled(self) -> int:
        """Number of batches that wait."""

    def appended(self) -> int:
        """Grows with every batch that is put in."""

    def wait(self, ready: Callable[[], bool], timeout_s: float | None = None) -> bool:
        """Sleep until `ready()`."""

    def wake(self) -> None:
        """Let everybody in `wait` ask again."""


class Uplink:
    """The delivering thread. `start`, then `drain` and `stop`."""

    def __init__(
        self,
        config: Config,
        tls_config: tls.Config,
        identity: tls.Identity,
        outbox: Outbox,
        hello: Callable[[], pb.Hello],
        random: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config = config
        self.counters = Counters("uplink")
        self._tls = tls_config
        self._identity = identity
        self._outbox = outbox
        self._hello = hello
        self._clock = clock
        self._backoff = Backoff(random, cap_s=config.reconnect_seconds)
        self._quiet = RateLimited(clock, 60.0)
        self._stopping = threading.Event()
        self._lock = threading.RLock()
        self._session = Session(clock())
        self._call: grpc._CallIterator[pb.CollectorMessage] | None = None
        self._late = False
        self._highest: dict[Key, int] = {}
        self._thread = threading.Thread(target=self._run, name="uplink", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def drain(self, timeout_s: float) -> bool:
        """Wait until nothing waits in the outbox, at most so long; whether that is so."""
        return self._outbox.wait(lambda: self._outbox.unsettled() == 0, timeout_s)

    def stop(self) -> None:
        """Hang up. What is not answered stays in the outbox."""
        self._stopping.set()
        with self._lock:
            if self._call is not None:
                self._call.cancel()
        self._end(self._session)
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def samples(self) -> list[Sample]:
        """The counters, and whether there is a connection."""
        with self._lock:
            self.counters.set("connected", int(self._session.welcomed and not self._session.closed))
            self.counters.set("batches_in_flight", len(self._session.flights))
        return self.counters.samples()

    def _run(self) -> None:
        while not self._stopping.is_set():
            began = self._clock()
            fault = self._deliver()
            if self._stopping.is_set():
                return
            if self._quiet.ready(fault.kind):
                _log.warning("%s", fault)
            self.counters.add("disconnects", label=fault.kind)
            if self._clock() - began > self.config.reconnect_seconds:
                self._backoff.reset()
            self._stopping.wait(self._backoff.next())

    def _deliver(self) -> Fault:
        """One connection, from beginning to end; says why it ended."""
        session = self._session = Session(self._clock())
        self._late = False
        self.counters.add("attempts")
        channel = open_channel(self.config, self._identity)
        watchdog = threading.Thread(target=self._watch, args=(session,), name="uplink-watch", daemon=True)
        try:
            with self._lock:
                call = self._call = service.deliver(channel, self._messages(session))
            watchdog.start()
            for message in call:
                self._receive(session, message)
            return Fault("ended", f"collector {self.config.collector} ended the stream")
        except grpc.RpcError as error:
            if self._late:
                silence = f"collector {self.config.collector} did not answer for {self.config.answer_seconds:g} s"
                return Fault("silent", silence, "look at its log; batches wait in the spool")
            return explain(error.code(), error.details() or "", self.config.collector, self._tls)
        finally:
            self._end(session)
            channel.close()

    def _end(self, session: Session) -> None:
        with self._lock:
            session.closed = True
        self._outbox.wake()

    def _watch(self, session: Session) -> None:
        """Hang up on a collector that holds the line and says nothing."""
        while not self._outbox.wait(lambda: session.closed, 1.0):
            with self._lock:
                if self._call is not None and session.overdue(self._clock(), self.config.answer_seconds):
                    self._late = True
                    self._call.cancel()

    def _messages(self, session: Session) -> Iterator[pb.AgentMessage]:
        """What we say: Hello, then the waiting batches as the credit allows. gRPC draws from it in its own thread."""
        yield pb.AgentMessage(hello=self._hello())
        position = None
        while not session.closed:
            seen = self._outbox.appended()
            for waiting in self._outbox.pending(position):
                if not self._has_room(session):
                    return
                self._count(session, waiting.record)
                position = waiting.position
                yield pb.AgentMessage(batch=pb.Batch.FromString(waiting.record.batch))
            self._wait_for_more(session, seen)

    def _has_room(self, session: Session) -> bool:
        """Wait until one more batch may go; False if the stream has ended instead."""
        self._outbox.wait(lambda: session.room or session.closed)
        return not session.closed

    def _wait_for_more(self, session: Session, seen: int) -> None:
        self._outbox.wait(lambda: session.closed or self._outbox.appended() > seen)

    def _count(self, session: Session, record: Batch) -> None:
        with self._lock:
            session.sent(Flight(record.key, record.first, record.last), self._clock())
        again = record.last <= self._highest.get(record.key, -1)
        if not again:
            self._highest[record.key] = record.last
        rows = record.last - record.first + 1
        self.counters.add("batches_resent" if again else "batches_sent", label=record.table)
        self.counters.add("rows_resent" if again else "rows_sent", rows, record.table)
        self.counters.add("bytes_sent", len(record.batch), record.table)

    def _receive(self, session: Session, message: pb.CollectorMessage) -> None:
        kind = message.WhichOneof("kind")
        now = self._clock()
        if kind == "welcome":
            self._welcome(session, message.welcome, now)
        elif kind == "ack":
            self._acknowledge(session, message.ack, now)
        elif kind == "refusal":
            self._refuse(session, message.refusal, now)
        else:
            self.counters.add("messages_unknown")
        self._outbox.wake()

    def _welcome(self, session: Session, welcome: pb.Welcome, now: float) -> None:
        with self._lock:
            session.welcome(welcome.credit, now)
        self.counters.add("connects")
        if self._quiet.ready("welcome"):
            _log.info("connected to collector %s as %s", self.config.collector, welcome.agent_id)
        if welcome.protocol != PROTOCOL:
            self.counters.add("protocol_mismatches")

    def _acknowledge(self, session: Session, ack: pb.Ack, now: float) -> None:
        key = Key(ack.boot_id, ack.stream)
        with self._lock:
            through = session.acknowledge(key, ack.through_sequence, ack.credit, now)
        if through is None:
            self.counters.add("acks_unknown")
            return
        self.counters.add("acks")
        self._backoff.reset()
        self._outbox.acknowledge(key.boot_id, key.stream, through)

    def _refuse(self, session: Session, refusal: pb.Refusal, now: float) -> None:
        key = Key(refusal.boot_id, refusal.stream)
        with self._lock:
            known = session.refuse(key, refusal.first_sequence, now)
        if not known:
            self.counters.add("refusals_unknown")
            return
        name = pb.RefusalCode.Name(refusal.code) if refusal.code in pb.RefusalCode.values() else str(refusal.code)
        code = name.removeprefix("REFUSAL_CODE_").lower()
        if self._quiet.ready(f"refused {code}"):
            _log.error("collector refused a batch of %s: %s: %s", key.stream, code, refusal.message)
        self.counters.add("batches_refused", label=code)
        self._outbox.refuse(key.boot_id, key.stream, refusal.first_sequence)
