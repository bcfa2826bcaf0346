"""A real collector with a file of sites: agents that come in are in the register, with where they belong; rows go by
the level of their system, also when the command asks while the collector runs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from luytre_common.wire.v1 import ingest_pb2 as pb

from tests.support.collector import CollectorProcess, stream

SITES = """
[[organisations]]
id = "hue"
name_vi = "Thành phố Huế"
[[organisations]]
id = "ward"
parent = "hue"
[[systems]]
id = "portal"
organisation = "hue"
level = 3
agents = ["portal-*"]
[[systems]]
id = "office"
organisation = "ward"
level = 2
agents = ["ward-*"]
"""


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[CollectorProcess]:
    sites = tmp_path / "sites.toml"
    sites.write_text(SITES)
    made = CollectorProcess(
        tmp_path, f'[sites]\nfile = "{sites}"\n[agents]\ninterval_s = 0.2\n[health]\ninterval_s = 0.5\n'
    )
    made.start()
    yield made
    made.close()


def until(look: Callable[[], Any], collector: CollectorProcess) -> Any:
    deadline = time.monotonic() + 30
    while not (seen := look()):
        assert time.monotonic() < deadline, collector.log()
        time.sleep(0.1)
    return seen


def listed(collector: CollectorProcess, *arguments: str) -> list[dict[str, Any]]:
    done = collector.command(*arguments, "--json", "--config", str(collector.config))
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_agents_that_come_in(collector: CollectorProcess) -> None:
    with (
        stream(collector.address, collector.identity("ward-1")) as ward,
        stream(collector.address, collector.identity("stray")) as stray,
    ):
        ward.hello(host="ward-1.hue.example")
        stray.hello()
        until(lambda: len(listed(collector, "agents")) == 2, collector)
        (agent,) = listed(collector, "agents", "--organisation", "hue")
        assert (agent["agent_id"], agent["system_id"], agent["level"]) == ("ward-1", "office", 2)
        assert (agent["host_name"], agent["agent_version"], agent["collector_id"]) == (
            "ward-1.hue.example", "0.1.0", "collector-test",
        )  # fmt: skip
        assert agent["source_ip"] == "::ffff:127.0.0.1"
        assert len(agent["tls_client_hash_sha256"]) == 64
        assert int(agent["x509_serial_number"], 16) > 0
        applied = pb.PolicyReport(version=12, state=pb.POLICY_STATE_APPLIED)
        ward.send(pb.AgentMessage(policy_report=applied))
        until(lambda: listed(collector, "agents", "--system", "office")[0]["policy_version"] == 12, collector)
        assert [(one["system_id"], one["kept_days"], one["agents"]) for one in listed(collector, "systems")] == [
            ("office", 31, 1),
            ("portal", 92, 0),
        ]
        until(lambda: collector.counter("agents_unassigned") == 1, collector)
    first = listed(collector, "agents")
    assert collector.stop() == 0
    sites = collector.folder / "sites.toml"
    sites.write_text(sites.read_text().replace('"ward-*"', '"stray"'))
    collector.start()
    assert [(one["agent_id"], one["system_id"], one["first_seen"]) for one in listed(collector, "agents")] == [
        ("stray", "office", first[0]["first_seen"]),
        ("ward-1", "", first[1]["first_seen"]),
    ]


def test_a_fault_of_the_sites_stops_the_start(collector: CollectorProcess) -> None:
    sites = collector.folder / "sites.toml"
    done = collector.command("check", "--config", str(collector.config))
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, f"{sites}: 2 organisations, 2 systems")
    sites.write_text(sites.read_text().replace("level = 3", "level = 7"))
    done = collector.command("check", "--config", str(collector.config))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"{sites}: systems[0].level: 7 is too large; the most is 5" in done.stderr
    sites.write_text(SITES)
    collector.config.write_text(collector.config.read_text() + '[[retention.holds]]\nname = "x"\nsystems = ["gone"]\n')
    done = collector.command("check", "--config", str(collector.config))
    assert done.returncode == 2
    assert 'retention.holds[0].systems: "gone" is not declared' in done.stderr
