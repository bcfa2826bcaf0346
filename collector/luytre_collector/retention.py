"""How long rows are kept: by the level of the information system, by class of agents, with holds. Pure.

What counts for the rows of an agent, in this order: the first class that names it, but no less than its system's level
asks for; the level of its system; `days`. Alerts, and the ledger that says what became of rows, are kept `alert_days`.
Nothing is kept longer than `max_days`, but for what a hold names: that stays until the hold is taken out.

The least for a level is what TCVN 14423:2026 asks of logs: nothing for level 1, then 1, 3, 6 and 12 months. Defaults
are the longest that so many months can be, because a law counts months.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from luytre_common.errors import ConfigError
from luytre_common.settings import at_least, required, setting

from luytre_collector import sites
from luytre_collector.sites import Sites, System

#: Days that a level asks for at least.
LEAST = {1: 1, 2: 30, 3: 90, 4: 180, 5: 365}


def iso_day(value: str) -> str | None:
    """A setting's check: a date as YYYY-MM-DD."""
    try:
        datetime.date.fromisoformat(value)
    except ValueError:
        return "is not a date, YYYY-MM-DD"
    return None


@dataclass(frozen=True)
class Levels:
    """Days of arrival for which rows of agents are kept, by the level of their information system."""

    level_1: int = setting(31, "level 1", at_least(LEAST[1]))
    level_2: int = setting(31, "level 2; at least 1 month", at_least(LEAST[2]))
    level_3: int = setting(92, "level 3; at least 3 months", at_least(LEAST[3]))
    level_4: int = setting(184, "level 4; at least 6 months", at_least(LEAST[4]))
    level_5: int = setting(366, "level 5; at least 12 months", at_least(LEAST[5]))

    def days(self, level: int) -> int:
        """The days of a level, 1 to 5."""
        return (self.level_1, self.level_2, self.level_3, self.level_4, self.level_5)[level - 1]


@dataclass(frozen=True)
class Class:
    """Agents whose rows are kept for another time than their level says."""

    name: str = required("what it is called")
    days: int = required("days of arrival that are kept", at_least(1))
    agents: list[str] = setting([], "names of agents; * and ? stand for any characters")
    systems: list[str] = setting([], "ids of information systems: all their agents")
    organisations: list[str] = setting([], "ids of organisations: all their agents, and those of the ones below")


@dataclass(frozen=True)
class Hold:
    """Rows that must not be deleted: an incident, an order. It is for everybody if it names nobody."""

    name: str = required("what it is called")
    agents: list[str] = setting([], "names of agents; * and ? stand for any characters")
    systems: list[str] = setting([], "ids of information systems: all their agents")
    organisations: list[str] = setting([], "ids of organisations: all their agents, and those of the ones below")
    first_day: str = setting("1970-01-01", "first day of arrival (UTC)", iso_day)
    last_day: str = setting("9999-12-31", "last day of arrival (UTC)", iso_day)


@dataclass(frozen=True)
class Config:
    """How long rows are kept, by day of arrival (UTC)."""

    days: int = setting(365, "rows of agents that are in no class and of no information system", at_least(1))
    alert_days: int = setting(730, "alerts and the ledger", at_least(1))
    max_days: int = setting(3653, "nothing is kept longer, but for holds", at_least(1))
    interval_s: float = setting(3600.0, "seconds between looks", at_least(1))
    levels: Levels = setting(Levels(), "by level of the information system")
    classes: list[Class] = setting([], "agents whose rows are kept shorter or longer; the first that fits counts")
    holds: list[Hold] = setting([], "what must not be deleted")


#: Agents whose days are remembered.
_REMEMBERED = 100_000


class Keeping:
    """The configuration and the sites together. ConfigError names every fault between them."""

    def __init__(self, config: Config, declared: Sites = sites.NONE) -> None:
        self.config = config
        self._sites = declared
        if faults := list(_faults(config, declared)):
            raise ConfigError(None, faults)
        self.days = lru_cache(maxsize=_REMEMBERED)(self._days)

    @property
    def shortest(self) -> int:
        """The fewest days for which any agent's rows are kept, or fewer."""
        return min(self._all_days())

    @property
    def longest(self) -> int:
        """The most days for which any agent's rows are kept, or more."""
        return max(self._all_days())

    def _days(self, agent: str) -> int:
        """How many days the rows of this agent are kept."""
        system = self._sites.system_of(agent)
        chosen = next((one.days for one in self.config.classes if self._covers(one, agent)), None)
        if chosen is not None:
            return max(chosen, LEAST[system.level]) if system else chosen
        return self.config.levels.days(system.level) if system else self.config.days

    def system_days(self, system: System) -> int:
        """How many days rows of a system's agents are kept, but for classes that name agents."""
        above = self._sites.path(system.organisation)
        for one in self.config.classes:
            if system.id in one.systems or any(name in one.organisations for name in above):
                return max(one.days, LEAST[system.level])
        return self.config.levels.days(system.level)

    def held(self, agent: str, first: datetime.date, last: datetime.date | None = None) -> bool:
        """Whether a hold keeps rows of this agent that arrived on this day, or on any from the first to the last."""
        end = (last or first).isoformat()
        return any(
            one.first_day <= end and first.isoformat() <= one.last_day and self._covers(one, agent)
            for one in self.config.holds
        )

    def _covers(self, one: Class | Hold, agent: str) -> bool:
        if not (one.agents or one.systems or one.organisations):
            return True
        if sites.matches(agent, one.agents):
            return True
        system = self._sites.system_of(agent)
        return system is not None and (
            system.id in one.systems or any(name in one.organisations for name in self._sites.path(system.organisation))
        )

    def _all_days(self) -> list[int]:
        levels = {system.level for system in self._sites.systems}
        return [
            self.config.days,
            *(one.days for one in self.config.classes),
            *(self.config.levels.days(level) for level in levels),
        ]


def _faults(config: Config, declared: Sites) -> Iterator[str]:
    for number, one in enumerate(config.classes):
        where = f"retention.classes[{number}]"
        if not (one.agents or one.systems or one.organisations):
            yield f"{where}: names nobody; give agents, systems or organisations"
        yield from _unknown(where, one, declared)
        if one.days > config.max_days:
            yield f"{where}.days: {one.days} is more than retention.max_days, {config.max_days}"
    for number, hold in enumerate(config.holds):
        where = f"retention.holds[{number}]"
        yield from _unknown(where, hold, declared)
        if hold.last_day < hold.first_day:
            yield f"{where}.last_day: {hold.last_day} is before first_day, {hold.first_day}"
    most = {"days": config.days, "alert_days": config.alert_days}
    for system in declared.systems:
        most[f"levels.level_{system.level}"] = config.levels.days(system.level)
    for name, days in most.items():
        if days > config.max_days:
            yield f"retention.{name}: {days} is more than retention.max_days, {config.max_days}"


def _unknown(where: str, one: Class | Hold, declared: Sites) -> Iterator[str]:
    for kind, ids in (("systems", one.systems), ("organisations", one.organisations)):
        for name in declared.unknown(kind, ids):
            yield f'{where}.{kind}: "{name}" is not declared; add it to the file that sites.file names'
