"""Who has come in, as it is kept until it is written down."""

from __future__ import annotations

from luytre_collector.ingest.control import Peer
from luytre_collector.ingest.roster import Roster
from luytre_common.wire.v1 import ingest_pb2 as pb

SECOND = 1_000_000
MINUTE = 60 * SECOND


class Live:
    """A stream as a control sees it."""

    def __init__(self, agent_id: str = "web-01", at_s: int = 0, **hello: object) -> None:
        self.peer = Peer(agent_id, 0x2A9F, "ab" * 32, 99 * SECOND, "ipv4:192.0.2.7:41234")
        self.hello = pb.Hello(protocol=1, host_name="web-01.hue.example", **hello)  # type: ignore[arg-type]
        self.heard_us = at_s * SECOND

    def tell(self, message: object) -> None:
        raise AssertionError("the roster says nothing")

    end = cut = tell


def report(version: int, state: int = pb.POLICY_STATE_APPLIED) -> pb.AgentMessage:
    return pb.AgentMessage(policy_report=pb.PolicyReport(version=version, state=state))  # type: ignore[arg-type]


def test_what_an_agent_says_of_itself() -> None:
    roster = Roster()
    roster.entered(
        Live(
            operating_system="Debian\x1b[31m 12", kernel="6.1.0", agent_version="0.1.0", machine_id="AB12",
            policy_version=4,
        )
    )  # fmt: skip
    (facts,) = roster.take(MINUTE).values()
    assert (facts.agent_id, facts.serial, facts.fingerprint, facts.expires_us) == (
        "web-01", 0x2A9F, "ab" * 32, 99 * SECOND,
    )  # fmt: skip
    assert (facts.operating_system, facts.kernel, facts.host_id, facts.policy_version) == (
        "Debian?[31m 12", "6.1.0", "ab12", 4,
    )  # fmt: skip
    assert facts.address == bytes(10) + b"\xff\xff\xc0\x00\x02\x07"
    assert roster.take(MINUTE) == {}


def test_texts_are_short_and_a_machine_id_is_hexadecimal() -> None:
    roster = Roster()
    roster.entered(Live(operating_system="x" * 100_000, machine_id="'; DROP"))
    (facts,) = roster.take(MINUTE).values()
    assert len(facts.operating_system) == 256
    assert facts.host_id == ""


def test_that_it_was_heard_is_new_after_a_while() -> None:
    roster, live = Roster(), Live(at_s=10)
    roster.entered(live)
    roster.take(MINUTE)
    live.heard_us = 69 * SECOND
    assert roster.take(MINUTE) == {}
    live.heard_us = 70 * SECOND
    (facts,) = roster.take(MINUTE).values()
    assert (facts.first_us, facts.last_us) == (10 * SECOND, 70 * SECOND)


def test_a_policy_counts_when_it_is_applied() -> None:
    roster, live = Roster(), Live()
    roster.entered(live)
    roster.take(MINUTE)
    for state in (pb.POLICY_STATE_TRYING, pb.POLICY_STATE_REFUSED, pb.POLICY_STATE_ROLLED_BACK):
        roster.heard(live, report(7, state))
    roster.heard(live, pb.AgentMessage(heartbeat=pb.Heartbeat()))
    assert roster.take(MINUTE) == {}
    roster.heard(live, report(7))
    assert roster.take(MINUTE)["web-01"].policy_version == 7
    roster.heard(live, report(7, pb.POLICY_STATE_EXPIRED))
    assert roster.take(2 * MINUTE)["web-01"].policy_version == 0


def test_who_leaves_was_heard_until_then() -> None:
    roster, live = Roster(), Live()
    roster.entered(live)
    roster.take(MINUTE)
    live.heard_us = 5 * SECOND
    assert roster.connected() == ["web-01"]
    roster.left(live)
    assert roster.connected() == []
    assert roster.take(MINUTE)["web-01"].last_us == 5 * SECOND
    roster.left(Live("never-in"))
    assert roster.take(MINUTE) == {}


def test_an_older_stream_that_ends_changes_nothing_of_the_newer() -> None:
    roster, older, newer = Roster(), Live(at_s=1), Live(at_s=9, kernel="6.2")
    roster.entered(older)
    roster.entered(newer)
    roster.left(older)
    roster.heard(older, report(3))
    assert roster.connected() == ["web-01"]
    facts = roster.take(MINUTE)["web-01"]
    assert (facts.first_us, facts.last_us, facts.kernel, facts.policy_version) == (1 * SECOND, 9 * SECOND, "6.2", 0)


def test_what_could_not_be_written_comes_again_unless_there_is_newer() -> None:
    roster, live = Roster(), Live()
    roster.entered(live)
    roster.entered(Live("db-01"))
    taken = roster.take(MINUTE)
    roster.heard(live, report(9))
    roster.give_back(taken)
    again = roster.take(MINUTE)
    assert set(again) == {"web-01", "db-01"}
    assert again["web-01"].policy_version == 9
