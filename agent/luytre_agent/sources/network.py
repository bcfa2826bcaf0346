"""Changes of the host's network: links, addresses, routes, neighbours, rules, name files and firewall rule sets.

The kernel tells of changes as they happen (rtnetlink, nftables); where it may have said less than all, everything is
asked for again and compared.
"""

from __future__ import annotations

import errno
import logging
import select
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from luytre_common.errors import Unavailable
from luytre_common.settings import at_least, at_most, setting
from luytre_common.telemetry import Counters, Sample
from luytre_common.wire.limits import MAX_ROWS

from luytre_agent.ease import Ease
from luytre_agent.sources.base import SealedBatch, Source
from luytre_agent.sources.host import name_files, nftables, rtnetlink
from luytre_agent.sources.host.files import content, mark
from luytre_agent.sources.host.netlink import NETLINK_NETFILTER, NETLINK_ROUTE, Dumper, Subscription, in_namespace
from luytre_agent.sources.host.network_state import NetworkState
from luytre_agent.sources.rows import Rows

_log = logging.getLogger("luytre.sources")

_GROUPS = (
    rtnetlink.LINK,
    rtnetlink.NEIGH,
    rtnetlink.V4_ADDRESS,
    rtnetlink.V4_ROUTE,
    rtnetlink.V4_RULE,
    rtnetlink.V6_ADDRESS,
    rtnetlink.V6_ROUTE,
    rtnetlink.V6_RULE,
)
#: Datagrams read in one poll at most, so that a flood of news does not keep a stop waiting.
_STEP = 1_000
#: A look at everything waits so long for more news, and at most this often.
_SETTLE_S = 0.3


@dataclass(frozen=True)
class Config:
    """Changes of the network: interfaces, routes, gateways, resolvers, firewall."""

    enabled: bool = setting(True, "whether to watch the network's configuration")
    network_namespace: str = setting("", "name as `ip netns` has it, or path; empty: the agent's own")
    root: Path = setting(Path("/"), "where the host's files are, for an agent in a container")
    neighbours: Literal["none", "gateways", "all"] = setting("gateways", "whose MAC addresses are watched")
    firewall: bool = setting(True, "watch nftables rule sets (needs CAP_NET_ADMIN)")
    file_seconds: float = setting(5.0, "look at resolv.conf, nsswitch.conf and hosts this often", at_least(0.1))
    receive_bytes: int = setting(1 << 20, "what the kernel keeps for us, bytes", at_least(4096), at_most(1 << 30))
    max_things: int = setting(20_000, "routes, neighbours, ... of each kind that are kept", at_least(16))
    batch_rows: int = setting(5_000, "rows of a batch at most", at_least(1), at_most(MAX_ROWS))
    batch_seconds: float = setting(1.0, "age of a batch at most", at_least(0.05), at_most(3600))


class Network:
    """The network configuration of one network namespace."""

    name = "network"
    patient = False

    def __init__(
        self,
        config: Config,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._clock = clock
        self._monotonic = monotonic
        self._counters = Counters(self.name)
        self._rows = Rows("network_changes", self._counters, config.batch_rows, config.batch_seconds, monotonic)
        self._state = NetworkState(config.neighbours, config.max_things)
        self._route: Subscription | None = None
        self._route_dump: Dumper | None = None
        self._filter: Subscription | None = None
        self._filter_dump: Dumper | None = None
        self._poller = select.poll()  # select(2) cannot wait for descriptors over 1023
        self._resync_at: float | None = None
        self._firewall_at: float | None = None
        self._files_at = 0.0
        self._file_marks: dict[str, object] = {}
        self._seen: set[str] = set()

    def open(self) -> None:
        """Subscribe; the first poll takes the snapshot. See `Source.open`."""
        config = self._config
        if not config.root.is_dir():
            raise Unavailable(f"{config.root}: no such folder", "correct [sources.network] root")
        try:
            in_namespace(config.network_namespace, self._subscribe)
        except OSError as error:
            self._hang_up()
            raise Unavailable(f"network changes: {error}", _remedy(error)) from None
        for one in (self._route, self._filter):
            if one is not None:
                self._poller.register(one.fileno(), select.POLLIN)
        now = self._monotonic()
        self._resync_at = self._files_at = now
        self._firewall_at = now if self._filter else None
        self._counters.set("firewall_available", int(self._filter is not None))

    def _subscribe(self) -> None:
        config = self._config
        self._route = Subscription(NETLINK_ROUTE, _GROUPS, config.receive_bytes)
        self._route_dump = Dumper(NETLINK_ROUTE)
        if not config.firewall:
            return
        try:
            self._filter = Subscription(NETLINK_NETFILTER, (nftables.GROUP,), config.receive_bytes)
            self._filter_dump = Dumper(NETLINK_NETFILTER)
        except OSError as error:
            self._filter = None
            self._counters.add("firewall_failures", label=_cause(error))
            _log.warning("network: no firewall rule sets: %s; the rest runs", error.strerror)

    def poll(self, timeout_s: float) -> Sequence[SealedBatch]:
        """See `Source.poll`."""
        if self._route is None:
            return ()
        now = self._monotonic()
        due = [at - now for at in (self._resync_at, self._firewall_at, self._files_at) if at is not None]
        wait_s = max(0.0, min(self._rows.wait_s(timeout_s), *due))
        ready = {descriptor for descriptor, _ in self._poller.poll(wait_s * 1000)}
        if self._route.fileno() in ready:
            self._hear_route()
        if self._filter is not None and self._filter.fileno() in ready:
            self._hear_firewall()
        now = self._monotonic()
        if self._resync_at is not None and now >= self._resync_at:
            self._resync()
        if self._firewall_at is not None and now >= self._firewall_at:
            self._look_at_firewall()
        if now >= self._files_at:
            self._files_at = now + self._config.file_seconds
            self._look_at_files()
        return self._rows.take()

    def _hear_route(self) -> None:
        assert self._route is not None
        names: dict[int, str] | None = None
        for _ in range(_STEP):
            try:
                found = self._route.receive()
            except OSError as error:
                self._lost(error)
                return
            if found is None:
                return
            self._counters.add("messages", len(found))
            for message in found:
                names = self._state.names() if names is None else names
                news = rtnetlink.read(message, names)
                if news is None:
                    continue
                self._write(self._state.apply(news))
                if news.doubtful and self._resync_at is None:
                    self._resync_at = self._monotonic() + _SETTLE_S
                if news.things[0].kind == "link":
                    names = None

    def _lost(self, error: OSError) -> None:
        if error.errno != errno.ENOBUFS:
            raise Unavailable(f"rtnetlink: {error}", "it is tried again") from None
        self._counters.add("overruns")
        self._resync_at = self._monotonic()

    def _hear_firewall(self) -> None:
        assert self._filter is not None
        for _ in range(_STEP):
            try:
                found = self._filter.receive()
            except OSError:  # lost or not: something changed, and everything is asked for
                self._counters.add("overruns", label="nftables")
                break
            if found is None:
                break
            self._counters.add("messages", len(found), "nftables")
        if self._firewall_at is None:
            self._firewall_at = self._monotonic() + _SETTLE_S

    def _resync(self) -> None:
        assert self._route_dump is not None
        self._resync_at = None
        self._counters.add("resyncs")
        for kind, (request, body) in rtnetlink.DUMPS.items():
            try:
                answers = self._route_dump.dump(request, body)
            except OSError as error:
                self._counters.add("dump_failures", label=kind)
                _log.warning("network: %s cannot be read: %s", kind, error)
                self._resync_at = self._monotonic() + self._config.file_seconds
                continue
            names = self._state.names()
            news = [rtnetlink.read(message, names) for message in answers]
            self._replace(kind, (thing for one in news if one for thing in one.things))

    def _look_at_firewall(self) -> None:
        assert self._filter_dump is not None
        self._firewall_at = None
        try:
            self._replace("firewall", list(nftables.rule_sets(self._filter_dump.dump)))
        except OSError as error:
            self._counters.add("firewall_failures", label=_cause(error))
            _log.warning("network: firewall rule sets cannot be read: %s", error)

    def _look_at_files(self) -> None:
        marks = {path: mark(self._config.root / path) for path in name_files.FILES}
        changed = {kind for path, (kind, _) in name_files.FILES.items() if marks[path] != self._file_marks.get(path, 0)}
        for kind in sorted(changed):
            things: list[rtnetlink.Thing] = []
            try:
                for path, (of, read) in name_files.FILES.items():
                    if of == kind and marks[path] is not None:
                        things += read(content(self._config.root / path, name_files.MAX_BYTES))
            except OSError as error:
                self._counters.add("file_failures", label=kind)
                _log.warning("network: %s", error)
                continue
            self._replace(kind, things)
        self._file_marks = marks

    def _replace(self, kind: str, things: Iterable[rtnetlink.Thing]) -> None:
        first = kind not in self._seen
        self._seen.add(kind)
        self._write(self._state.replace(kind, things, first))

    def _write(self, rows: Iterable[dict[str, Any]]) -> None:
        now = int(self._clock() * 1_000_000)
        for row in rows:
            self._rows.add({"event_time": now, **row})

    def ease(self, ease: Ease) -> float:
        """See `Source.ease`: later batches, then rests."""
        self._rows.ease(ease.batch_seconds)
        return ease.rest_seconds

    def samples(self) -> Sequence[Sample]:
        """See `Source.samples`."""
        foreign = sum(one.foreign for one in (self._route, self._filter) if one is not None)
        if self._route is not None:
            self._counters.set("messages_foreign", foreign)
            self._counters.set("overflows", self._state.overflows)
        return self._counters.samples()

    @property
    def finished(self) -> bool:
        """Never."""
        return False

    def close(self) -> Sequence[SealedBatch]:
        """See `Source.close`."""
        self._hang_up()
        return self._rows.flush()

    def _hang_up(self) -> None:
        for one in (self._route, self._route_dump, self._filter, self._filter_dump):
            if one is not None:
                one.close()
        self._route = self._route_dump = self._filter = self._filter_dump = None


def _cause(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, "OSError")


def _remedy(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "give an existing one in [sources.network] network_namespace"
    if isinstance(error, PermissionError):
        return "run the agent as root, or without [sources.network] network_namespace"
    return "it is tried again"


def build(config: Config) -> dict[str, Callable[[], Source]]:
    """The source, if it is wanted."""
    return {"network": partial(Network, config)} if config.enabled else {}
