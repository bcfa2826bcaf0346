"""A second host under one name: refused while the first is alive, let in when it is not."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from luytre_collector.ingest.clones import Clone, Clones
from luytre_collector.ingest.control import EndedError, Peer
from luytre_common.telemetry import Counters
from luytre_common.wire.v1 import ingest_pb2 as pb

from tests.support.streams import FakeStream

FIRST = pb.Hello(machine_id="aa", kernel_boot_id="1", host_name="first")
REBOOTED = pb.Hello(machine_id="aa", kernel_boot_id="2")
OTHER = pb.Hello(machine_id="bb", kernel_boot_id="1", host_name="other")
NAMELESS = pb.Hello()


def peer(address: str = "ipv4:192.0.2.7:1") -> Peer:
    return Peer("web-01", 1, "aa", 0, address)


class Scene:
    def __init__(self, answer_s: float) -> None:
        self.counters = Counters("ingest")
        self.alarms: list[Clone] = []
        self.control = Clones(self.counters, self.alarms.append, lambda: 7, answer_s)

    def inside(self, hello: pb.Hello) -> FakeStream:
        stream = FakeStream(peer(), hello)
        self.control.entered(stream)
        return stream

    def answering(self, stream: FakeStream, nonce_off: int = 0) -> None:
        def answer(message: pb.CollectorMessage) -> None:
            pong = pb.AgentMessage(pong=pb.Pong(nonce=message.ping.nonce + nonce_off))
            asyncio.get_running_loop().call_soon(self.control.heard, stream, pong)

        stream.on_tell = answer


@pytest.mark.parametrize("hello", [REBOOTED, OTHER, NAMELESS])
async def test_refused_while_the_first_answers(hello: pb.Hello) -> None:
    scene = Scene(30.0)
    stream = scene.inside(FIRST)
    scene.answering(stream)
    with pytest.raises(EndedError, match="another host delivers as web-01 now") as refused:
        await scene.control.enter(peer("ipv4:192.0.2.8:1"), hello)
    assert refused.value.status is grpc.StatusCode.ALREADY_EXISTS
    assert stream.ended == []
    (alarm,) = scene.alarms
    assert (alarm.inside.address, alarm.refused.address) == ("ipv4:192.0.2.7:1", "ipv4:192.0.2.8:1")
    assert scene.counters.get("turned_away", "clone") == 1


@pytest.mark.parametrize("hello", [FIRST, NAMELESS])
async def test_the_same_host_is_not_asked(hello: pb.Hello) -> None:
    scene = Scene(30.0)
    stream = scene.inside(hello)
    await scene.control.enter(peer(), hello)
    assert stream.told == []
    assert stream.ended == []


async def test_a_rebooted_host_comes_in_when_the_old_stream_is_silent() -> None:
    scene = Scene(0.1)
    stream = scene.inside(FIRST)
    await scene.control.enter(peer(), REBOOTED)
    assert [one.ping.nonce for one in stream.told] == [7]
    assert [one[:2] for one in stream.ended] == [("cut", grpc.StatusCode.UNAVAILABLE)]
    assert scene.counters.get("hosts_changed") == 1
    assert scene.alarms == []


async def test_a_wrong_answer_is_none() -> None:
    scene = Scene(0.1)
    stream = scene.inside(FIRST)
    scene.answering(stream, nonce_off=1)
    await scene.control.enter(peer(), REBOOTED)
    assert scene.counters.get("hosts_changed") == 1


async def test_or_at_once_when_the_old_stream_breaks() -> None:
    scene = Scene(30.0)
    stream = scene.inside(FIRST)
    stream.on_tell = lambda message: scene.control.left(stream)
    await scene.control.enter(peer(), REBOOTED)
    assert stream.ended == []
    assert scene.counters.get("hosts_changed") == 0


async def test_who_is_heard_of_without_an_answer_is_in_doubt() -> None:
    scene = Scene(0.1)
    stream = scene.inside(FIRST)
    stream.on_tell = lambda message: setattr(stream, "heard_us", 5)
    with pytest.raises(EndedError, match="come again") as refused:
        await scene.control.enter(peer(), OTHER)
    assert refused.value.status is grpc.StatusCode.UNAVAILABLE
    assert scene.counters.get("turned_away", "perhaps_clone") == 1
    assert scene.alarms == []


async def test_two_newcomers_ask_once() -> None:
    scene = Scene(0.2)
    stream = scene.inside(FIRST)
    results = await asyncio.gather(
        scene.control.enter(peer(), OTHER), scene.control.enter(peer(), OTHER), return_exceptions=True
    )
    assert results == [None, None]
    assert len(stream.told) == 1


async def test_who_has_left_is_not_asked() -> None:
    scene = Scene(30.0)
    stream = scene.inside(FIRST)
    scene.control.left(stream)
    await scene.control.enter(peer(), OTHER)
    assert stream.told == []
