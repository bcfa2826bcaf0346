from __future__ import annotations

import pytest
from luytre_collector.ingest.skew import Skew

LIMIT = 5_000_000


def of(*behind_us: int, most: int = 3) -> Skew:
    made = Skew(most)
    for one in behind_us:
        made.add(1_000_000_000, 1_000_000_000 + one)
    return made


def test_nothing_is_known_at_first() -> None:
    assert of().us == 0
    assert of().beyond(LIMIT) is None


def test_what_took_least_is_believed_and_old_samples_go() -> None:
    assert of(300, 90, 4_000_000).us == 90
    assert of(90, 300, 4_000_000, 500).us == 300
    assert of(-7_000_000, -6_500_000, -6_900_000).us == -7_000_000


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ((9_000_000, 9_000_000), None),  # too few
        ((9_000_000, 9_000_000, 9_000_000), True),
        ((-9_000_000, -9_000_000, -9_000_000), True),
        ((9_000_000, 1000, 9_000_000), None),  # two were late on their way
        ((9_000_000, -9_000_000, 9_000_000), None),
        ((1000, -1000, 5_000_000), False),
        ((-5_000_000, 0, 0), False),
        ((5_000_001, 5_000_001, 5_000_001), True),
    ],
)
def test_whether_it_is_off(samples: tuple[int, ...], expected: bool | None) -> None:
    assert of(*samples).beyond(LIMIT) is expected
