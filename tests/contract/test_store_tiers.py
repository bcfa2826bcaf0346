"""Hot and cold disks: the policy of deploy/clickhouse/server/tiers.xml in a real engine behind the bridge, with two
folders as its disks. What arrived long ago is written to the cold one at once, what arrives today to the hot one."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from luytre_collector import expiry
from luytre_collector.store import readonly, server
from luytre_collector.store.tiers import ARRIVAL
from luytre_common.errors import UserError
from luytre_common.schema import TABLES

from tests.contract.rows import make
from tests.support.bridge.process import Bridge

TIERS = Path(__file__).parents[2] / "deploy/clickhouse/server/tiers.xml"
TODAY = int(time.time())
DISKS = (
    "SELECT partition, disk_name AS disk, sum(rows) AS n FROM system.parts"
    " WHERE active AND database = 'luytre' AND table = 'flows' GROUP BY ALL ORDER BY partition"
)
POLICIES = "SELECT name, storage_policy AS policy, engine_full AS engine FROM system.tables WHERE database = 'luytre'"


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridge]:
    home = tmp_path_factory.mktemp("tiers")
    config = home / "config.xml"
    config.write_text(TIERS.read_text().replace("/srv/cold/clickhouse/", f"{home}/cold/"))
    with Bridge(home / "store", ["--config", str(config)]) as running:
        yield running


@contextmanager
def opened(bridge: Bridge, policy: str = "", days: int = 0, volume: str = "cold") -> Iterator[server.ServerStore]:
    config = server.Config(
        hosts=[bridge.host], storage_policy=policy, cold_after_days=days, cold_volume=volume
    )  # fmt: skip
    store = server.ServerStore(config, readonly.Config())
    store.open()
    try:
        yield store
    finally:
        store.close()


def insert(store: server.ServerStore, days_ago: int) -> str:
    """Ten flows that arrived then; the partition."""
    arrived = TODAY - days_ago * 86_400
    store.command(
        "INSERT INTO luytre.flows (agent_id, boot_id, stream, sequence, collector_time, flow_end)"
        f" SELECT 'web-01', 'b0', 'flows', number, fromUnixTimestamp64Micro({arrived}000000), now64(6) FROM numbers(10)"
    )
    return datetime.datetime.fromtimestamp(arrived, datetime.UTC).date().isoformat()


def test_old_rows_are_on_the_cold_volume_and_new_ones_on_the_hot_one(bridge: Bridge) -> None:
    with opened(bridge) as plain:  # tables that are there before anybody thinks of tiers
        plain.migrate()
        plain.insert("flows", make(TABLES["flows"], 10, nasty=False), "before")
    with opened(bridge, "luytre", 30) as store:
        done = store.migrate()
        assert "put flows on storage policy luytre" in done
        assert "moved flows_1h to volume cold after 30 days" in done
        assert store.migrate() == []
        store.command("TRUNCATE TABLE luytre.flows")
        old, new = insert(store, 31), insert(store, 29)
        assert store.query(DISKS).to_pylist() == [
            {"partition": old, "disk": "cold", "n": 10},
            {"partition": new, "disk": "default", "n": 10},
        ]
        store.command(f"ALTER TABLE luytre.flows DROP PARTITION '{old}'")  # as retention does
        found = {row["name"]: (row["policy"], row["engine"]) for row in store.query(POLICIES).to_pylist()}
        assert {name for name, (policy, _) in found.items() if policy == "luytre"} == set(ARRIVAL)
        assert {name for name, (_, engine) in found.items() if " TO VOLUME " in engine} == set(ARRIVAL)
    with opened(bridge, "luytre", 90) as store:
        assert store.migrate() == [f"moved {name} to volume cold after 90 days" for name in ARRIVAL]
        kept = insert(store, 60)
        assert {"partition": kept, "disk": "default", "n": 10} in store.query(DISKS).to_pylist()
    with opened(bridge, "luytre") as store:
        assert store.migrate() == [f"left {name} where it is" for name in ARRIVAL]
        assert store.migrate() == []


@pytest.mark.parametrize(
    ("policy", "days", "volume", "says"),
    [
        ("", 30, "cold", "cold_after_days needs store.server.storage_policy"),
        ("tiers", 0, "cold", "the server has no policy 'tiers', only default, luytre"),
        ("luytre", 30, "frozen", "policy 'luytre' has no volume 'frozen', only cold, default"),
    ],
)
def test_what_the_server_does_not_have_is_said(bridge: Bridge, policy: str, days: int, volume: str, says: str) -> None:
    with opened(bridge, policy, days, volume) as store, pytest.raises(UserError, match=says):
        store.migrate()


def test_a_policy_must_have_the_volumes_of_the_one_before_it(bridge: Bridge) -> None:
    with opened(bridge, "luytre") as store:
        store.migrate()
    with opened(bridge, "default") as store, pytest.raises(UserError, match="lacks the volumes cold on which flows is"):
        store.migrate()


def test_what_has_tiers_is_what_retention_deletes_by_day() -> None:
    assert set(ARRIVAL) == set(expiry.DAILY)
