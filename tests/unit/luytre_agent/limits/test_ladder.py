"""Scripts of what is used, and the steps they lead to."""

from __future__ import annotations

import itertools

from luytre_agent.ease import FULL
from luytre_agent.limits import Config, Ladder, Pressure, Step
from luytre_agent.limits.ladder import ease_of

OVER, UNDER = 10.0, 60.0


class Climb:
    """A ladder and a clock that moves by two seconds."""

    def __init__(self, lowest: int = 6) -> None:
        self.ladder = Ladder(OVER, UNDER, lowest)
        self.now = 1000.0
        self.said: list[tuple[float, int, str]] = []

    def go(self, seconds: float, *pressures: Pressure) -> list[int]:
        """The steps taken during so long."""
        taken = []
        for _ in range(int(seconds / 2)):
            self.now += 2
            change = self.ladder.judge(self.now, pressures)
            if change:
                taken.append(int(change.after))
                self.said.append((self.now, change.after, change.reason))
        return taken


def cpu(used: float) -> Pressure:
    return Pressure("cpu", used)


def spool(used: float) -> Pressure:
    return Pressure("spool", used, slow=True)


def test_one_step_for_each_time_over_the_budget_and_one_back_for_each_time_well_under() -> None:
    climb = Climb()
    assert climb.go(10, cpu(1.5)) == [], "not yet: it is not over for ten seconds"
    assert climb.go(2, cpu(1.5)) == [1]
    assert climb.go(20, cpu(1.5)) == [2, 3]
    assert climb.ladder.reason == "cpu"
    assert climb.go(60, cpu(0.5)) == []
    assert climb.go(2, cpu(0.5)) == [2]
    assert climb.go(120, cpu(0.5)) == [1, 0]
    assert climb.ladder.reason == ""
    assert climb.go(3600, cpu(0.1)) == []


def test_a_peak_is_not_enough() -> None:
    climb = Climb()
    for _ in range(50):
        assert climb.go(8, cpu(3)) == []
        assert climb.go(2, cpu(0.9)) == []


def test_between_seven_tenths_and_all_of_a_budget_nothing_moves() -> None:
    climb = Climb()
    climb.go(12, cpu(1.1))
    assert climb.go(7200, cpu(0.71)) == climb.go(7200, cpu(1.0)) == []
    assert climb.ladder.step == Step.LONGER_BATCHES


def test_one_budget_leads_down_and_all_must_have_room_for_the_way_up() -> None:
    climb = Climb()
    assert climb.go(12, cpu(0.2), Pressure("memory", 1.2)) == [1]
    assert climb.go(600, cpu(0.9), Pressure("memory", 0.2)) == []
    assert climb.go(62, cpu(0.2), Pressure("memory", 0.2)) == [0]
    assert [reason for *_, reason in climb.said] == ["memory", "memory"], "each step keeps its own reason"


def test_every_step_keeps_its_reason() -> None:
    climb = Climb()
    climb.go(12, cpu(1.2))
    climb.go(12, Pressure("uplink", 1.3, slow=True))
    climb.go(200, cpu(0.1))
    assert [(step, reason) for _, step, reason in climb.said] == [(1, "cpu"), (2, "uplink"), (1, "uplink"), (0, "cpu")]


def test_the_worst_budget_is_the_reason() -> None:
    climb = Climb()
    climb.go(12, cpu(1.2), Pressure("memory", 1.9), spool(1.1))
    assert climb.ladder.reason == "memory"


def test_a_level_leads_only_so_far_down_as_it_is_over() -> None:
    climb = Climb()
    assert climb.go(3600, spool(1.1)) == [1]
    assert climb.go(3600, spool(1.45)) == [2, 3]
    assert climb.go(3600, spool(1.99)) == [4, 5]
    assert climb.go(3600, spool(1.3)) == [], "a level must fall well below where the step began"
    assert climb.go(62, spool(1.2)) == [4]


def test_never_below_the_lowest_step() -> None:
    climb = Climb(lowest=2)
    assert climb.go(3600, cpu(9)) == [1, 2]
    assert Climb(lowest=0).go(3600, cpu(9)) == []
    assert Climb().go(3600, cpu(9)) == [1, 2, 3, 4, 5, 6]


def test_a_step_up_that_does_not_last_is_tried_more_and_more_rarely() -> None:
    climb = Climb()
    for _ in range(5000):
        # What would be used without the ladder is over, and what is used on step 1 is little.
        climb.go(2, cpu(1.5 if climb.ladder.step == 0 else 0.3))
    tries = [when for when, step, _ in climb.said if step == 0]
    waits = [round(after - before) for before, after in itertools.pairwise(tries)]
    assert waits[0] > 100
    assert waits == sorted(waits)
    assert waits[-1] == waits[-2] == 16 * 60 + 12 + 2, "sixteen times as long at most, and the way down"


def test_after_a_quiet_time_the_first_step_up_comes_soon_again() -> None:
    climb = Climb()
    for _ in range(6):
        climb.go(12, cpu(2))
        climb.go(3000, cpu(0.1))
    climb.go(12, cpu(2))
    assert climb.go(62, cpu(0.1)) == [0]


def test_what_each_step_asks_for() -> None:
    config = Config(batch_seconds=12, sample_one_in=32, rest_seconds=7)
    eases = [ease_of(step, config) for step in Step]
    assert eases[0] is FULL
    assert [ease.batch_seconds for ease in eases] == [0, *[12] * 6]
    assert [ease.details for ease in eases] == [True, True, *[False] * 5]
    assert [ease.one_in for ease in eases] == [1, 1, 1, 32, 0, 0, 0]
    assert [ease.rest_seconds for ease in eases] == [0, 0, 0, 0, 0, 7, 7]
    assert [ease.essential_batch_seconds for ease in eases] == [0, 0, 0, 0, 0, 0, 12], "processes and logins last"
