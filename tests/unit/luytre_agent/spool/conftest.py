from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from luytre_agent.batch import Key, SealedBatch
from luytre_agent.spool import Config, Spool
from luytre_agent.spool.model import Tally

from tests.support.spooled import gaps


@dataclass(frozen=True)
class Sealed:
    table: str = "flows"
    rows: int = 3
    body: bytes = b"x" * 100
    first_event: int = 1
    last_event: int = 2
    raw_size: int = 1000


def plain(sealed: SealedBatch, key: Key, first: int, now: float, link: bytes) -> bytes:
    """Not the wire's form: the spool must not care."""
    return json.dumps([sealed.table, key.boot_id, first, sealed.rows, sealed.body.decode("latin-1")]).encode()


@pytest.fixture
def told() -> Callable[[Spool], list[tuple[str, str, int, int]]]:
    """The gaps that wait as rows in a spool: stream, cause, first and last number."""

    def read(spool: Spool) -> list[tuple[str, str, int, int]]:
        found = [json.loads(one.record.batch) for one in spool.pending()]
        return [gap[1:] for one in found if one[0] == "ledger" for gap in gaps(one[4].encode("latin-1"))]

    return read


@pytest.fixture
def sealed() -> type[Sealed]:
    return Sealed


@pytest.fixture
def make_spool(tmp_path: Path) -> Callable[..., Spool]:
    """Opens spools, in the folder `spool` unless told otherwise."""

    def make(kernel: str = "kernel-1", tally: Tally = lambda key, entry, rows, cause: None, **settings: Any) -> Spool:
        config = Config(**{"directory": tmp_path / "spool", "ledger_seconds": 0.0} | settings)
        spool = Spool(config, plain, lambda: 1000.0, kernel, tally=tally)
        spool.open()
        return spool

    return make


@pytest.fixture
def crash(tmp_path: Path) -> Callable[[Spool], Path]:
    """The folder as a killed agent leaves it: a copy of the files as they are now."""
    number = iter(range(1_000_000))

    def copy(spool: Spool) -> Path:
        target = tmp_path / f"crashed-{next(number)}"
        shutil.copytree(spool.config.directory, target)
        return target

    return copy
