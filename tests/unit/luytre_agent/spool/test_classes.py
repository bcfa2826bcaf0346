from __future__ import annotations

from luytre_agent.spool.classes import CLASSES, FIRST, LAST, NAMES, OWED, SECOND, Turns, class_of
from luytre_common.schema import WIRE_TABLES


def test_every_table_of_the_wire_has_one_class() -> None:
    named = [table for tables in CLASSES.values() for table in tables]
    assert sorted(named) == sorted(WIRE_TABLES)
    assert [class_of(table) for table in ("logins", "dns", "flows")] == [FIRST, SECOND, LAST]
    assert class_of("a table that does not exist yet") == SECOND


def drive(sizes: dict[int, int], rounds: int) -> list[int]:
    """Bytes sent of each class when all of `sizes` always have a batch of that size."""
    turns, sent = Turns(), [0] * len(NAMES)
    waiting = [one in sizes for one in range(len(NAMES))]
    for _ in range(rounds):
        chosen = turns.choose(waiting)
        turns.sent(chosen, sizes[chosen], waiting)
        sent[chosen] += sizes[chosen]
    return sent


def test_a_higher_class_goes_first() -> None:
    turns = Turns()
    assert turns.choose([True, True, True]) == FIRST
    assert turns.choose([False, True, True]) == SECOND
    assert turns.choose([False, False, True]) == LAST


def test_small_batches_of_a_higher_class_all_go_before_the_first_large_one_of_a_lower() -> None:
    turns, order = Turns(), []
    for left in range(200, 0, -1):
        waiting = [left > 0, False, True]
        chosen = turns.choose(waiting)
        turns.sent(chosen, OWED // 200, waiting)
        order.append(chosen)
    assert set(order) == {FIRST}


def test_lower_classes_get_their_share_and_no_more() -> None:
    sent = drive({FIRST: 10_000, LAST: 1_000_000}, 20_000)
    assert 0.09 < sent[LAST] / sum(sent) < 0.13
    sent = drive({FIRST: 10_000, SECOND: 50_000, LAST: 300_000}, 20_000)
    assert 0.08 < sent[SECOND] / sum(sent) < 0.13
    assert 0.08 < sent[LAST] / sum(sent) < 0.13


def test_alone_a_class_has_the_whole_line() -> None:
    assert drive({LAST: 7}, 100) == [0, 0, 700]
