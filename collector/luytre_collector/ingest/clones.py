"""One certificate, two hosts: who comes under the name of an agent that is in, from another host, is asked to prove
nothing; the one that is in is asked whether it is still there. If it answers, the newcomer is refused and somebody is
told. If it does not, the host was rebooted or replaced, and the newcomer takes its place.

Hosts are told apart by what they say of themselves (Hello.machine_id and kernel_boot_id). Who has stolen a key and
knows that can say the same: this finds copies of machines, and thieves who do not try hard. On one host, a second
stream takes the place of the first at once, as always.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

import grpc
from luytre_common.telemetry import Counters
from luytre_common.wire.v1 import ingest_pb2 as pb

from luytre_collector.ingest.control import Control, EndedError, Peer, Stream

_log = logging.getLogger("luytre.ingest")

#: How long the stream that is in has for its answer, seconds: this is how long a host that was rebooted waits at most.
ANSWER_S = 8.0
_POLL_S = 0.05


@dataclass(frozen=True)
class Clone:
    """Two ends under one name: who is in, and who was refused."""

    agent_id: str
    inside: Peer
    inside_hello: pb.Hello
    refused: Peer
    refused_hello: pb.Hello


class _Question:
    """A Ping on its way."""

    def __init__(self, nonce: int) -> None:
        self.nonce = nonce
        self.answered = asyncio.Event()


class Clones(Control):
    """Keeps a second host out. `alarm` is called in the event loop for each that is refused."""

    def __init__(
        self,
        counters: Counters,
        alarm: Callable[[Clone], None],
        random: Callable[[], int],
        answer_s: float = ANSWER_S,
    ) -> None:
        """`random` gives 64 bits."""
        self._counters = counters
        self._alarm = alarm
        self._random = random
        self._answer_s = answer_s
        self._live: dict[str, Stream] = {}
        self._asked: dict[Stream, _Question] = {}

    async def enter(self, peer: Peer, hello: pb.Hello) -> None:
        """EndedError if another host is in under this name, and alive."""
        older = self._live.get(peer.agent_id)
        if older is None or _host(older.hello) == _host(hello):
            return
        before_us = older.heard_us
        if await self._answers(older):
            self._counters.add("turned_away", label="clone")
            _log.warning(
                "%s: %s (%s) refused: %s (%s) is in under this name, and is another host",
                peer.agent_id,
                hello.host_name[:64],
                peer.address,
                older.hello.host_name[:64],
                older.peer.address,
            )
            self._alarm(Clone(peer.agent_id, older.peer, older.hello, peer, hello))
            message = f"another host delivers as {peer.agent_id} now"
            raise EndedError(grpc.StatusCode.ALREADY_EXISTS, message)
        if self._live.get(peer.agent_id) is not older:
            if (newer := self._live.get(peer.agent_id)) is not None and _host(newer.hello) != _host(hello):
                raise EndedError(grpc.StatusCode.UNAVAILABLE, f"another host has just come in as {peer.agent_id}")
            return
        if older.heard_us > before_us:  # it reads and does not answer: we are behind with reading, or it is very old
            self._counters.add("turned_away", label="perhaps_clone")
            message = f"another host delivers as {peer.agent_id}, and it is not clear whether it still does; come again"
            raise EndedError(grpc.StatusCode.UNAVAILABLE, message)
        self._counters.add("hosts_changed")
        _log.info("%s: has come from another host, %s", peer.agent_id, peer.address)
        older.cut(grpc.StatusCode.UNAVAILABLE, "another host has taken the place of this one, which did not answer")

    async def _answers(self, stream: Stream) -> bool:
        """Whether it answers a question in time; False at once when it leaves."""
        question = self._asked.get(stream)
        if question is None:
            question = self._asked[stream] = _Question(self._random())
            stream.tell(pb.CollectorMessage(ping=pb.Ping(nonce=question.nonce)))
        loop = asyncio.get_running_loop()
        end = loop.time() + self._answer_s
        while not question.answered.is_set() and self._asked.get(stream) is question and loop.time() < end:
            await asyncio.sleep(_POLL_S)
        if self._asked.get(stream) is question:
            del self._asked[stream]
        return question.answered.is_set()

    def entered(self, stream: Stream) -> None:
        """It is in; whoever it has superseded is not asked any more."""
        self._live[stream.peer.agent_id] = stream

    def heard(self, stream: Stream, message: pb.AgentMessage) -> None:
        """Is it the answer?"""
        question = self._asked.get(stream)
        if message.WhichOneof("kind") == "pong" and question is not None and message.pong.nonce == question.nonce:
            question.answered.set()

    def left(self, stream: Stream) -> None:
        """It is gone."""
        self._asked.pop(stream, None)
        if self._live.get(stream.peer.agent_id) is stream:
            del self._live[stream.peer.agent_id]


def _host(hello: pb.Hello) -> tuple[str, str]:
    return hello.machine_id[:128], hello.kernel_boot_id[:64]
