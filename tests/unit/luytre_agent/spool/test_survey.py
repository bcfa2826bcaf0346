from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from luytre_agent.spool import Config, Spool, survey
from luytre_common.errors import UserError

Make = Callable[..., Spool]
NOW = 1_700_000_000.0


def filled(make_spool: Make, sealed: Any) -> Spool:
    """Two hours: a batch of flows each minute, one of logins each ten."""
    spool = make_spool(segment_bytes=4096, max_bytes=1 << 20)
    for minute in range(121):
        spool.append(sealed(table="flows"), NOW + 60 * minute)
        if minute % 10 == 0:
            spool.append(sealed(table="logins", rows=1), NOW + 60 * minute)
    return spool


def test_beside_a_running_agent(make_spool: Make, sealed: Any) -> None:
    spool = filled(make_spool, sealed)
    before = {path.name: path.stat().st_mtime_ns for path in spool.config.directory.iterdir()}
    spool.acknowledge(spool.boot_id, "flows", 29)
    spool.refuse(spool.boot_id, "logins", 0)
    found = survey(spool.config)
    assert found.holder == os.getpid()
    flows, logins = found.tables["flows"], found.tables["logins"]
    assert (logins.batches, logins.rows, logins.waiting_rows) == (13, 13, 12)
    assert flows.waiting_rows == 363 - 30
    assert flows.oldest_waiting_us == int(NOW + 600) * 1_000_000
    assert found.classes["first"] == logins
    assert found.classes["second"].batches == 0
    assert found.all.rows == flows.rows + 13
    assert found.gaps == 1
    assert found.bytes == sum(path.stat().st_size for path in spool.config.directory.iterdir())
    assert found.segments == len(list(spool.config.directory.glob("*.seg")))
    after = {path.name: path.stat().st_mtime_ns for path in spool.config.directory.iterdir()}
    assert {name: at for name, at in after.items() if name in before and name != "ledger"} == {
        name: at for name, at in before.items() if name in after and name != "ledger"
    }


def test_how_long_the_quota_lasts(make_spool: Make, sealed: Any) -> None:
    spool = filled(make_spool, sealed)
    spool.close()
    found = survey(spool.config)
    assert found.holder == 0
    assert found.span_s == 7200.0
    rate = found.all.bytes / 7200
    assert found.lasts_s["last"] == pytest.approx(found.max_bytes / rate)
    assert found.lasts_s["second"] == found.lasts_s["first"] > found.lasts_s["last"]
    assert found.left_s == pytest.approx((found.max_bytes - found.all.bytes) / rate)


def test_what_comes_from_a_moment_gives_no_rate(make_spool: Make, sealed: Any) -> None:
    spool = make_spool()
    spool.append(sealed(), NOW)
    found = survey(spool.config)
    assert found.lasts_s == {}
    assert found.left_s is None


def test_what_was_set_aside(make_spool: Make, sealed: Any) -> None:
    spool = make_spool()
    (spool.config.directory / "0000000000000009.corrupt").write_bytes(b"x" * 100)
    assert survey(spool.config).aside == (1, 100)


def test_a_damaged_ledger_or_segment_stops_nothing(make_spool: Make, sealed: Any) -> None:
    spool = filled(make_spool, sealed)
    (spool.config.directory / "ledger").write_text("?")
    (spool.config.directory / "00000000000000ff.seg").write_bytes(b"?" * 1000)
    assert survey(spool.config).all.waiting_rows == 376


def test_without_a_spool(tmp_path: Any) -> None:
    with pytest.raises(UserError, match="no spool is here yet; start the agent"):
        survey(Config(directory=tmp_path / "spool"))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Not a directory; run this as"):
        survey(Config(directory=tmp_path / "file"))
