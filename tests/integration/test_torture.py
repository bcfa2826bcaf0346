"""A short run of `tests.torture`: kills, cuts and full disks, and the tables hold what the spools took, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.torture import faults
from tests.torture.arena import arena
from tests.torture.run import run


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_nothing_is_lost_and_nothing_is_doubled_whoever_dies(tmp_path: Path) -> None:
    result = run(tmp_path, rounds=15, seed=20261130, agents=2, compare_every=8)
    assert result.verdict.good, str(result.verdict)
    assert result.flows == result.flows_in_sums
    assert result.verdict.kept > 0
    assert result.comparisons == 2


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_row_that_is_taken_out_or_put_in_twice_is_seen(tmp_path: Path) -> None:
    """The comparison itself is not blind."""
    import random

    with arena(tmp_path, 1, 1500, random.Random(3)) as place:
        (agent,) = place.agents.values()
        truth = place.truth(place.names[0])
        agent.wait_until(lambda: truth.exists() and truth.stat().st_size > 2000, 60)
        faults.lose_the_answer(place)
        place.settle()
        assert place.verdict().good
        with truth.open("a") as file:
            file.write("tried dns 5 6\nkept dns 5 6\n")
        assert place.verdict().missing == [("dns", 5), ("dns", 6)]
