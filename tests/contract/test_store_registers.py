"""The registers in every store: organisations and systems as declared, agents as they come in."""

from __future__ import annotations

import json
import time

import pytest
from luytre_collector import registers
from luytre_collector.agents import AgentWriter, Config
from luytre_collector.ingest.control import Peer
from luytre_collector.ingest.roster import Roster
from luytre_collector.sites import NONE, Organisation, Sites, System
from luytre_collector.store.base import Store, StoreUnavailableError
from luytre_common.telemetry import Counters
from luytre_common.wire.v1 import ingest_pb2 as pb

NOW = 1_795_000_000
SITES = Sites(
    [Organisation("hue", "Hue City", "Thành phố Huế"), Organisation("ward", parent="hue")],
    [System("portal", "hue", 3, ["portal-*"]), System("office", "ward", 2, ["ward-*"])],
)


class Live:
    def __init__(self, agent_id: str, at_s: int = NOW, kernel: str = "6.1") -> None:
        self.peer = Peer(agent_id, 10, "ab" * 32, (NOW + 86_400) * 1_000_000, "ipv4:192.0.2.7:41234")
        self.hello = pb.Hello(protocol=1, host_name=f"{agent_id}.example", kernel=kernel)
        self.heard_us = at_s * 1_000_000

    def tell(self, message: object) -> None:
        raise AssertionError("the roster says nothing")

    end = cut = tell


def kept(system: System) -> int:
    return 30 * system.level


def declared(store: Store, sites: Sites, now: int) -> list[str]:
    return registers.declare(store, sites, kept, now * 1_000_000)


def shown(store: Store, sql: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in store.query_text(sql, "JSONEachRow").splitlines()]


def test_what_is_declared_is_there_and_what_is_not_goes(store: Store) -> None:
    assert declared(store, SITES, NOW) == [
        "organisations: declared hue", "organisations: declared ward", "systems: declared portal",
        "systems: declared office",
    ]  # fmt: skip
    assert declared(store, SITES, NOW + 1) == []
    assert shown(store, "SELECT organisation_name_vi AS n, organisation_path AS p FROM organisations ORDER BY p") == [
        {"n": "Thành phố Huế", "p": ["hue"]},
        {"n": "", "p": ["hue", "ward"]},
    ]
    fewer = Sites([Organisation("hue", "Huế")], [System("portal", "hue", 4, ["portal-*"])])
    assert declared(store, fewer, NOW - 999) == [  # a clock that was put back does not keep the old rows
        "organisations: declared hue", "organisations: removed ward", "systems: declared portal",
        "systems: removed office",
    ]  # fmt: skip
    for _ in range(2):
        assert shown(store, "SELECT organisation_id AS o, organisation_name AS n FROM organisations") == [
            {"o": "hue", "n": "Huế"}
        ]
        assert shown(store, "SELECT system_id AS s, system_level AS l, system_kept_days AS d FROM systems") == [
            {"s": "portal", "l": 4, "d": 120}
        ]
        store.command("OPTIMIZE TABLE luytre.systems FINAL")
        store.command("OPTIMIZE TABLE luytre.organisations FINAL")
    assert declared(store, fewer, NOW) == []
    assert len(declared(store, SITES, NOW + 5)) == 4


def test_agents_are_written_once_they_change(store: Store) -> None:
    roster, counters, clock = Roster(), Counters("agents"), [float(NOW)]
    writer = AgentWriter(store, roster, SITES, Config(), "collector-1", lambda: clock[0], counters)
    live = Live("ward-1")
    roster.entered(live)
    roster.entered(Live("stray"))
    writer.write()
    writer.write()
    assert counters.get("agents_written") == 2
    assert counters.get("agents_known") == 2
    assert counters.get("agents_unassigned") == 1
    columns = (
        "agent_id, system_id, system_level, organisation_id, organisation_path, host_name, host_os_kernel,"
        " collector_id, x509_serial_number, toString(source_ip) AS ip,"
        " toUnixTimestamp(x509_not_after) - toUnixTimestamp(first_seen) AS left,"
        " toUnixTimestamp(first_seen) AS first, toUnixTimestamp(last_seen) AS last"
    )
    (row,) = shown(store, f"SELECT {columns} FROM agents WHERE agent_id = 'ward-1'")
    assert row == {
        "agent_id": "ward-1", "system_id": "office", "system_level": 2, "organisation_id": "ward",
        "organisation_path": ["hue", "ward"], "host_name": "ward-1.example", "host_os_kernel": "6.1",
        "collector_id": "collector-1", "x509_serial_number": "A", "ip": "::ffff:192.0.2.7", "left": 86_400,
        "first": NOW, "last": NOW,
    }  # fmt: skip
    live.heard_us += 100_000_000
    clock[0] = NOW - 500  # a clock that was put back
    writer.write()
    assert shown(store, "SELECT count() AS n, max(toUnixTimestamp(last_seen)) AS l FROM agents") == [
        {"n": 2, "l": NOW + 100}
    ]


def test_a_collector_started_again_remembers_when_an_agent_first_came(store: Store) -> None:
    for at, kernel in ((NOW, "6.1"), (NOW + 5000, "6.2")):
        roster = Roster()
        writer = AgentWriter(store, roster, NONE, Config(), "c", lambda at=at: float(at), Counters("agents"))  # type: ignore[misc]
        for number in range(1100):  # more than are asked for at once
            roster.entered(Live(f"web-{number}", at, kernel))
        writer.write()
    found = shown(
        store,
        "SELECT count() AS n, uniqExact(agent_id) AS d, min(toUnixTimestamp(first_seen)) AS a,"
        " max(toUnixTimestamp(first_seen)) AS b, min(toUnixTimestamp(last_seen)) AS c, any(host_os_kernel) AS k"
        " FROM agents",
    )
    assert found == [{"n": 1100, "d": 1100, "a": NOW, "b": NOW, "c": NOW + 5000, "k": "6.2"}]


def test_agents_follow_the_file_of_sites(store: Store) -> None:
    roster = Roster()
    writer = AgentWriter(store, roster, NONE, Config(), "c", time.time, Counters("agents"))
    for name in ("ward-1", "portal-1", "stray"):
        roster.entered(Live(name))
    writer.write()
    assert declared(store, SITES, NOW)[-1] == "agents: 2 have another system, level or organisation"
    assert shown(store, "SELECT agent_id AS a, system_id AS s, host_name AS h FROM agents ORDER BY a") == [
        {"a": "portal-1", "s": "portal", "h": "portal-1.example"},
        {"a": "stray", "s": "", "h": "stray.example"},
        {"a": "ward-1", "s": "office", "h": "ward-1.example"},
    ]
    assert declared(store, SITES, NOW) == []


@pytest.mark.parametrize("error", [StoreUnavailableError("away"), OSError("no space"), MemoryError()])
def test_nothing_is_lost_while_the_store_is_away(
    store: Store, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    roster, counters = Roster(), Counters("agents")
    writer = AgentWriter(store, roster, SITES, Config(), "c", time.time, counters)
    roster.entered(Live("ward-1"))

    def away(*_: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(store, "insert", away)
        with pytest.raises(type(error)):
            writer.write()
    assert counters.get("agents_written") == 0
    writer.write()
    assert counters.get("agents_written") == 1
    assert shown(store, "SELECT agent_id AS a FROM agents") == [{"a": "ward-1"}]
