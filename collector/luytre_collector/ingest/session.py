"""One stream of one agent: batches in, verdicts out, in the order of the batches."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import grpc
from google.protobuf.message import DecodeError
from luytre_common.schema import WIRE_TABLES
from luytre_common.telemetry import Counters
from luytre_common.wire.v1 import ingest_pb2 as pb

from luytre_collector.ingest.admit import Admitted, Refused, Sender, admit
from luytre_collector.ingest.budget import Budget
from luytre_collector.ingest.control import EndedError, Peer

#: What became of an admitted batch: None for stored, why it is refused, or why it is not stored for now.
Outcome = Refused | str | None

#: Hands an admitted batch on; the answer comes once, from any thread.
Submit = Callable[[Admitted, Callable[[Outcome], None]], None]

#: Keeps a batch whose envelope was refused.
SetAside = Callable[[pb.Batch, Sender, Refused], Awaitable[None]]

#: Takes what an agent says besides batches.
Heard = Callable[["Session", pb.AgentMessage], None]

_CRC_IN_THREAD_BYTES = 1 << 20
_log = logging.getLogger("luytre.ingest")


@dataclass(frozen=True, slots=True)
class _Answer:
    """The place of a batch in the order of answers, and what the answer calls it. Not the message itself: with it, its
    body would be held a second time."""

    boot_id: str
    stream: str
    first_sequence: int
    row_count: int
    outcome: asyncio.Future[Outcome]


class Session:
    """Reads in a task of its own while `answers` is iterated over."""

    def __init__(
        self,
        peer: Peer,
        hello: pb.Hello,
        sender: Sender,
        submit: Submit,
        set_aside: SetAside,
        heard: Heard,
        budget: Budget,
        credit: int,
        counters: Counters,
        now_us: Callable[[], int],
    ) -> None:
        self.peer = peer
        self.hello = hello
        self.sender = sender
        self.heard_us = now_us()
        self.waiting = False
        self._submit = submit
        self._set_aside = set_aside
        self._heard = heard
        self._budget = budget
        self._credit = credit
        self._counters = counters
        self._now_us = now_us
        self._order: asyncio.Queue[_Answer | pb.CollectorMessage | None] = asyncio.Queue()
        self._awaited: asyncio.Future[Outcome] | None = None
        self._under_way = asyncio.Semaphore(credit)
        self._reader: asyncio.Task[None] | None = None
        self._end: EndedError | None = None
        self._cut: EndedError | None = None
        self._giving: set[asyncio.Task[None]] = set()

    def end(self, status: grpc.StatusCode, message: str) -> None:
        """Read no more; once every batch read so far is answered, the stream ends with this status."""
        self._end = self._end or EndedError(status, message)
        if self._reader:
            self._reader.cancel()

    def cut(self, status: grpc.StatusCode, message: str) -> None:
        """The stream ends now with this status. What was read and not answered is stored all the same, if it can be,
        and comes again."""
        self._cut = self._cut or EndedError(status, message)
        if self._awaited and not self._awaited.done():
            self._awaited.set_exception(self._cut)
        self._order.put_nowait(None)

    def tell(self, message: pb.CollectorMessage) -> None:
        """Send a message, after the answers that are due before it."""
        self._order.put_nowait(message)

    async def answers(self, requests: AsyncIterator[pb.AgentMessage]) -> AsyncIterator[pb.CollectorMessage]:
        """Every answer, as it becomes known. Raises EndedError at the end if the stream must not end well."""
        self._reader = asyncio.create_task(self._read(requests), name=f"read {self.sender.agent_id}")
        self._reader.add_done_callback(lambda _: self._order.put_nowait(None))  # even if it never ran
        if self._end:
            self._reader.cancel()
        try:
            while not self._cut and (answer := await self._order.get()) is not None:
                if isinstance(answer, pb.CollectorMessage):
                    yield answer
                    continue
                self._awaited = answer.outcome
                outcome = await answer.outcome
                self._under_way.release()
                yield self._message(answer, outcome)
        finally:
            self._reader.cancel()
        if ended := self._cut or self._end:
            raise ended

    async def _read(self, requests: AsyncIterator[pb.AgentMessage]) -> None:
        try:
            async for message in requests:
                self.heard_us = self._now_us()
                kind = message.WhichOneof("kind")
                if kind == "batch":
                    self.waiting = True
                    await self._under_way.acquire()
                    admitted, answer = await self._admit(message.batch)
                    del message  # while it waits for room only its body is needed
                    await self._accept(admitted, answer)
                    self.waiting = False
                elif kind == "hello":
                    raise EndedError(grpc.StatusCode.INVALID_ARGUMENT, "a second Hello on one stream")
                elif kind is None:
                    self._counters.add("unknown_message")
                else:
                    self._heard(self, message)
        except EndedError as error:
            self._end = self._end or error
        except DecodeError:
            self._counters.add("unreadable_message")
            self._end = self._end or EndedError(grpc.StatusCode.INVALID_ARGUMENT, "a message that is none of ours")
        except Exception:  # noqa: BLE001 - nobody else looks at this task; the agent keeps what is not answered
            self._counters.add("readings_failed")
            _log.exception("%s: its messages cannot be read on; the stream ends", self.sender.agent_id)
            reason = "the collector could not read on; see its log"
            self._end = self._end or EndedError(grpc.StatusCode.INTERNAL, reason)

    async def _admit(self, batch: pb.Batch) -> tuple[Admitted | Refused, _Answer]:
        body = batch.body  # whoever asks protobuf for it is given another copy
        self._counters.add("batches_received", label=batch.table if batch.table in WIRE_TABLES else "?")
        self._counters.add("bytes_received", len(body))
        if len(body) > _CRC_IN_THREAD_BYTES:
            admitted = await asyncio.to_thread(admit, batch, self.sender, self._now_us(), body)
        else:
            admitted = admit(batch, self.sender, self._now_us(), body)
        if isinstance(admitted, Refused):
            await self._set_aside(batch, self.sender, admitted)
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        return admitted, _Answer(batch.boot_id, batch.stream, batch.first_sequence, batch.row_count, outcome)

    async def _accept(self, admitted: Admitted | Refused, answer: _Answer) -> None:
        if isinstance(admitted, Refused):
            answer.outcome.set_result(admitted)
        else:
            size = len(admitted.body)
            await self._budget.take(size)
            self._submit(admitted, self._settler(answer.outcome, size))
        self._order.put_nowait(answer)

    def _settler(self, outcome: asyncio.Future[Outcome], size: int) -> Callable[[Outcome], None]:
        loop = asyncio.get_running_loop()

        def settle(value: Outcome) -> None:
            if not outcome.done():
                outcome.set_result(value)
            giving = loop.create_task(self._budget.give(size))
            self._giving.add(giving)
            giving.add_done_callback(self._giving.discard)

        def settle_from_thread(value: Outcome) -> None:
            loop.call_soon_threadsafe(settle, value)

        return settle_from_thread

    def _message(self, batch: _Answer, outcome: Outcome) -> pb.CollectorMessage:
        if isinstance(outcome, str):
            raise EndedError(grpc.StatusCode.UNAVAILABLE, outcome)
        if outcome is None:
            through = batch.first_sequence + batch.row_count - 1
            credit = self._budget.credit(self._credit)
            return pb.CollectorMessage(
                ack=pb.Ack(boot_id=batch.boot_id, stream=batch.stream, through_sequence=through, credit=credit)
            )
        return pb.CollectorMessage(
            refusal=pb.Refusal(
                boot_id=batch.boot_id,
                stream=batch.stream,
                first_sequence=batch.first_sequence,
                code=outcome.code,
                message=outcome.message,
            )
        )
