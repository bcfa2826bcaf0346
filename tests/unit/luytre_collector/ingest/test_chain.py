from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from luytre_collector.ingest.admit import Admitted, Refused, Sender, admit
from luytre_collector.ingest.chain import Chains, Link, Numbering
from luytre_collector.ingest.dedupe import Dedupe
from luytre_collector.ingest.finding import Finding, Kind
from luytre_common.telemetry import Counters
from luytre_common.wire import chain
from luytre_common.wire.v1 import ingest_pb2 as pb

from tests.support.batches import BOOT, NOW_US, SENDER, admitted
from tests.support.chained import Chained, altered

NUMBERING = ("web-01", BOOT, "flows")


class Collector:
    """Chains behind a dedupe, as in the pipeline. `written`: links in the store; `rows`: the last row in the table."""

    def __init__(self, written: dict[Numbering, Link] | None = None, rows: int = -1) -> None:
        self.counters = Counters("chain")
        self.written = written or {}
        self.asked = 0
        self.chains = Chains(self._stored, self.counters)
        self.dedupe = Dedupe(lambda _table, asked: dict.fromkeys(asked, rows), Counters("pipeline"))

    def _stored(self, numbering: Numbering) -> Link | None:
        self.asked += 1
        return self.written.get(numbering)

    def take(self, batches: Iterable[pb.Batch], now_us: int = NOW_US, refused: bool = False) -> list[Finding]:
        found = []
        for one in batches:
            batch = admitted(one, now_us=now_us)
            fresh = None if refused else self.dedupe.judge(batch)
            if (finding := self.chains.check(batch, fresh)) is not None:
                found.append(finding)
        return found

    def count(self, name: str, label: str = "flows") -> int:
        return self.counters.get(name, label)


def test_a_chain_that_is_whole() -> None:
    one = Collector()
    assert one.take(Chained().batches(20)) == []
    assert one.count("batches_verified") == 20
    assert one.asked == 0


def test_an_altered_batch_is_found_and_those_behind_it_are_sound() -> None:
    one = Collector()
    batches = Chained().batches(6)
    batches[2] = altered(batches[2])
    (found,) = one.take(batches)
    assert (found.kind, found.agent_id, found.facts["how"]) == (Kind.BATCH_BROKEN, "web-01", "altered")
    assert (found.facts["first_sequence"], found.facts["last_sequence"]) == (6, 8)
    assert found.rows == (f"flows/web-01/{BOOT}/flows/6", f"flows/web-01/{BOOT}/flows/8")
    assert one.count("batches_verified") == 5
    assert one.count("batches_broken", "altered") == 1


def test_one_with_a_chain_of_its_own_is_found_by_the_next() -> None:
    """Who can read the spool can recompute the link, but not those that the collector has seen or the agent holds."""
    one = Collector()
    batches = Chained().batches(4)
    forged = altered(batches[1])
    forged.chain = chain.link(batches[0].chain, 3, 3, forged.body)
    (found,) = one.take([batches[0], forged, *batches[2:]])
    assert (found.facts["how"], found.facts["first_sequence"]) == ("altered", 6)


def test_other_rows_under_known_numbers_are_found_though_they_are_not_stored() -> None:
    one = Collector()
    honest, copy = Chained(), Chained()
    one.take(honest.batches(3))
    assert one.take([copy.batch(), copy.batch()]) == []
    (found,) = one.take([copy.batch(zstd=False)])
    assert found.facts["how"] == "replaced"


def test_a_chain_that_is_left_out_from_a_numbering_that_had_one() -> None:
    one = Collector()
    batches = Chained().batches(3)
    batches[1].chain = b""
    (found,) = one.take(batches)
    assert found.facts["how"] == "stripped"
    assert one.count("batches_unverified") == 1


def test_agents_that_make_no_chain_are_counted() -> None:
    one = Collector()
    batches = Chained().batches(3)
    for batch in batches:
        batch.chain = b""
    assert one.take(batches) == []
    assert one.count("batches_unchained") == 3


def test_batches_that_come_again_are_sound_as_often_as_they_come() -> None:
    one = Collector()
    batches = Chained().batches(12)
    assert one.take(batches) == []
    assert one.take(batches[8:]) == []
    assert one.count("batches_verified") == 16
    assert one.take(batches[1:6]) == []  # of long ago: the links before them are forgotten, the rows are not stored
    assert one.count("batches_repeated") + one.count("batches_verified") == 21
    assert one.take([altered(batches[10])])[0].facts["how"] == "altered"
    assert one.asked == 0


def test_a_gap_begins_the_chain_anew_and_is_kept() -> None:
    one = Collector()
    batches = Chained().batches(6)
    assert one.take([*batches[:2], *batches[4:]]) == []
    (gap,) = one.chains.take_gaps()
    assert (gap.numbering, gap.table, gap.first, gap.last, gap.seen_us) == (NUMBERING, "flows", 6, 11, NOW_US)
    assert one.chains.take_gaps() == []
    assert one.count("gaps_met") == 1
    assert (one.count("batches_verified"), one.count("batches_unverified")) == (3, 1)
    one.chains.give_back([], [gap])
    assert one.chains.take_gaps() == [gap]


def test_the_beginning_that_is_missing_is_a_gap_too() -> None:
    one = Collector()
    one.take(Chained().batches(3)[1:])
    assert [(gap.first, gap.last) for gap in one.chains.take_gaps()] == [(0, 2)]


def test_refused_batches_are_links_all_the_same() -> None:
    one = Collector()
    batches = Chained().batches(4)
    one.take(batches[:1])
    assert one.take(batches[1:2], refused=True) == []
    assert one.take(batches[2:]) == []
    assert one.count("batches_verified") == 4
    assert one.chains.take_gaps() == []  # nothing is hidden: the collector has the batch, in quarantine


def test_over_a_restart_the_store_knows() -> None:
    batches = Chained().batches(4)
    first = Collector()
    first.take(batches[:2])
    ((numbering, link, at),) = first.chains.take_links()
    assert (numbering, link, at) == (NUMBERING, (5, batches[1].chain), NOW_US)
    assert first.chains.take_links() == []
    second = Collector({NUMBERING: link}, rows=5)
    assert second.take([altered(batches[2])])[0].facts["how"] == "altered"
    assert second.asked == 1
    third = Collector(rows=5)
    third.chains.remember([(NUMBERING, link)])
    assert third.take(batches[2:]) == []
    assert (third.asked, third.count("batches_verified")) == (0, 2)


def test_after_a_crash_the_first_link_behind_is_taken_over() -> None:
    batches = Chained().batches(5)
    one = Collector({NUMBERING: (2, batches[0].chain)}, rows=8)  # the table is further than what was written down
    assert one.take(batches[3:]) == []
    assert (one.count("batches_unverified"), one.count("batches_verified")) == (1, 1)
    assert one.chains.take_gaps() == []


def test_what_was_not_stored_is_forgotten_and_what_was_before_is_not() -> None:
    one = Collector()
    batches = Chained().batches(4)
    one.take(batches[:2])
    for batch in batches[2:]:
        one.take([batch])
    one.chains.forget(admitted(batches[2]))
    assert one.chains.take_links()[0][1] == (5, batches[1].chain)
    assert one.take(batches[2:]) == []
    assert one.count("batches_verified") == 6
    one.chains.forget(admitted(batches[0]))
    assert one.chains.take_links() == []
    one.chains.give_back([(NUMBERING, (11, b""), NOW_US)], [])
    assert one.chains.take_links() == []


def test_of_one_agent_and_table_not_more_than_an_alert_in_ten_minutes() -> None:
    one = Collector()
    made = Chained()
    bad = [altered(batch) for batch in made.batches(30)]
    assert len(one.take(bad)) == 1
    assert one.count("batches_broken", "altered") == 30
    assert one.counters.get("alerts_left_out") == 29
    other = Chained(boot="00000000-0000-4000-8000-000000000007")
    assert one.take([altered(other.batch())]) == []
    assert len(one.take([altered(Chained("dns").batch())])) == 1
    (found,) = one.take([altered(made.batch())], now_us=NOW_US + 600_000_000)
    assert found.facts["first_sequence"] == 90
    (found,) = one.take([altered(made.batch())], now_us=NOW_US - 86_400_000_000)  # our clock was set back
    assert found.facts["first_sequence"] == 93


def test_memory_is_bounded() -> None:
    chains = Chains(lambda _: None, Counters("chain"), max_numberings=10)
    dedupe = Dedupe(lambda _table, _numberings: {}, Counters("pipeline"))
    for number in range(30):
        made = Chained(boot=f"00000000-0000-4000-8000-{number:012d}")
        made.next = 5
        for batch in (admitted(made.batch()), admitted(made.batch())):
            chains.check(batch, dedupe.judge(batch))
    assert len(chains.take_links()) == 10
    assert len(chains.take_gaps()) == 30


def test_gaps_that_nobody_fetches_are_left_out_and_counted() -> None:
    one = Collector()
    made = Chained(count=1)
    body = admitted(made.batch())
    fresh = one.dedupe.judge(body)
    for number in range(10_003):
        one.chains.check(replace(body, first_sequence=10 + 2 * number), replace(fresh, skip=0, gap=1))
    assert len(one.chains.take_gaps()) == 10_000
    assert one.counters.get("gaps_left_out") == 3


@pytest.mark.parametrize("size", [1, 31, 33, 64])
def test_a_link_has_32_bytes(size: int) -> None:
    batch = Chained().batch()
    batch.chain = bytes(size)
    made = admit(batch, SENDER, NOW_US)
    assert isinstance(made, Refused)
    assert "chain has" in made.message


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 12))
def test_whatever_is_done_to_one_batch_is_noticed(seed: int, length: int) -> None:
    """Altered, taken out or put elsewhere: never does a whole chain come out of it."""
    random_ = random.Random(seed)
    batches = [admitted(one) for one in Chained().batches(length)]
    at = random_.randrange(length - 1)
    kind = random_.choice(["body", "rows", "first", "chain", "agent", "out"])
    broken = batches[at]
    flipped = bytearray(broken.body if kind == "body" else broken.chain)
    flipped[random_.randrange(len(flipped))] ^= 1 << random_.randrange(8)
    changes: dict[str, Admitted | None] = {
        "body": replace(broken, body=bytes(flipped)),
        "chain": replace(broken, chain=bytes(flipped)),
        "rows": replace(broken, row_count=broken.row_count + 1),
        "first": replace(broken, first_sequence=broken.first_sequence + 1),
        "agent": replace(broken, sender=Sender("web-02", "x")),
        "out": None,
    }
    one = Collector()
    found = []
    for number, batch in enumerate(batches):
        given_ = changes[kind] if number == at else batch
        if given_ is not None and (finding := one.chains.check(given_, one.dedupe.judge(given_))):
            found.append(finding)
    verified = sum(one.count("batches_verified", table) for table in ("flows",))
    assert verified < length
    assert found or one.chains.take_gaps()
