"""The register `agents`: who has come in, what it said of itself, and where it belongs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from luytre_common.settings import at_least, setting
from luytre_common.telemetry import Counters

from luytre_collector import registers
from luytre_collector.ingest.roster import Facts, Roster
from luytre_collector.sites import Sites
from luytre_collector.store import sql
from luytre_collector.store.base import Store

#: Agents asked for in one question.
_AT_ONCE = 500


@dataclass(frozen=True)
class Config:
    """The register of agents."""

    interval_s: float = setting(10.0, "how often what is new is written, seconds", at_least(0.1))
    seen_s: float = setting(60.0, "how far last_seen may be behind, seconds", at_least(1))


class AgentWriter:
    """Writes what the roster has. Driven by one thread.

    Counters: `agents_written` (rows); gauges `agents_known` (of this process), `agents_unassigned` (connected agents
    that no system names).
    """

    def __init__(
        self,
        store: Store,
        roster: Roster,
        sites: Sites,
        config: Config,
        collector_id: str,
        clock: Callable[[], float],
        counters: Counters,
    ) -> None:
        self._store = store
        self._roster = roster
        self._sites = sites
        self._config = config
        self._collector_id = collector_id
        self._clock = clock
        self._counters = counters
        self._written: dict[str, tuple[int, int]] = {}  # of every agent: first_seen, recorded_time

    def write(self) -> None:
        """Write what is new. If that fails, it comes with the next call."""
        taken = self._roster.take(int(self._config.seen_s * 1_000_000))
        try:
            rows = self._rows(taken)
            if rows:
                token = f"agents/{self._collector_id}/{rows[0]['recorded_time']}/{rows[0]['agent_id']}"
                registers.insert(self._store, registers.AGENTS, rows, token)
        except BaseException:
            self._roster.give_back(taken)
            raise
        self._written.update((row["agent_id"], (row["first_seen"], row["recorded_time"])) for row in rows)
        self._counters.add("agents_written", len(rows))
        self._counters.set("agents_known", len(self._written))
        nobodys = sum(self._sites.system_of(one) is None for one in self._roster.connected())
        self._counters.set("agents_unassigned", nobodys)

    def _rows(self, taken: Mapping[str, Facts]) -> list[registers.Row]:
        self._written |= self._found([name for name in taken if name not in self._written])
        now_us = int(self._clock() * 1_000_000)
        rows: list[registers.Row] = []
        for facts in taken.values():
            first_us, recorded_us = self._written.get(facts.agent_id, (facts.first_us, 0))
            where = registers.place(self._sites, facts.agent_id)
            times = {"first_seen": min(first_us, facts.first_us), "recorded_time": max(now_us, recorded_us + 1)}
            rows.append({**row_of(facts), **where, **times, "collector_id": self._collector_id})
        return rows

    def _found(self, names: Sequence[str]) -> dict[str, tuple[int, int]]:
        """What the table says of agents that this process has not written yet."""
        found: dict[str, tuple[int, int]] = {}
        for some in _pieces(names):
            rows = self._store.query(
                "SELECT agent_id, toUnixTimestamp64Micro(first_seen) AS first,"
                f" toUnixTimestamp64Micro(recorded_time) AS recorded FROM {sql.DATABASE}.agents AS found FINAL"
                " WHERE agent_id IN {names:Array(String)}",
                {"names": some},
            )
            found |= {row["agent_id"]: (row["first"], row["recorded"]) for row in rows.to_pylist()}
        return found


def row_of(facts: Facts) -> dict[str, object]:
    """What a row of `agents` says of the agent itself. Pure."""
    return {
        "agent_id": facts.agent_id,
        "host_name": facts.host_name,
        "host_id": facts.host_id,
        "host_os_full": facts.operating_system,
        "host_os_kernel": facts.kernel,
        "agent_version": facts.agent_version,
        "policy_version": facts.policy_version,
        "source_ip": facts.address,
        "x509_serial_number": f"{facts.serial:X}",
        "tls_client_hash_sha256": facts.fingerprint,
        "x509_not_after": facts.expires_us,
        "last_seen": facts.last_us,
    }


def _pieces(names: Sequence[str]) -> Iterator[list[str]]:
    rest = iter(names)
    while some := list(islice(rest, _AT_ONCE)):
        yield some
