"""What the network of a host was, and the rows of `network_changes` that follow from what it is. No input or output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from luytre_agent.sources.host.rtnetlink import News, Thing
from luytre_agent.sources.host.things import Change, Facts, differences, pairs

Row = dict[str, Any]
Key = tuple[object, ...]
Neighbours = Literal["none", "gateways", "all"]

_SOURCES = {"firewall": "nftables", "resolver": "file", "hosts": "file"}


class NetworkState:
    """Every thing by its key. What is over `most` things of a kind is not kept: `overflows` counts it.

    Neighbours stay known after the kernel has forgotten them, so that a new MAC address after a silence is a change.
    """

    def __init__(self, neighbours: Neighbours = "gateways", most: int = 20_000) -> None:
        self.overflows = 0
        self._neighbours = neighbours
        self._most = most
        self._things: dict[str, dict[Key, Thing]] = {}
        #: What all neighbours are, gateways or not: a route may make one a gateway later.
        self._waiting: dict[Key, Thing] = {}

    def names(self) -> dict[int, str]:
        """The interfaces by index."""
        return {key[1]: one.interface for key, one in self._of("link").items() if isinstance(key[1], int)}

    def gateways(self) -> set[str]:
        """Next hops of the default routes."""
        return {gateway for one in self._of("route").values() for gateway in one.gateways}

    def apply(self, news: News) -> list[Row]:
        """One message of the kernel."""
        rows: list[Row] = []
        for thing in news.things:
            kind = self._of(thing.kind)
            if thing.kind == "neighbour":
                rows += self._neighbour(thing)
            elif news.gone:
                old = kind.pop(thing.key, None)
                if old is not None:
                    rows.append(self._row(Change("removed", old.key, old.facts, {}), old))
            else:
                old = kind.get(thing.key)
                if old is None and len(kind) >= self._most:
                    self.overflows += 1
                    continue
                kind[thing.key] = thing
                rows += self._compared({} if old is None else {thing.key: old}, {thing.key: thing})
                if thing.kind == "route":
                    rows += self._become_gateways()
        return rows

    def replace(self, kind: str, things: Iterable[Thing], first: bool = False) -> list[Row]:
        """Everything there is of a kind, after a dump or another look. first: the snapshot at the start."""
        fresh = {thing.key: thing for thing in things}
        if kind == "neighbour":
            return [row for thing in fresh.values() for row in self._neighbour(thing, first)]
        if len(fresh) > self._most:
            self.overflows += len(fresh) - self._most
            fresh = dict(list(fresh.items())[: self._most])
        before, self._things[kind] = self._of(kind), fresh
        rows = list(self._compared(before, fresh, first))
        return rows + (self._become_gateways(first) if kind == "route" else [])

    def _of(self, kind: str) -> dict[Key, Thing]:
        return self._things.setdefault(kind, {})

    def _neighbour(self, thing: Thing, first: bool = False) -> list[Row]:
        if self._neighbours == "none":
            return []
        if self._neighbours == "gateways" and thing.subject not in self.gateways():
            self._waiting.pop(thing.key, None)
            self._waiting[thing.key] = thing
            if len(self._waiting) > self._most:
                self._waiting.pop(next(iter(self._waiting)))
            return []
        known = self._of("neighbour")
        old = known.pop(thing.key, None)
        if old is None and len(known) >= self._most:
            self.overflows += 1
            known.pop(next(iter(known)))
        known[thing.key] = thing
        return list(self._compared({} if old is None else {thing.key: old}, {thing.key: thing}, first))

    def _become_gateways(self, first: bool = False) -> list[Row]:
        gateways = self.gateways()
        found = [one for one in self._waiting.values() if one.subject in gateways]
        for one in found:
            del self._waiting[one.key]
        return [row for one in found for row in self._neighbour(one, first)]

    def _compared(self, before: Mapping[Key, Thing], after: Mapping[Key, Thing], first: bool = False) -> Iterator[Row]:
        for change in differences(_facts(before), _facts(after)):
            thing = after.get(change.key) or before[change.key]
            yield self._row(change, thing, first)

    def _row(self, change: Change[Key], thing: Thing, first: bool = False) -> Row:
        return {
            "event_action": "seen" if first else change.action,
            "event_source": _SOURCES.get(thing.kind, "rtnetlink"),
            "network_change_kind": thing.kind,
            "network_interface_name": thing.interface,
            "network_change_subject": thing.subject,
            "network_change_before": pairs(change.before),
            "network_change_after": pairs(change.after),
            "network_change_notes": " ".join(self._notes(change, thing)),
        }

    def _notes(self, change: Change[Key], thing: Thing) -> Iterator[str]:
        if thing.kind == "link" and change.after.get("promiscuous") == "yes" != change.before.get("promiscuous"):
            yield "promiscuous"
        default = thing.facts.get("type") == "unicast" and thing.subject in ("0.0.0.0/0", "::/0")
        if thing.kind == "route" and default:
            yield "default_route"
        if thing.kind == "neighbour" and change.action == "changed" and thing.subject in self.gateways():
            yield "gateway_mac_changed"


def _facts(things: Mapping[Key, Thing]) -> dict[Key, Facts]:
    return {key: thing.facts for key, thing in things.items()}
