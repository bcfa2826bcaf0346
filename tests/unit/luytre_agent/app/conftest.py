from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from luytre_agent import config
from luytre_common import settings

from tests.support.collector_end import Authority, Collector


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


@pytest.fixture
def collector(authority: Authority) -> Iterator[Collector]:
    made = Collector()
    made.start(authority.issue("collector"))
    yield made
    made.stop()


@pytest.fixture
def configured(tmp_path: Path, authority: Authority, collector: Collector) -> config.Config:
    identity = authority.issue("web-01")
    tables: dict[str, Any] = {
        "agent": {"name": "web-01.hue.example"},
        "tls": {name: str(getattr(identity, name)) for name in ("authority", "certificate", "key")},
        "uplink": {"collector": f"127.0.0.1:{collector.port}", "drain_seconds": 20.0, "reconnect_seconds": 0.2},
        "spool": {"directory": str(tmp_path / "spool")},
        "sources": {"state_directory": str(tmp_path / "state")},
        "health": {"interval_seconds": 0.1},
    }
    return settings.build(config.Config, tables)
