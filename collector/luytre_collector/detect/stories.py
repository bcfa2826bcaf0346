"""Which stories deserve an alert: at most one while the same story goes on. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Story:
    """A group did what the rule says from `first_us` to `last_us`, without a pause longer than the rule's span.

    open_start: it may have begun before what was looked at.
    """

    first_us: int
    last_us: int
    open_start: bool = False


@dataclass(frozen=True, slots=True)
class Due:
    """An alert to make: about `at_us`; `anchor` names the story, the same however often it is looked at."""

    story: Story
    at_us: int
    anchor: str


def due(stories: Iterable[Story], alerted_us: Sequence[int], span_us: int, reminder_us: int) -> list[Due]:
    """The alerts that `stories` of one group need, given the times of those it has.

    A story with an alert is told again only after `reminder_us`. The anchor is cut to whole spans: a row that arrives
    late and moves a story's start by a little does not make another alert.
    """
    known = sorted(alerted_us)
    wanted: list[Due] = []
    for story in sorted(stories, key=lambda one: one.first_us):
        reach = reminder_us if story.open_start else span_us
        mine = [at for at in known if story.first_us - reach <= at <= story.last_us + span_us]
        if not mine:
            made = Due(story, story.first_us, f"start/{story.first_us // span_us}")
        elif story.last_us - mine[-1] > reminder_us:
            made = Due(story, story.last_us, f"after/{mine[-1] // span_us}")
        else:
            continue
        wanted.append(made)
        known = sorted([*known, made.at_us])
    return wanted
