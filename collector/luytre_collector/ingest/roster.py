"""Who has come in, and what each says of itself: kept until it is written down (see `luytre_collector.agents`).

A `Control`, so nothing here blocks: facts are put into a table in memory, one entry for each agent, and taken from it
by the thread that writes them.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace

from luytre_common.wire.v1 import ingest_pb2 as pb

from luytre_collector.ingest.address import address_of
from luytre_collector.ingest.control import Control, Stream
from luytre_collector.ingest.finding import clean

#: Longest text that is kept of what an agent says of itself, characters.
_LONGEST = 256
_MACHINE_ID = re.compile(r"[0-9a-fA-F]{1,128}")


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an agent. Name and certificate are TLS's word, the rest is what it says of itself.

    expires_us, first_us, last_us: microseconds since 1970; first and last are those of this process.
    address: from which it came, 16 bytes as in `Kind.IP`.
    """

    agent_id: str
    serial: int
    fingerprint: str
    expires_us: int
    address: bytes
    host_name: str
    host_id: str
    operating_system: str
    kernel: str
    agent_version: str
    policy_version: int
    first_us: int
    last_us: int


class Roster(Control):
    """See the module."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed: dict[str, Facts] = {}
        self._live: dict[str, Stream] = {}
        self._known: dict[str, Facts] = {}

    def entered(self, stream: Stream) -> None:
        """See `Control.entered`."""
        agent_id = stream.peer.agent_id
        with self._lock:
            known = self._known.get(agent_id)
            facts = facts_of(stream)
            self._note(replace(facts, first_us=known.first_us) if known else facts)
            self._live[agent_id] = stream

    def heard(self, stream: Stream, message: pb.AgentMessage) -> None:
        """See `Control.heard`."""
        report = message.policy_report
        if message.WhichOneof("kind") != "policy_report":
            return
        if report.state not in (pb.POLICY_STATE_APPLIED, pb.POLICY_STATE_EXPIRED):
            return
        with self._lock:
            known = self._known.get(stream.peer.agent_id)
            if known and self._live.get(stream.peer.agent_id) is stream:
                in_force = report.version if report.state == pb.POLICY_STATE_APPLIED else 0
                self._note(replace(known, policy_version=in_force))

    def left(self, stream: Stream) -> None:
        """See `Control.left`."""
        agent_id = stream.peer.agent_id
        with self._lock:
            if self._live.get(agent_id) is stream:
                del self._live[agent_id]
                self._note(replace(self._known[agent_id], last_us=stream.heard_us))

    def connected(self) -> list[str]:
        """The agents that are in now."""
        with self._lock:
            return list(self._live)

    def take(self, quiet_us: int) -> dict[str, Facts]:
        """What is new since it was taken last; that an agent was heard is new after `quiet_us` microseconds."""
        with self._lock:
            for agent_id, stream in self._live.items():
                known = self._known[agent_id]
                heard = stream.heard_us
                if agent_id in self._changed or heard - known.last_us >= quiet_us:
                    self._note(replace(known, last_us=max(heard, known.last_us)))
            taken, self._changed = self._changed, {}
            return taken

    def give_back(self, taken: Mapping[str, Facts]) -> None:
        """What was taken could not be written: it is new again, unless there is something newer."""
        with self._lock:
            self._changed = {**taken, **self._changed}

    def _note(self, facts: Facts) -> None:
        self._known[facts.agent_id] = self._changed[facts.agent_id] = facts


def facts_of(stream: Stream) -> Facts:
    """What is known of an agent that has just come in."""
    peer, hello = stream.peer, stream.hello
    return Facts(
        agent_id=peer.agent_id,
        serial=peer.serial,
        fingerprint=peer.fingerprint,
        expires_us=peer.expires_us,
        address=address_of(peer.address),
        host_name=clean(hello.host_name, _LONGEST),
        host_id=hello.machine_id.lower() if _MACHINE_ID.fullmatch(hello.machine_id) else "",
        operating_system=clean(hello.operating_system, _LONGEST),
        kernel=clean(hello.kernel, _LONGEST),
        agent_version=clean(hello.agent_version, _LONGEST),
        policy_version=hello.policy_version,
        first_us=stream.heard_us,
        last_us=stream.heard_us,
    )
