"""What an agent's heartbeats say of its sources, its degradation and its clock, and since when. Pure.

Each condition is told of once when it holds, and once when it is over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from luytre_common.wire.v1 import ingest_pb2 as pb

from luytre_collector.ingest.finding import Kind, clean
from luytre_collector.ingest.skew import Skew

_SECOND = 1_000_000
#: Sources of one agent that are followed at most.
MOST_SOURCES = 1000
_GONE = "gone: the agent has no such source any more"

#: What, of which source (or empty), since when, and what is known of it.
Change = tuple[Kind, str, int, Mapping[str, object]]


class Limits(Protocol):
    """How long a condition may hold; see `presence.Config`."""

    @property
    def source_lost_after_s(self) -> float:
        """Of a source that is not available."""

    @property
    def degraded_after_s(self) -> float:
        """Of an agent that does less."""

    @property
    def skew_alert_s(self) -> float:
        """How far a clock may be off."""


class States:
    """The conditions of one agent."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        #: Sources that were available, and have not been told of as lost.
        self.available: set[str] = set()
        #: Lost sources, and since when.
        self.lost: dict[str, int] = {}
        self._missing: dict[str, int] = {}
        self.degraded_since_us = 0
        self._degradation_told = False
        self._clock_off_since_us = 0

    @property
    def only_files(self) -> bool:
        """Whether all its sources are capture files."""
        known = self.available | set(self.lost)
        return bool(known) and all(kind_of(name) == "replay" for name in known)

    def follow(self, working: Iterable[str]) -> None:
        """These are available, from now on or since earlier; so many are followed, and no more."""
        fresh = [name for name in working if name not in self.available]
        room = max(0, MOST_SOURCES - len(self.available) - len(self.lost))
        self.available.update(fresh[:room])

    def beat(self, said: pb.Heartbeat, skew: Skew, now_us: int) -> Iterator[Change]:
        """What a heartbeat that came at `now_us` changes."""
        if said.sources:  # an agent that begins has none yet
            yield from self._sources(said, now_us)
        yield from self._degradation(said, now_us)
        yield from self._clock(skew, now_us)

    def _sources(self, said: pb.Heartbeat, now_us: int) -> Iterator[Change]:
        given = {clean(one.name, 128): one for one in said.sources[:MOST_SOURCES]}
        working = {name for name, one in given.items() if one.available}
        kinds = {kind_of(name) for name in given}
        working_kinds = {kind_of(name) for name in working}
        off = {clean(one, 128) for one in said.sources_off[:MOST_SOURCES]}
        for name in [one for one in (*self.available, *self.lost) if kind_of(one) in off]:  # a policy wanted that
            self.available.discard(name)
            self._missing.pop(name, None)
            self.lost.pop(name, None)
        for name in [
            one for one in self.lost if one in working or (one not in given and kind_of(one) in working_kinds)
        ]:
            since_us = self.lost.pop(name)
            yield Kind.SOURCE_BACK, name, since_us, {"source": name, "lost_for_s": (now_us - since_us) // _SECOND}
        for name in self.available - working:
            if name not in given and kind_of(name) in kinds:  # an interface that went; there are others
                self.available.discard(name)
                self._missing.pop(name, None)
                continue
            since_us = self._missing.setdefault(name, now_us)
            if now_us > since_us and now_us - since_us >= self._limits.source_lost_after_s * _SECOND:
                self.available.discard(name)
                del self._missing[name]
                self.lost[name] = since_us
                reason = clean(given[name].reason, 500) if name in given else _GONE
                yield Kind.SOURCE_LOST, name, since_us, {"source": name, "reason": reason, "since_us": since_us}
        for name in working:
            self._missing.pop(name, None)
        self.follow(sorted(working))

    def _degradation(self, said: pb.Heartbeat, now_us: int) -> Iterator[Change]:
        since_us = self.degraded_since_us
        if not said.degradation:
            if self._degradation_told:
                yield Kind.RESTORED, "", since_us, {"degraded_for_s": (now_us - since_us) // _SECOND}
            self.degraded_since_us, self._degradation_told = 0, False
            return
        since_us = self.degraded_since_us = since_us or now_us
        if not self._degradation_told and now_us - since_us >= self._limits.degraded_after_s * _SECOND:
            self._degradation_told = True
            reason = clean(said.degradation_reason, 500)
            yield Kind.DEGRADED, "", since_us, {"step": said.degradation, "reason": reason, "since_us": since_us}

    def _clock(self, skew: Skew, now_us: int) -> Iterator[Change]:
        beyond = skew.beyond(int(self._limits.skew_alert_s * _SECOND))
        if beyond and not self._clock_off_since_us:
            self._clock_off_since_us = now_us
            side = "behind" if skew.us > 0 else "ahead"
            yield Kind.CLOCK_OFF, "", now_us, {"clock": side, "skew_ms": abs(skew.us) // 1000}
        elif beyond is False and self._clock_off_since_us:
            since_us, self._clock_off_since_us = self._clock_off_since_us, 0
            facts = {"skew_ms": abs(skew.us) // 1000, "off_for_s": (now_us - since_us) // _SECOND}
            yield Kind.CLOCK_RIGHT, "", since_us, facts


def kind_of(source: str) -> str:
    """`packets` of `packets:eth0#2`."""
    return source.partition(":")[0]
