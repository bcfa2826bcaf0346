"""What the agent says of itself every few seconds, and last. The state is asked for, the message comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from luytre_common.wire.v1 import ingest_pb2 as pb

from luytre_agent.worker import State, Worker

#: The longest reason that is sent, characters.
_MOST = 300


class Governor(Protocol):
    """Who decides how much the agent does while the host has little to spare."""

    @property
    def step(self) -> int:
        """The step of the ladder; 0: everything is done."""

    @property
    def reason(self) -> str:
        """Why it is on it."""


class Outbox(Protocol):
    """Where batches wait; see `luytre_agent.spool.Spool`."""

    def unsettled(self) -> int:
        """How many wait."""

    def oldest_us(self) -> int:
        """When the oldest of them was appended, microseconds since 1970; 0 if there is none."""

    @property
    def disk_bytes(self) -> int:
        """What the place takes of the disk."""


def backlog(outbox: Outbox) -> tuple[int, int, int]:
    """Batches that wait, the bytes that the spool takes for them, and when the oldest came, microseconds since
    1970. Three zeros if none waits, which costs nothing to find out."""
    waiting = outbox.unsettled()
    oldest_us = outbox.oldest_us() if waiting else 0
    if not oldest_us:
        return 0, 0, 0
    return waiting, outbox.disk_bytes, oldest_us


def sources(workers: Sequence[Worker]) -> list[pb.SourceState]:
    """What every source is doing. A file that was read to its end is not missed."""
    return [
        pb.SourceState(
            name=worker.name,
            available=worker.state in (State.AVAILABLE, State.FINISHED),
            reason=_lacks(worker),
        )
        for worker in workers
    ]


def _lacks(worker: Worker) -> str:
    if worker.state is State.STARTING:
        return "starting"
    if worker.state is State.UNAVAILABLE:
        return (worker.reason or "failed; the agent's log says why")[:_MOST]
    return ""


class Heart:
    """Says that the agent lives, and how it is.

    say: sends a message if there is a connection, and says whether it did. governor: asked at each beat, None while
    there is none. off: the kinds of sources that a policy turned off.
    """

    def __init__(
        self,
        say: Callable[[pb.AgentMessage], bool],
        workers: Callable[[], Sequence[Worker]],
        outbox: Outbox,
        governor: Callable[[], Governor | None],
        clock: Callable[[], float],
        off: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._say = say
        self._workers = workers
        self._outbox = outbox
        self._governor = governor
        self._clock = clock
        self._off = off

    def beat(self) -> bool:
        """Say it now; whether there was a connection to say it on."""
        return self._say(pb.AgentMessage(heartbeat=self.message()))

    def message(self) -> pb.Heartbeat:
        """How the agent is."""
        batches, size, oldest_us = backlog(self._outbox)
        governor = self._governor()
        return pb.Heartbeat(
            agent_time_us=int(self._clock() * 1_000_000),
            batches_waiting=batches,
            bytes_waiting=size,
            oldest_waiting_us=oldest_us,
            degradation=governor.step if governor else 0,
            degradation_reason=governor.reason[:_MOST] if governor else "",
            sources=sources(self._workers()),
            sources_off=sorted(self._off()),
        )


def goodbye(reason: str, now: float) -> pb.AgentMessage:
    """The last words; `now` in seconds since 1970."""
    return pb.AgentMessage(goodbye=pb.Goodbye(agent_time_us=int(now * 1_000_000), reason=reason))
