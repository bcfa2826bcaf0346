from __future__ import annotations

from luytre_agent.batch import Key
from luytre_agent.uplink.session import Flight, Session

FLOWS, DNS = Key("boot", "flows"), Key("boot", "dns")


def session(credit: int = 2) -> Session:
    made = Session(0.0)
    made.welcome(credit, 0.0)
    return made


def test_nothing_goes_before_the_welcome() -> None:
    one = Session(0.0)
    assert not one.room
    one.welcome(1, 0.0)
    assert one.room


def test_an_acknowledgement_gives_back_room_and_sets_the_credit() -> None:
    one = session()
    one.sent(Flight(FLOWS, 0, 9), 1.0)
    one.sent(Flight(DNS, 0, 4), 1.0)
    assert not one.room
    assert one.acknowledge(FLOWS, 9, 1, 2.0) == 9
    assert not one.room, "the credit is 1 now and one batch is on its way"
    assert one.acknowledge(DNS, 4, 1, 2.0) == 4
    assert one.room


def test_what_was_not_sent_or_not_whole_is_not_acknowledged() -> None:
    one = session()
    one.sent(Flight(FLOWS, 0, 9), 1.0)
    assert one.acknowledge(FLOWS, 8, 2, 2.0) is None
    assert one.acknowledge(DNS, 99, 2, 2.0) is None
    assert one.acknowledge(FLOWS, 1 << 63, 2, 2.0) == 9
    assert one.acknowledge(FLOWS, 1 << 63, 2, 2.0) is None


def test_a_refusal_lands_one_batch() -> None:
    one = session()
    one.sent(Flight(FLOWS, 0, 9), 1.0)
    assert not one.refuse(FLOWS, 10, 2.0)
    assert one.refuse(FLOWS, 0, 2.0)
    assert not one.flights


def test_overdue_only_when_an_answer_is_owed() -> None:
    one = Session(0.0)
    assert one.overdue(11.0, 10.0), "no welcome"
    one.welcome(2, 11.0)
    assert not one.overdue(1000.0, 10.0)
    one.sent(Flight(FLOWS, 0, 9), 1000.0)
    assert not one.overdue(1010.0, 10.0)
    assert one.overdue(1011.0, 10.0)
