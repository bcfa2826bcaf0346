"""How long rows are kept: the decision."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from luytre_collector import config as configuration
from luytre_collector.retention import LEAST, Class, Config, Hold, Keeping, Levels
from luytre_collector.sites import Organisation, Sites, System
from luytre_common.errors import ConfigError
from luytre_common.settings import build

SITES = Sites(
    [Organisation("hue"), Organisation("ward", parent="hue"), Organisation("other")],
    [
        System("portal", "hue", 3, ["portal-*"]),
        System("office", "ward", 1, ["ward-*"]),
        System("core", "hue", 5, ["core-*"]),
        System("elsewhere", "other", 2, ["else-*"]),
    ],
)
DAY = datetime.date(2026, 11, 5)


def test_by_level_of_the_information_system() -> None:
    keeping = Keeping(Config(), SITES)
    assert {name: keeping.days(name) for name in ("portal-1", "ward-1", "core-1", "else-1", "stray")} == {
        "portal-1": 92, "ward-1": 31, "core-1": 366, "else-1": 31, "stray": 365,
    }  # fmt: skip
    longer = Keeping(Config(levels=Levels(level_3=400)), SITES)
    assert longer.days("portal-1") == 400
    assert (longer.shortest, longer.longest) == (31, 400)
    assert Keeping(Config()).days("portal-1") == 365


def test_the_first_class_that_fits_counts_but_a_level_asks_for_its_least() -> None:
    classes = [
        Class("a", 10, agents=["stray", "ward-1"]),
        Class("b", 20, systems=["portal"]),
        Class("c", 500, organisations=["hue"]),
        Class("d", 7, agents=["*"]),
    ]
    keeping = Keeping(Config(classes=classes), SITES)
    found = {name: keeping.days(name) for name in ("stray", "ward-1", "portal-1", "core-1", "ward-2", "else-1", "x")}
    assert found == {
        "stray": 10, "ward-1": 10, "portal-1": 90, "core-1": 500, "ward-2": 500, "else-1": 30, "x": 7,
    }  # fmt: skip
    assert [keeping.system_days(system) for system in SITES.systems] == [90, 500, 500, 31]
    assert (keeping.shortest, keeping.longest) == (7, 500)


@given(
    st.integers(1, 800),
    st.lists(st.integers(1, 800), max_size=3),
    st.sampled_from(["portal-1", "core-1", "else-1", "x"]),
)
def test_no_agent_has_less_than_its_level_asks_for(days: int, classes: list[int], agent: str) -> None:
    config = Config(days=days, classes=[Class("c", one, agents=["portal-*", "core-1", "x"]) for one in classes])
    keeping = Keeping(config, SITES)
    system = SITES.system_of(agent)
    assert keeping.days(agent) >= (LEAST[system.level] if system else 1)
    assert keeping.shortest <= keeping.days(agent)


@pytest.mark.parametrize(
    ("hold", "agents"),
    [
        (Hold("all"), {"portal-1", "ward-1", "stray", ""}),
        (Hold("stars", ["*"]), {"portal-1", "ward-1", "stray", ""}),
        (Hold("one", ["ward-?"]), {"ward-1"}),
        (Hold("system", systems=["portal"]), {"portal-1"}),
        (Hold("top", organisations=["hue"]), {"portal-1", "ward-1"}),
        (Hold("below", organisations=["ward"]), {"ward-1"}),
        (Hold("any of them", ["stray"], ["portal"], ["ward"]), {"portal-1", "ward-1", "stray"}),
        (Hold("other days", last_day="2026-11-04"), set()),
        (Hold("other days", first_day="2026-11-06"), set()),
        (Hold("the day", first_day="2026-11-05", last_day="2026-11-05"), {"portal-1", "ward-1", "stray", ""}),
    ],
)
def test_a_hold_is_for_agents_systems_organisations_and_days(hold: Hold, agents: set[str]) -> None:
    keeping = Keeping(Config(holds=[hold]), SITES)
    assert {name for name in ("portal-1", "ward-1", "stray", "") if keeping.held(name, DAY)} == agents


def test_a_hold_within_a_month_keeps_the_month() -> None:
    keeping = Keeping(Config(holds=[Hold("x", first_day="2026-11-30", last_day="2027-01-01")]))
    month = [(datetime.date(2026, one, 1), datetime.date(2026, one, 28)) for one in (10, 11, 12)]
    assert [keeping.held("a", first, last) for first, last in month] == [False, False, True]
    assert keeping.held("a", datetime.date(2026, 11, 1), datetime.date(2026, 11, 30))


def test_mistakes_of_single_settings_are_named() -> None:
    with pytest.raises(ConfigError) as caught:
        build(
            Config,
            {
                "classes": [{"name": "x", "days": 0}],
                "holds": [{"name": "y", "first_day": "soon"}],
                "levels": {"level_2": 29, "level_3": 89, "level_4": 179, "level_5": 364},
            },
        )
    assert caught.value.faults == (
        "levels.level_2: 29 is too small; the least is 30",
        "levels.level_3: 89 is too small; the least is 90",
        "levels.level_4: 179 is too small; the least is 180",
        "levels.level_5: 364 is too small; the least is 365",
        "classes[0].days: 0 is too small; the least is 1",
        'holds[0].first_day: "soon" is not a date, YYYY-MM-DD',
    )
    assert configuration.Config.__dataclass_fields__["retention"]


def test_mistakes_between_settings_and_sites_are_named() -> None:
    config = Config(
        alert_days=900,
        max_days=400,
        levels=Levels(level_3=500, level_4=600),
        classes=[Class("nobody", 5), Class("long", 401, systems=["portal", "gone"])],
        holds=[Hold("x", organisations=["nowhere"]), Hold("y", first_day="2026-02-01", last_day="2026-01-01")],
    )
    with pytest.raises(ConfigError) as caught:
        Keeping(config, SITES)
    assert [fault.partition(";")[0] for fault in caught.value.faults] == [
        "retention.classes[0]: names nobody",
        'retention.classes[1].systems: "gone" is not declared',
        "retention.classes[1].days: 401 is more than retention.max_days, 400",
        'retention.holds[0].organisations: "nowhere" is not declared',
        "retention.holds[1].last_day: 2026-01-01 is before first_day, 2026-02-01",
        "retention.alert_days: 900 is more than retention.max_days, 400",
        "retention.levels.level_3: 500 is more than retention.max_days, 400",
    ]
