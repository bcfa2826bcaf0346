"""Delivers what waits in the spool to the collector, over one stream at a time, for as long as the agent runs.

Every batch is sent until the collector has said stored or refused. After a lost connection everything that is not
answered is sent again, the same bytes under the same numbers; the collector knows what it has.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

import grpc
from luytre_common import tls
from luytre_common.ledger import Entry
from luytre_common.lifecycle import background
from luytre_common.telemetry import Counters, RateLimited, Sample
from luytre_common.wire.v1 import ingest_pb2 as pb
from luytre_common.wire.v1 import service

from luytre_agent.batch import Key
from luytre_agent.uplink.backoff import Backoff
from luytre_agent.uplink.channel import PROTOCOL, Config, open_channel
from luytre_agent.uplink.faults import Fault, explain
from luytre_agent.uplink.outbox import Batch, Outbox
from luytre_agent.uplink.pace import Pace, on_wire
from luytre_agent.uplink.renewal import Renewal
from luytre_agent.uplink.session import Flight, Session
from luytre_agent.uplink.windows import Windows

if TYPE_CHECKING:
    _Call = grpc.aio.StreamStreamCall[pb.AgentMessage, pb.CollectorMessage]

_log = logging.getLogger("luytre.uplink")

#: Windows of the day hold back what is of this class or a lower one.
_RANKS = {"second": 1, "last": 2}
#: With windows, the clock on the wall is looked at this often.
_LOOK_S = 60.0
#: Messages besides batches that may wait for the line; the oldest gives way.
_MAX_SAYINGS = 64
#: How long the last word may take: until the collector, having read it, ends the stream.
_FAREWELL_S = 3.0


class Uplink:
    """The delivering thread, with an event loop in it. `start`, then `drain` and `stop`."""

    def __init__(
        self,
        config: Config,
        tls_config: tls.Config,
        identity: tls.Identity,
        outbox: Outbox,
        hello: Callable[[], pb.Hello],
        random: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
        told: Callable[[pb.Policy], None] | None = None,
        tally: Callable[[Key, Entry, int], object] = lambda key, entry, rows: None,
        welcomed: Callable[[], object] | None = None,
        renew: bool = False,
        local: Callable[[], datetime] = datetime.now,
    ) -> None:
        """`told` is called with every policy that the collector sends, `welcomed` whenever it has let us in: both in
        the uplink's thread, so they must not block. `tally` is told of rows that are sent, sent again and
        acknowledged. `renew`: see to the next certificate before this one ends.
        `local`: the time of day."""
        self.config = config
        self.counters = Counters("uplink")
        self._tls = tls_config
        self._identity = identity
        self._outbox = outbox
        self._hello = hello
        self._clock = clock
        self._backoff = Backoff(random, cap_s=config.reconnect_seconds, spread_s=config.spread_seconds)
        self._pace = Pace(config.bytes_per_second)
        self._windows = Windows(config.windows)
        self._held_from = _RANKS[config.windows_hold]
        self._local = local
        self._quiet = RateLimited(clock, 60.0)
        self._session = Session(clock())
        self._told = told
        self._tally = tally
        self._welcomed = welcomed
        self._renewal = Renewal(config, tls_config, identity, random, self.counters)
        self._renew = renew
        self._sayings: deque[pb.AgentMessage] = deque(maxlen=_MAX_SAYINGS)
        self._farewell: pb.AgentMessage | None = None
        self._highest: dict[Key, int] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._work: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._turned = float("inf")
        self._thread = background("uplink", self._run)

    def start(self) -> None:
        """Begin to deliver."""
        self._loop = asyncio.new_event_loop()
        self._work = self._loop.create_task(self._keep_delivering())
        self._turned = self._clock()
        self._thread.start()

    def drain(self, timeout_s: float) -> bool:
        """Wait until nothing waits in the outbox, at most so long; whether that is so."""
        return self._outbox.wait(lambda: self._outbox.unsettled() == 0, timeout_s)

    def stop(self, farewell: pb.AgentMessage | None = None) -> None:
        """Hang up, with a last word if there is a connection to say it on. What is not answered stays in the outbox."""
        if self._loop is None or self._work is None or not self._thread.is_alive():
            return
        if farewell is not None and not self._session.closed and self._session.welcomed:
            self._farewell = farewell
            with suppress(RuntimeError):  # the loop has ended meanwhile
                self._loop.call_soon_threadsafe(self._wake)
            self._thread.join(timeout=_FAREWELL_S)
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._work.cancel)
        self._thread.join(timeout=10)

    @property
    def rate(self) -> float:
        """Bytes per second that the line may carry of everything that waits; 0: no limit, or not now."""
        return float(self.config.bytes_per_second) if self._windows.open(self._local()) else 0.0

    def say(self, message: pb.AgentMessage) -> bool:
        """Send a message that is not a batch, before the batches that wait; from any thread. False, and it is not
        sent, if there is no connection now."""
        session, loop = self._session, self._loop
        if loop is None or session.closed or not session.welcomed:
            return False
        self._sayings.append(message)
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(self._wake)
        return True

    def hung(self, limit_s: float) -> bool:
        """Whether the loop has not answered for so long; it is asked anew by every call."""
        if self._loop is None:
            return False
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._turn)
        return self._clock() - self._turned > limit_s

    def _turn(self) -> None:
        self._turned = self._clock()

    def _wake(self) -> None:
        self._news.set()
        self._room.set()

    @property
    def connected(self) -> bool:
        """Whether the collector has let us in and is still there."""
        session = self._session
        return session.welcomed and not session.closed

    def samples(self) -> list[Sample]:
        """The counters, and whether there is a connection."""
        session = self._session
        self.counters.set("connected", int(self.connected))
        self.counters.set("batches_in_flight", len(session.flights))
        self.counters.set("certificate_expires_in_seconds", self._renewal.left_s())
        return self.counters.samples()

    def _run(self) -> None:
        loop, work = self._loop, self._work
        assert loop is not None
        assert work is not None
        self._outbox.listen(lambda: loop.call_soon_threadsafe(self._news.set))
        try:
            with suppress(asyncio.CancelledError):
                loop.run_until_complete(work)
        finally:
            self._outbox.listen(None)
            loop.close()

    async def _keep_delivering(self) -> None:
        renewing = asyncio.create_task(self._renewal.keep(self._adopt)) if self._renew else None
        try:
            await self._deliver_again_and_again()
        finally:
            if renewing:
                renewing.cancel()
                await asyncio.gather(renewing, return_exceptions=True)

    def _adopt(self, identity: tls.Identity) -> None:
        """From the next connection on; this one goes on for as long as the collector likes."""
        self._identity = identity

    async def _deliver_again_and_again(self) -> None:
        await asyncio.sleep(self._backoff.first())
        while True:
            began = self._clock()
            try:
                fault = await self._deliver()
            except Exception:  # noqa: BLE001 # what is in the spool must be tried again, whatever happens
                _log.exception("uplink failed; it connects again")
                fault = Fault("failed", "the uplink failed")
            if self._farewell is not None:
                return
            if self._quiet.ready(fault.kind):
                _log.warning("%s", fault)
            self.counters.add("disconnects", label=fault.kind)
            if self._clock() - began > self.config.reconnect_seconds:
                self._backoff.reset()
            if fault.kind == "busy":
                self._backoff.busy()
            await asyncio.sleep(self._backoff.next())

    async def _deliver(self) -> Fault:
        """One connection, from beginning to end; says why it ended."""
        session = self._session = Session(self._clock())
        self.counters.add("attempts")
        channel = open_channel(self.config, self._identity)
        call = service.converse(channel)
        hearing = asyncio.create_task(self._hear(call, session))
        talking = asyncio.create_task(self._talk(call, session))
        minding = asyncio.create_task(self._mind(session))
        try:
            await asyncio.wait({hearing, talking, minding}, return_when=asyncio.FIRST_COMPLETED)
            if talking.done():
                talking.result()
                await asyncio.wait({hearing, minding}, return_when=asyncio.FIRST_COMPLETED)
            return minding.result() if minding.done() else hearing.result()
        finally:
            session.closed = True
            for task in (hearing, talking, minding):
                task.cancel()
            await asyncio.gather(hearing, talking, minding, return_exceptions=True)
            call.cancel()
            await channel.close()

    async def _hear(self, call: _Call, session: Session) -> Fault:
        """Take the answers; says why there are no more."""
        try:
            while isinstance(message := await call.read(), pb.CollectorMessage):
                self._receive(session, message)
        except grpc.RpcError as error:
            said = error.details() or ""
            fault = explain(error.code(), said, self.config.collector, self._tls, session.welcomed)
            if fault.kind == "closed" and not self._renewal.left_s():  # TLS told us no more than that
                return Fault(
                    "expired",
                    f"our certificate {self._tls.certificate} has expired",
                    "ask for a token, enrol again (luytre-agent enrol --again), restart; or correct this host's clock",
                )
            return fault
        return Fault("ended", f"collector {self.config.collector} ended the stream")

    async def _mind(self, session: Session) -> Fault:
        """Wait for a collector that holds the line and says nothing."""
        limit_s = self.config.answer_seconds
        while not session.overdue(self._clock(), limit_s):
            await asyncio.sleep(limit_s / 8)
        silence = f"collector {self.config.collector} did not answer for {limit_s:g} s"
        return Fault("silent", silence, "look at its log; batches wait in the spool")

    async def _talk(self, call: _Call, session: Session) -> None:
        """Hello, then the waiting batches as the credit allows, until the stream breaks: why, `_hear` knows."""
        with suppress(grpc.RpcError, asyncio.InvalidStateError):
            self._sayings.clear()  # of an earlier connection
            await call.write(pb.AgentMessage(hello=self._hello()))
            position = None
            while True:
                self._news.clear()
                if await self._say_all(call):
                    return
                for waiting in self._outbox.pending(position, self._may_go):
                    while not session.room:
                        self._room.clear()
                        await self._room.wait()
                        if await self._say_all(call):
                            return
                    if await self._say_all(call) or await self._keep_pace(call):
                        return
                    self._count(session, waiting.record)
                    position = waiting.position
                    await call.write(pb.AgentMessage(batch=pb.Batch.FromString(waiting.record.batch)))
                await self._next_news()

    async def _keep_pace(self, call: _Call) -> bool:
        """Wait until the line may take the next batch; what is to be said goes out meanwhile. See `_say_all`."""
        waited = False
        while (wait_s := self._pace.wait_s(self._clock())) > 0:
            if not waited:
                self.counters.add("pauses")
                waited = True
            self._room.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._room.wait(), wait_s)
            if await self._say_all(call):
                return True
        return False

    def _may_go(self, rank: int) -> bool:
        return rank < self._held_from or self._windows.open(self._local())

    async def _next_news(self) -> None:
        """Wait until something may be to be sent: it comes in, or a window opens."""
        wait_s = self._windows.wait_s(self._local())
        with suppress(TimeoutError):  # at the latest soon, for clocks on walls are set
            await asyncio.wait_for(self._news.wait(), None if wait_s is None else min(wait_s + 0.1, _LOOK_S))

    async def _say_all(self, call: _Call) -> bool:
        """Say what is to be said besides batches; whether that was the last word, and our half of the line is shut."""
        while self._sayings:
            await self._say(call, self._sayings.popleft())
        if self._farewell is None:
            return False
        await self._say(call, self._farewell)
        await call.done_writing()
        return True

    async def _say(self, call: _Call, message: pb.AgentMessage) -> None:
        self._pace.spend(message.ByteSize(), self._clock())
        await call.write(message)
        self.counters.add("messages_said", label=message.WhichOneof("kind") or "")

    def _count(self, session: Session, record: Batch) -> None:
        now = self._clock()
        session.sent(Flight(record.key, record.first, record.last), now)
        self._pace.spend(len(record.batch), now)
        self.counters.add("wire_bytes", on_wire(len(record.batch)), record.table)
        again = record.last <= self._highest.get(record.key, -1)
        if not again:
            self._highest[record.key] = record.last
        rows = record.last - record.first + 1
        self.counters.add("batches_resent" if again else "batches_sent", label=record.table)
        entry = Entry.ROWS_RESENT if again else Entry.ROWS_SENT
        self.counters.add(entry, rows, record.table)
        self._tally(record.key, entry, rows)
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
        elif kind == "policy":
            self.counters.add("policies_received")
            if self._told:
                self._told(message.policy)
        elif kind == "ping":
            self.counters.add("pings_answered")
            self.say(pb.AgentMessage(pong=pb.Pong(nonce=message.ping.nonce)))
        else:
            self.counters.add("messages_unknown")
        self._room.set()

    def _welcome(self, session: Session, welcome: pb.Welcome, now: float) -> None:
        session.welcome(welcome.credit, now)
        self.counters.add("connects")
        if self._quiet.ready("welcome"):
            _log.info("connected to collector %s as %s", self.config.collector, welcome.agent_id)
        if welcome.protocol != PROTOCOL:
            self.counters.add("protocol_mismatches")
        if self._welcomed:
            self._welcomed()

    def _acknowledge(self, session: Session, ack: pb.Ack, now: float) -> None:
        key = Key(ack.boot_id, ack.stream)
        through = session.acknowledge(key, ack.through_sequence, ack.credit, now)
        if through is None:
            self.counters.add("acks_unknown")
            return
        self.counters.add("acks")
        self._backoff.reset()
        self._tally(key, Entry.ROWS_ACKNOWLEDGED, self._outbox.acknowledge(key.boot_id, key.stream, through))

    def _refuse(self, session: Session, refusal: pb.Refusal, now: float) -> None:
        key = Key(refusal.boot_id, refusal.stream)
        if not session.refuse(key, refusal.first_sequence, now):
            self.counters.add("refusals_unknown")
            return
        name = pb.RefusalCode.Name(refusal.code) if refusal.code in pb.RefusalCode.values() else str(refusal.code)
        code = name.removeprefix("REFUSAL_CODE_").lower()
        if self._quiet.ready(f"refused {code}"):
            _log.error("collector refused a batch of %s: %s: %s", key.stream, code, refusal.message)
        self.counters.add("batches_refused", label=code)
        self._outbox.refuse(key.boot_id, key.stream, refusal.first_sequence)
