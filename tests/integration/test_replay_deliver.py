"""A capture file through the real agent, mutual TLS and the real collector into chDB: the tables hold exactly what
`luytre-agent replay --json` prints, value by value, ALIAS columns included."""

from __future__ import annotations

import ipaddress
import json
import time
from collections import defaultdict
from pathlib import Path
from random import Random
from typing import Any

import pytest
from luytre_common.schema import COMMON, TABLES, Column, Kind

from deploy.demo import make_capture
from deploy.demo.services import AGENT, Site
from tests.bench import make_capture as bench_capture
from tests.integration.conftest import Start, command

#: What the collector stamps; the agent prints its zero.
STAMPED = {column.name for column in COMMON} - {"sequence"} | {"network_direction"}


def as_replay_prints(column: Column, value: Any) -> Any:
    """A value of ClickHouse's JSON in the words of `replay --json`."""
    if column.kind is Kind.TIME:
        return value.replace(" ", "T") + "Z"
    if column.kind is Kind.IP:
        address = ipaddress.IPv6Address(value)
        return str(address.ipv4_mapped or address)
    if column.kind in (Kind.U8, Kind.U16, Kind.U32, Kind.U64, Kind.I32):
        return int(value)
    if column.kind is Kind.U32S:
        return [int(one) for one in value]
    return value


def printed(capture: Path) -> dict[str, list[dict[str, Any]]]:
    done = command([*AGENT, "replay", capture, "--json"])
    assert done.returncode == 0, done.stderr
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in done.stdout.splitlines():
        row = json.loads(line)
        rows[row.pop("table")].append(row)
    return rows


def story(folder: Path) -> Path:
    path = folder / "story.pcap"
    make_capture.make(path, time.time() - make_capture.LENGTH_S, Random(1))
    return path


def bulk(folder: Path) -> Path:
    return bench_capture.cached(folder, packets=40_000)


@pytest.mark.parametrize("capture_maker", [story, bulk])
def test_tables_hold_what_replay_prints(capture_maker: Any, site: Site, ours: Start, tmp_path: Path) -> None:
    capture = capture_maker(tmp_path)
    expected = printed(capture)
    assert expected["flows"]
    assert expected["dns"]
    assert expected["tls"]
    ours(site.start_collector())
    config = site.agent_toml("web-01")
    done = command([*AGENT, "replay", capture, "--config", config, "--deliver"])
    assert done.returncode == 0, done.stderr

    for name in ("flows", "dns", "tls"):
        columns = TABLES[name].columns
        stored = site.query(f"SELECT {', '.join(column.name for column in columns)} FROM {name} ORDER BY sequence")
        assert [int(row["sequence"]) for row in stored] == list(range(len(expected[name])))
        assert {row["agent_id"] for row in stored} == {"web-01"}
        assert {row["stream"] for row in stored} == {name}
        assert all(row["collector_time"] >= row["agent_time"] for row in stored)
        for column in columns:
            if column.name not in STAMPED:
                got = [as_replay_prints(column, row[column.name]) for row in stored]
                assert got == [row[column.name] for row in expected[name]], f"{name}.{column.name}"


def test_delivering_twice_is_two_numberings_not_duplicates(site: Site, ours: Start, tmp_path: Path) -> None:
    capture = story(tmp_path)
    ours(site.start_collector())
    config = site.agent_toml("web-01")
    for _ in range(2):
        assert command([*AGENT, "replay", capture, "--config", config, "--deliver"]).returncode == 0
    found = site.query(
        "SELECT count() AS rows, uniqExact(boot_id, stream, sequence) AS distinct, uniqExact(flow_id) AS flows"
        " FROM flows"
    )
    assert int(found[0]["rows"]) == int(found[0]["distinct"]) == 2 * int(found[0]["flows"])


def test_direction_by_our_networks(site: Site, ours: Start, tmp_path: Path) -> None:
    ours(site.start_collector())
    config = site.agent_toml("web-01")
    assert command([*AGENT, "replay", story(tmp_path), "--config", config, "--deliver"]).returncode == 0
    found = site.query(
        "SELECT DISTINCT network_direction AS direction,"
        " source_ip IN (toIPv6('10.77.0.10'), toIPv6('fd77:7072::10')) AS ours FROM flows ORDER BY ours"
    )
    assert [(row["direction"], int(row["ours"])) for row in found] == [("inbound", 0), ("outbound", 1)]
