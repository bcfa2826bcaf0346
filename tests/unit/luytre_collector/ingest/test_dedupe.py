"""What of a batch is new."""

from collections.abc import Sequence

from luytre_collector.ingest.dedupe import Dedupe, Fresh, Numbering, compare
from luytre_common.telemetry import Counters

from tests.support.batches import admitted, message


def test_compare() -> None:
    assert compare(-1, 0, 10) == Fresh(0, 0)
    assert compare(9, 10, 5) == Fresh(0, 0)
    assert compare(9, 0, 10) == Fresh(10, 0)
    assert compare(20, 0, 10) == Fresh(10, 0)
    assert compare(4, 0, 10) == Fresh(5, 0)
    assert compare(9, 15, 5) == Fresh(0, 5)
    assert compare(-1, 3, 5) == Fresh(0, 3)


class Asked:
    def __init__(self, answer: int) -> None:
        self.answer = answer
        self.keys: list[tuple[str, ...]] = []
        self.questions = 0

    def __call__(self, table: str, numberings: Sequence[Numbering]) -> dict[Numbering, int]:
        self.questions += 1
        self.keys += [(table, *one) for one in numberings]
        return {} if self.answer < 0 else dict.fromkeys(numberings, self.answer)


def test_the_store_is_asked_once_and_memory_goes_on() -> None:
    asked, counters = Asked(4), Counters("pipeline")
    dedupe = Dedupe(asked, counters)
    assert dedupe.judge(admitted(message("dns", 10, 0))) == Fresh(5, 0)
    assert dedupe.judge(admitted(message("dns", 10, 0))) == Fresh(10, 0)
    assert dedupe.judge(admitted(message("dns", 2, 13))) == Fresh(0, 3)
    assert asked.keys == [("dns", "web-01", "0d4f6c0e-3f0b-4a5e-9d0e-0f5a1d2b3c4d", "dns")]
    assert counters.get("duplicate", "dns") == 1
    assert counters.get("duplicate_rows", "dns") == 15
    assert counters.get("sequence_gap", "dns") == 1
    assert counters.get("sequence_gap_rows", "dns") == 3


def test_after_forgetting_the_store_is_asked_again() -> None:
    asked = Asked(-1)
    dedupe = Dedupe(asked, Counters("pipeline"))
    batch = admitted(message("dns", 10, 0))
    dedupe.judge(batch)
    dedupe.forget(batch)
    assert dedupe.judge(batch) == Fresh(0, 0)
    assert len(asked.keys) == 2


def test_memory_is_bounded() -> None:
    asked = Asked(-1)
    dedupe = Dedupe(asked, Counters("pipeline"), max_keys=2)
    for stream in ("a", "b", "c", "a"):
        dedupe.judge(admitted(message("dns", 1, 0, stream=stream)))
    assert [key[3] for key in asked.keys] == ["a", "b", "c", "a"]


def test_a_table_is_asked_once_about_all_numberings_that_are_new() -> None:
    asked = Asked(4)
    dedupe = Dedupe(asked, Counters("pipeline"))
    dedupe.judge(admitted(message("dns", 10, 0, stream="known")))
    many = [admitted(message(table, 10, 0, stream=stream)) for table in ("dns", "tls") for stream in "abcab"]
    dedupe.learn([*many, admitted(message("dns", 10, 10, stream="known"))])
    assert asked.questions == 3
    assert [(key[0], key[3]) for key in asked.keys[1:]] == [(table, one) for table in ("dns", "tls") for one in "abc"]
    assert [dedupe.judge(one).skip for one in many] == [5, 5, 5, 10, 10] * 2
    assert asked.questions == 3
