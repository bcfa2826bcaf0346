"""Organisations, information systems, and which agents belong to which: declared in one TOML file.

    [[organisations]]
    id = "hue"
    name = "Hue City"
    name_vi = "Thành phố Huế"

    [[organisations]]
    id = "hue-kim-long"
    name = "Kim Long ward"
    name_vi = "Phường Kim Long"
    parent = "hue"

    [[systems]]
    id = "hue-portal"
    name_vi = "Cổng dịch vụ công"
    organisation = "hue"
    level = 3
    agents = ["hue-portal-*"]

An agent belongs to the first system that names it, and by it to an organisation and all above that. An agent that no
system names belongs to nobody. The level is the security level of the information system (cấp độ), 1 to 5.
"""

from __future__ import annotations

import fnmatch
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TypeVar

from luytre_common import settings
from luytre_common.errors import ConfigError, UserError
from luytre_common.settings import at_least, at_most, not_empty, required, setting

#: Agents whose system is remembered.
_REMEMBERED = 100_000

_WILD = re.compile(r"[*?\[]")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def identifier(value: str) -> str | None:
    """A setting's check: what can be an id here."""
    return None if _ID.fullmatch(value) else "is not an id: letters, digits, . _ and -, at most 64"


@dataclass(frozen=True)
class Config:
    """Organisations and information systems."""

    file: Path | None = setting(None, "TOML file that declares them, such as /etc/luytre/sites.toml")


@dataclass(frozen=True)
class Organisation:
    """An organisation: a ministry, a province, a ward."""

    id: str = required("its id, which stays when it is renamed", identifier)
    name: str = setting("", "its name in English")
    name_vi: str = setting("", "its name in Vietnamese")
    parent: str = setting("", "id of the organisation above it")


@dataclass(frozen=True)
class System:
    """An information system of an organisation."""

    id: str = required("its id, which stays when it is renamed", identifier)
    organisation: str = required("id of the organisation that it belongs to")
    level: int = required("its security level, 1 to 5", at_least(1), at_most(5))
    agents: list[str] = required("names of its agents; * and ? stand for any characters", not_empty)
    name: str = setting("", "its name in English")
    name_vi: str = setting("", "its name in Vietnamese")


@dataclass(frozen=True)
class Sites:
    """What is declared. Made by `read`, which has checked it as a whole."""

    organisations: list[Organisation] = setting([], "organisations")
    systems: list[System] = setting([], "information systems; an agent belongs to the first that names it")

    def system_of(self, agent_id: str) -> System | None:
        """The system that an agent belongs to: the first that names it."""
        return self._remembered(agent_id)

    def path(self, organisation: str) -> tuple[str, ...]:
        """The ids of an organisation and all above it, the topmost first; empty for none."""
        found: list[str] = []
        while organisation and organisation not in found:
            found.append(organisation)
            organisation = self.organisation[organisation].parent if organisation in self.organisation else ""
        return tuple(reversed(found))

    @cached_property
    def organisation(self) -> dict[str, Organisation]:
        """Organisations by id."""
        return {one.id: one for one in self.organisations}

    @cached_property
    def system(self) -> dict[str, System]:
        """Systems by id."""
        return {one.id: one for one in self.systems}

    @cached_property
    def _remembered(self) -> Callable[[str], System | None]:
        return lru_cache(maxsize=_REMEMBERED)(self._find)

    def _find(self, agent_id: str) -> System | None:
        places = (
            place
            for size in self._sizes
            for place, pattern in self._by_begin.get(agent_id[:size], ())
            if fnmatch.fnmatchcase(agent_id, pattern)
        )
        first = min(places, default=None)
        return None if first is None else self.systems[first]

    @cached_property
    def _by_begin(self) -> dict[str, list[tuple[int, str]]]:
        """Places of systems and their patterns, by what stands before the first wildcard: of some thousand patterns,
        few begin as a name does."""
        found: dict[str, list[tuple[int, str]]] = {}
        for place, system in enumerate(self.systems):
            for pattern in system.agents:
                found.setdefault(_WILD.split(pattern, maxsplit=1)[0], []).append((place, pattern))
        return found

    @cached_property
    def _sizes(self) -> list[int]:
        return sorted({len(begin) for begin in self._by_begin})

    def unknown(self, kind: str, ids: Sequence[str]) -> list[str]:
        """Which of these ids of `organisations` or `systems` are not declared."""
        known = self.organisation if kind == "organisations" else self.system
        return [one for one in ids if one not in known]


#: Nothing is declared.
NONE = Sites()


def matches(agent_id: str, patterns: Sequence[str]) -> bool:
    """Whether one of the patterns is this agent's name."""
    return any(fnmatch.fnmatchcase(agent_id, pattern) for pattern in patterns)


def read(config: Config) -> Sites:
    """What the file declares; nothing if there is no file. UserError if it cannot be read; ConfigError names every
    fault in it."""
    if config.file is None:
        return NONE
    try:
        config.file.open("rb").close()
    except OSError as error:
        raise UserError(f"{config.file}: {error.strerror}; see sites.file in the configuration") from None
    found = settings.load(Sites, config.file)
    faults = list(_faults(found))
    if faults:
        raise ConfigError(config.file, faults)
    return Sites([_composed(one) for one in found.organisations], [_composed(one) for one in found.systems])


Named = TypeVar("Named", Organisation, System)


def _composed(one: Named) -> Named:
    """Names in one of the ways in which Unicode writes a Vietnamese letter, the composed one (NFC)."""
    name, name_vi = (unicodedata.normalize("NFC", text) for text in (one.name, one.name_vi))
    return replace(one, name=name, name_vi=name_vi)


def _faults(sites: Sites) -> Iterator[str]:
    """What is wrong between the entries."""
    for kind, ids in (
        ("organisations", [one.id for one in sites.organisations]),
        ("systems", [one.id for one in sites.systems]),
    ):
        for one, times in Counter(ids).items():
            if times > 1:
                yield f'{kind}: the id "{one}" is there {times} times; give each its own'
    for number, organisation in enumerate(sites.organisations):
        where = f"organisations[{number}].parent"
        if organisation.parent and organisation.parent not in sites.organisation:
            yield f'{where}: "{organisation.parent}" is not declared; add it to [[organisations]]'
        elif _in_circle(sites, organisation):
            yield f'{where}: "{organisation.id}" is above itself; take one parent out of the circle'
    first: dict[str, str] = {}
    for number, system in enumerate(sites.systems):
        if system.organisation not in sites.organisation:
            where = f"systems[{number}].organisation"
            yield f'{where}: "{system.organisation}" is not declared; add it to [[organisations]]'
        for pattern in dict.fromkeys(system.agents):
            if first.setdefault(pattern, system.id) != system.id:
                where = f"systems[{number}].agents"
                yield f'{where}: "{pattern}" belongs to system "{first[pattern]}" already; an agent has one system'


def _in_circle(sites: Sites, one: Organisation) -> bool:
    seen: set[str] = set()
    parent = one.parent
    while parent and parent not in seen:
        if parent == one.id:
            return True
        seen.add(parent)
        parent = sites.organisation[parent].parent if parent in sites.organisation else ""
    return False
