"""The configuration chooses, and goes through TOML."""

from __future__ import annotations

from pathlib import Path

import pytest
from luytre_collector.store import embedded
from luytre_collector.store.choose import STORES, Config, expect_made, make_store
from luytre_collector.store.embedded import EmbeddedStore
from luytre_collector.store.server import ServerStore
from luytre_common.errors import ConfigError, UserError
from luytre_common.settings import build, dump, load


def test_every_engine_has_its_store() -> None:
    assert isinstance(make_store(Config()), EmbeddedStore)
    assert isinstance(make_store(Config(engine="server")), ServerStore)
    assert set(STORES) == {"embedded", "server"}


def test_the_configuration_survives_a_dump(tmp_path: Path) -> None:
    path = tmp_path / "store.toml"
    path.write_text(dump(Config()))
    assert load(Config, path) == Config()


def test_every_fault_is_named() -> None:
    with pytest.raises(ConfigError) as refused:
        build(
            Config,
            {
                "engine": "mysql",
                "embedded": {"memory_limit_bytes": 1},
                "server": {"hosts": ["nowhere"], "compression": "rar"},
                "people": {"time_zone": "'; --", "max_rows": 0},
            },
        )
    faults = "\n".join(refused.value.faults)
    for part in ("engine", "embedded.memory_limit_bytes", "server.hosts", "server.compression", "people.time_zone"):
        assert part in faults
    assert "people.max_rows" in faults


def test_who_only_asks_makes_no_folder(tmp_path: Path) -> None:
    nowhere = Config(embedded=embedded.Config(tmp_path / "store"))
    with pytest.raises(UserError, match="no tables there yet; run: luytre-collector migrate"):
        expect_made(nowhere)
    assert not any(tmp_path.iterdir())
    expect_made(Config(embedded=embedded.Config(tmp_path)))
    expect_made(Config(engine="server", embedded=nowhere.embedded))
