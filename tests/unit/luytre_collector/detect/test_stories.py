from __future__ import annotations

from luytre_collector.detect.stories import Story, due

SPAN, REMINDER = 60, 3600


def times(stories: list[Story], alerted: list[int]) -> list[int]:
    return [one.at_us for one in due(stories, alerted, SPAN, REMINDER)]


def test_a_story_is_told_once_from_its_start() -> None:
    assert times([Story(1000, 1500)], []) == [1000]
    assert times([Story(1000, 1500)], [1000]) == []


def test_two_stories_are_two_alerts() -> None:
    assert times([Story(1000, 1100), Story(1300, 1400)], []) == [1000, 1300]
    assert times([Story(1000, 1100), Story(1300, 1400)], [1000]) == [1300]


def test_a_late_row_that_moves_the_start_tells_nothing_new() -> None:
    assert times([Story(970, 1500)], [1000]) == []
    assert times([Story(1030, 1500)], [1000]) == []
    first, moved = due([Story(990, 1500)], [], SPAN, REMINDER), due([Story(961, 1500)], [], SPAN, REMINDER)
    assert first[0].anchor == moved[0].anchor


def test_a_story_that_goes_on_is_told_again_after_the_reminder() -> None:
    assert times([Story(1000, 4600)], [1000]) == []
    assert times([Story(1000, 4601)], [1000]) == [4601]


def test_a_story_whose_start_is_out_of_sight_remembers_its_alert() -> None:
    assert times([Story(4000, 4100, open_start=True)], [1000]) == []
    assert times([Story(4000, 4100)], [1000]) == [4000]
    assert times([Story(9000, 9100, open_start=True)], [1000]) == [9000]
