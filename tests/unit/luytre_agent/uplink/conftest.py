from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from luytre_agent.spool import Config as SpoolConfig
from luytre_agent.spool import Spool
from luytre_agent.uplink import Config, Uplink, encode
from luytre_common import tls
from luytre_common.wire.v1 import ingest_pb2 as pb

from tests.support.collector_end import Authority, Collector, Sealed


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


@pytest.fixture
def make_authority() -> type[Authority]:
    return Authority


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.stop()


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(SpoolConfig(directory=tmp_path / "spool", ledger_seconds=0.0), encode, lambda: 0.0, "kernel")
    made.open()
    yield made
    made.close()


@pytest.fixture
def sealed() -> type[Sealed]:
    return Sealed


@pytest.fixture
def make_uplink(spool: Spool) -> Iterator[Callable[..., Uplink]]:
    """Uplinks that wait next to nothing before they try again; stopped at the end."""
    made: list[Uplink] = []

    def make(
        identity: tls.Config,
        port: int,
        told: Callable[[pb.Policy], None] | None = None,
        local: Callable[[], datetime] = datetime.now,
        **settings: Any,
    ) -> Uplink:
        config = Config(**{"collector": f"127.0.0.1:{port}", "reconnect_seconds": 0.1} | settings)
        known = tls.read(identity, "agent")
        uplink = Uplink(
            config, identity, known, spool, lambda: pb.Hello(protocol=1), lambda: 0.1, told=told, local=local
        )
        made.append(uplink)
        uplink.start()
        return uplink

    yield make
    for uplink in made:
        uplink.stop()
