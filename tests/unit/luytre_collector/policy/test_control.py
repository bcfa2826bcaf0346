from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from luytre_collector.ingest.control import Peer
from luytre_collector.policy import control
from luytre_collector.policy.control import Heard, PolicyControl
from luytre_collector.policy.folder import Published
from luytre_common.policy import Signed, read
from luytre_common.telemetry import Counters
from luytre_common.wire.v1 import ingest_pb2 as pb

from tests.support.policies import Signer

SIGNER = Signer()


@dataclass
class Line:
    """A stream."""

    peer: Peer
    hello: pb.Hello
    heard_us: int = 0
    told: list[int] = field(default_factory=list)

    def tell(self, message: pb.CollectorMessage) -> None:
        policy = message.policy
        assert SIGNER.sign(policy.document) == policy.signature
        self.told.append(policy.version)

    def end(self, status: grpc.StatusCode, message: str) -> None: ...

    def cut(self, status: grpc.StatusCode, message: str) -> None: ...


def line(name: str = "web-01", version: int = 0) -> Line:
    return Line(Peer(name, 1, "f", 0, "ipv4:192.0.2.7:4"), pb.Hello(host_name="web\x1b", policy_version=version))


def policies(*given: tuple[int, str]) -> tuple[Published, ...]:
    made = []
    for version, agents in given:
        one = SIGNER.given(version, agents=agents)
        made.append(Published(Path("x"), Signed(one.document, one.signature), read(one.document)))
    return tuple(made)


@pytest.fixture
def counters() -> Counters:
    return Counters("policy")


@pytest.fixture
def told(counters: Counters) -> PolicyControl:
    return PolicyControl(counters, lambda: 7)


def test_who_comes_with_an_older_version_gets_the_newest_at_once(told: PolicyControl, counters: Counters) -> None:
    told.publish(policies((9, "db-*"), (5, "web-*"), (4, "*")))
    new, current, other = line(), line("web-02", 5), line("mail-01", 9)
    for one in (new, current, other):
        told.entered(one)
    assert (new.told, current.told, other.told) == ([5], [], [])
    assert counters.get("policies_told") == 1


def test_a_new_one_goes_to_those_who_are_here_and_to_nobody_twice(told: PolicyControl) -> None:
    web, db = line(), line("db-01")
    for one in (web, db):
        told.entered(one)
    assert web.told == []
    told.publish(policies((1, "web-*")))
    told.publish(policies((1, "web-*")))
    assert (web.told, db.told) == ([1], [])
    told.publish(policies((2, "*"), (1, "web-*")))
    assert (web.told, db.told) == ([1, 2], [2])
    told.left(db)
    told.publish(policies((3, "*")))
    assert (web.told, db.told) == ([1, 2, 3], [2])


def test_an_older_stream_that_leaves_late_takes_nothing_away(told: PolicyControl) -> None:
    old, new = line(), line()
    told.entered(old)
    told.entered(new)
    told.left(old)
    told.publish(policies((1, "*")))
    assert (old.told, new.told) == ([], [1])


def test_reports_wait_to_be_taken(told: PolicyControl, counters: Counters, monkeypatch: pytest.MonkeyPatch) -> None:
    one = line()
    told.entered(one)
    told.heard(one, pb.AgentMessage(heartbeat=pb.Heartbeat()))
    report = pb.PolicyReport(version=3, state=pb.POLICY_STATE_ROLLED_BACK, message="a\nb" + "x" * 900)
    told.heard(one, pb.AgentMessage(policy_report=report))
    unknown = pb.AgentMessage()
    unknown.policy_report.ParseFromString(b"\x10\x63")  # state = 99
    told.heard(one, unknown)
    first, second = told.take()
    assert first == Heard("web-01", "web?", 7, 3, "rolled_back", "a b" + "x" * 497)
    assert second.state == "unspecified"
    assert told.take() == []
    assert counters.get("reports_heard", "rolled_back") == 1
    monkeypatch.setattr(control, "MAX_WAITING", 1)
    for _ in range(3):
        told.heard(one, pb.AgentMessage(policy_report=report))
    assert (len(told.take()), counters.get("reports_dropped", "full")) == (1, 2)
