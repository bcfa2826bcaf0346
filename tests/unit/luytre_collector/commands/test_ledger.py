"""`ledger` as its users call it."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from luytre_collector.__main__ import main
from luytre_collector.commands.ledger import since
from luytre_collector.store import embedded, readonly
from luytre_collector.store.rows import schema_of
from luytre_common.errors import UserError
from luytre_common.schema import TABLES, Kind

BOOT = "0d4f6c0e-3f0b-4a5e-9d0e-0f5a1d2b3c4d"
NOW = int(time.time())
_ZERO: dict[Kind, Any] = {Kind.TEXT: "", Kind.NAME: "", Kind.IP: bytes(16), Kind.TEXTS: [], Kind.U32S: []}


def put(store: embedded.EmbeddedStore, table: str, given: Sequence[dict[str, Any]]) -> None:
    columns = TABLES[table].stored_columns
    common = {
        "agent_id": "web-01", "boot_id": BOOT, "stream": table, "agent_time": NOW * 1_000_000,
        "collector_time": NOW * 1_000_000, "event_time": NOW * 1_000_000,
    }  # fmt: skip
    full = [{one.name: _ZERO.get(one.kind, 0) for one in columns} | common | row for row in given]
    names = {one.name for one in columns}
    kept = [{name: value for name, value in row.items() if name in names} for row in full]
    store.insert(table, pa.Table.from_pylist(kept, schema=schema_of(columns)), table)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A store with a balance that does not close: of 50 rows that were acknowledged 48 are there."""
    store = embedded.EmbeddedStore(embedded.Config(tmp_path / "store"), readonly.Config())
    store.open()
    store.migrate()
    entries = [("rows_cut", 50, "flows"), ("rows_spooled", 50, "flows"), ("rows_acknowledged", 50, "flows"),
               ("packets_seen", 1234, "eth0")]  # fmt: skip
    put(store, "ledger", [
        {"sequence": at, "ledger_boot_id": BOOT, "ledger_entry": entry, "ledger_count": count, "ledger_stream": stream}
        for at, (entry, count, stream) in enumerate(entries)
    ])  # fmt: skip
    put(store, "flows", [{"sequence": number} for number in range(50) if number not in (7, 8)])
    store.close()
    path = tmp_path / "collector.toml"
    path.write_text(f"[store.embedded]\ndirectory = {json.dumps(str(tmp_path / 'store'))}\n")
    return path


def test_it_names_what_is_missing_and_exits_with_one(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ledger", "--config", str(config), "--hours"]) == 1
    told = capsys.readouterr().out
    assert "web-01 0d4f6c0e flows: 2 rows UNEXPLAINED: acknowledged and not in the tables" in told
    assert "1,234" in told
    assert "hour (UTC)" in told


def test_json_is_one_object_a_stream(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ledger", "--config", str(config), "--json", "--agent", "web-01"]) == 1
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    by_stream = {one["stream"]: one for one in told}
    assert by_stream["flows"]["missing"] == 2
    assert by_stream["flows"]["unexplained"] == 2
    assert by_stream["eth0"]["packets_seen"] == 1234


def test_nobody_was_heard_of(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ledger", "--config", str(config), "--agent", "web-02"]) == 0
    assert capsys.readouterr().out == "nothing was heard of any agent in this time\n"


def test_since_is_the_beginning_of_an_hour() -> None:
    now = 1_800_003_700.0
    assert since("1h", now) == 1_800_000_000
    assert since("2d", now) == 1_800_003_600 - 2 * 86_400
    assert since("2027-01-15T08:30:00+07:00", now) == since("2027-01-15T01:59", now)


@pytest.mark.parametrize("text", ["", "yesterday", "0h", "24", "7w", "2027-13-01", "-1h"])
def test_a_time_that_is_none_is_a_mistake_of_the_user(text: str) -> None:
    with pytest.raises(UserError, match="--since"):
        since(text, 1e9)
