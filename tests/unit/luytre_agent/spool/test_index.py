from __future__ import annotations

from luytre_agent.spool.index import Run


def run() -> Run:
    made = Run("flows")
    for first, last in ((0, 4), (5, 9), (20, 24)):  # 10 to 19 were dropped
        made.firsts.append(first)
        made.lasts.append(last)
    return made


def test_an_acknowledgement_settles_whole_batches_only() -> None:
    one = run()
    assert one.settle(8) == [5]
    assert [one.is_settled(first) for first in (0, 5, 20)] == [True, False, False]
    assert one.unsettled() == [(5, 9), (20, 24)]


def test_a_refused_batch_in_front_of_others_is_passed_when_they_are_stored() -> None:
    one = run()
    assert one.refuse(5) == 5
    assert one.refuse(5) == 0
    assert one.unsettled() == [(0, 4), (20, 24)]
    assert one.settle(4) == [5]
    assert one.done == 2
    assert one.settle(24) == [5]
    assert one.done == 3


def test_a_refusal_of_what_is_not_there_changes_nothing() -> None:
    one = run()
    assert [one.refuse(first) for first in (1, 25, 10)] == [0, 0, 0]
    one.settle(9)
    assert one.refuse(5) == 0
    assert one.unsettled() == [(20, 24)]
