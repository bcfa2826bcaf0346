"""One stream, without a network: messages in, answers out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import grpc
import pytest
from luytre_collector.ingest.admit import Admitted, Refused, Sender
from luytre_collector.ingest.budget import Budget
from luytre_collector.ingest.control import EndedError, Peer
from luytre_collector.ingest.finding import Kind
from luytre_collector.ingest.presence import Config as PresenceConfig
from luytre_collector.ingest.presence import Presence
from luytre_collector.ingest.session import Outcome, Session
from luytre_common.telemetry import Counters
from luytre_common.wire.v1 import ingest_pb2 as pb

from tests.support.batches import NOW_US, SENDER, message

PEER = Peer(SENDER.agent_id, 7, "ab" * 32, 0, "ipv4:127.0.0.1:1")


class Bench:
    """A session between a list of messages and a store that answers when told to."""

    def __init__(self, credit: int = 4, budget: int = 1 << 20) -> None:
        self.submitted: list[tuple[Admitted, Callable[[Outcome], None]]] = []
        self.aside: list[Refused] = []
        self.counters = Counters("ingest")
        self.budget = Budget(budget)
        self.end = asyncio.Event()
        self.heard: list[pb.AgentMessage] = []
        self.now_us = NOW_US
        self.session = Session(
            PEER,
            pb.Hello(),
            SENDER,
            self._submit,
            self._set_aside,
            lambda _, message: self.heard.append(message),
            self.budget,
            credit,
            self.counters,
            lambda: self.now_us,
        )

    def _submit(self, batch: Admitted, done: Callable[[Outcome], None]) -> None:
        self.submitted.append((batch, done))

    async def _set_aside(self, _batch: pb.Batch, _sender: Sender, refused: Refused) -> None:
        self.aside.append(refused)

    async def _requests(self, messages: list[pb.AgentMessage]) -> AsyncIterator[pb.AgentMessage]:
        for one in messages:
            yield one
        await self.end.wait()

    def answers(self, *messages: pb.AgentMessage | pb.Batch) -> AsyncIterator[pb.CollectorMessage]:
        wrapped = [pb.AgentMessage(batch=one) if isinstance(one, pb.Batch) else one for one in messages]
        return self.session.answers(self._requests(wrapped))


async def settle(turns: int = 50) -> None:
    """Let everything that can happen happen."""
    for _ in range(turns):
        await asyncio.sleep(0)


def batch(first: int) -> pb.Batch:
    return message("agent_health", 5, first)


async def test_answers_come_in_the_order_of_the_batches() -> None:
    bench = Bench()
    wrong = batch(5)
    wrong.body_crc32 ^= 1
    answers = bench.answers(batch(0), wrong, batch(10))
    first = asyncio.ensure_future(anext(answers))
    await settle()
    bench.submitted[1][1](None)
    await settle()
    assert not first.done()
    bench.submitted[0][1](None)
    assert (await first).ack.through_sequence == 4
    assert (await anext(answers)).refusal.code == pb.REFUSAL_CODE_BAD_CHECKSUM
    assert (await anext(answers)).ack.through_sequence == 14
    bench.end.set()
    assert [one async for one in answers] == []
    assert [one.cause for one in bench.aside] == ["bad_checksum"]
    assert bench.budget.used == 0


async def test_no_more_is_read_than_the_credit_allows() -> None:
    bench = Bench(credit=2)
    answers = bench.answers(*[batch(5 * number) for number in range(6)])
    first = asyncio.ensure_future(anext(answers))
    await settle()
    assert len(bench.submitted) == 2
    bench.submitted[0][1](None)
    await first
    second = asyncio.ensure_future(anext(answers))
    await settle()
    assert len(bench.submitted) == 3
    second.cancel()


async def test_no_more_is_read_than_the_budget_allows() -> None:
    bench = Bench(budget=len(batch(0).body) + 10)
    answers = bench.answers(batch(0), batch(5))
    first = asyncio.ensure_future(anext(answers))
    await settle()
    assert len(bench.submitted) == 1
    bench.submitted[0][1](None)
    assert (await first).ack.credit == 1
    await settle()
    assert len(bench.submitted) == 2


async def test_nobody_is_silent_whose_heartbeats_wait_behind_a_batch_that_has_no_room() -> None:
    bench = Bench(budget=len(batch(0).body) + 10)
    presence = Presence(PresenceConfig(), Counters("presence"), NOW_US)
    presence.entered(bench.session)

    def looks(seconds: int) -> list[Kind]:
        found = []
        for _ in range(0, seconds, 5):
            bench.now_us += 5_000_000
            newest = dict.fromkeys(presence.suspects(bench.now_us), 0)
            found += [one.kind for one in presence.look(bench.now_us, newest)]
        return found

    beat = pb.AgentMessage(heartbeat=pb.Heartbeat(batches_waiting=1))
    answers = bench.answers(batch(0), batch(5), beat)
    first = asyncio.ensure_future(anext(answers))
    await settle()
    assert looks(600) == []
    assert bench.heard == []
    bench.submitted[0][1](None)
    await first
    await settle()
    assert bench.heard == [beat]
    assert looks(45) == []
    assert looks(10) == [Kind.SILENT]


async def test_messages_of_a_newer_protocol_are_counted() -> None:
    bench = Bench()
    answers = bench.answers(pb.AgentMessage(), batch(0))
    first = asyncio.ensure_future(anext(answers))
    await settle()
    bench.submitted[0][1](None)
    await first
    assert bench.counters.get("unknown_message") == 1


async def test_counters_have_no_labels_that_agents_make_up() -> None:
    bench = Bench()
    answers = bench.answers(*(message("flows", 1) for _ in range(1)), *(_named(f"made_up_{n}") for n in range(3)))
    first = asyncio.ensure_future(anext(answers))
    await settle()
    bench.submitted[0][1](None)
    await first
    await settle()
    labels = {sample.label for sample in bench.counters.samples() if sample.name == "batches_received"}
    assert labels == {"flows", "?"}


def _named(table: str) -> pb.Batch:
    made = message("flows", 1)
    made.table = table
    return made


async def test_a_second_hello_ends_the_stream_after_what_was_read() -> None:
    bench = Bench()
    answers = bench.answers(batch(0), pb.AgentMessage(hello=pb.Hello(protocol=1)))
    first = asyncio.ensure_future(anext(answers))
    await settle()
    bench.submitted[0][1](None)
    assert (await first).ack.through_sequence == 4
    with pytest.raises(EndedError) as fault:
        await anext(answers)
    assert fault.value.status is grpc.StatusCode.INVALID_ARGUMENT


async def test_ending_answers_what_was_read_and_says_why() -> None:
    bench = Bench()
    answers = bench.answers(batch(0))
    first = asyncio.ensure_future(anext(answers))
    await settle()
    bench.session.end(grpc.StatusCode.UNAVAILABLE, "stopping")
    await settle()
    bench.submitted[0][1](None)
    assert (await first).ack.through_sequence == 4
    with pytest.raises(EndedError, match="stopping"):
        await anext(answers)


async def test_ended_before_it_began() -> None:
    bench = Bench()
    bench.session.end(grpc.StatusCode.UNAVAILABLE, "superseded")
    with pytest.raises(EndedError, match="superseded"):
        await anext(bench.answers(batch(0)))


async def test_a_postponed_batch_ends_the_stream_unavailable() -> None:
    bench = Bench()
    answers = bench.answers(batch(0))
    first = asyncio.ensure_future(anext(answers))
    await settle()
    bench.submitted[0][1]("the collector is stopping")
    with pytest.raises(EndedError, match="stopping") as fault:
        await first
    assert fault.value.status is grpc.StatusCode.UNAVAILABLE


async def test_cutting_ends_it_at_once_whatever_waits() -> None:
    bench = Bench()
    answers = bench.answers(batch(0), batch(5))
    first = asyncio.ensure_future(anext(answers))
    await settle()
    bench.session.cut(grpc.StatusCode.PERMISSION_DENIED, "revoked")
    with pytest.raises(EndedError, match="revoked") as fault:
        await first
    assert fault.value.status is grpc.StatusCode.PERMISSION_DENIED
    for _, done in bench.submitted:  # stored all the same: the agent hears so when it asks again
        done(None)
    await settle()
    assert bench.budget.used == 0


async def test_cutting_wakes_a_stream_on_which_nothing_waits() -> None:
    bench = Bench()
    first = asyncio.ensure_future(anext(bench.answers()))
    await settle()
    bench.session.cut(grpc.StatusCode.PERMISSION_DENIED, "revoked")
    with pytest.raises(EndedError, match="revoked"):
        await first


async def test_what_is_told_goes_out_after_the_answers_due_before_it() -> None:
    bench = Bench()
    answers = bench.answers(batch(0))
    first = asyncio.ensure_future(anext(answers))
    await settle()
    bench.session.tell(pb.CollectorMessage(policy=pb.Policy(version=3)))
    await settle()
    assert not first.done()
    bench.submitted[0][1](None)
    assert (await first).ack.through_sequence == 4
    assert (await anext(answers)).policy.version == 3


async def test_what_is_said_besides_batches_is_handed_on() -> None:
    bench = Bench()
    beat = pb.AgentMessage(heartbeat=pb.Heartbeat(agent_time_us=NOW_US))
    first = asyncio.ensure_future(anext(bench.answers(beat, batch(0))))
    await settle()
    bench.submitted[0][1](None)
    await first
    assert bench.heard == [beat]


async def test_a_fault_of_ours_ends_the_stream_and_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()

    def fail(_: object, message: pb.AgentMessage) -> None:
        raise RuntimeError("a fault")

    bench.session._heard = fail
    answers = bench.answers(batch(0), pb.AgentMessage(heartbeat=pb.Heartbeat()), batch(5))
    first = asyncio.ensure_future(anext(answers))
    await settle()
    bench.submitted[0][1](None)
    assert (await first).ack.through_sequence == 4
    with pytest.raises(EndedError, match="the collector could not read on; see its log"):
        await anext(answers)
    assert len(bench.submitted) == 1
    assert bench.counters.get("readings_failed") == 1
    assert "RuntimeError: a fault" in caplog.text
