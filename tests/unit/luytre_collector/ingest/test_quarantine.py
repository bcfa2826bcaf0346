"""Refused batches on disk."""

import json
from pathlib import Path

from luytre_collector.ingest.quarantine import Config, Quarantine
from luytre_common.telemetry import Counters


def test_body_and_facts_are_kept(tmp_path: Path) -> None:
    counters = Counters("quarantine")
    Quarantine(Config(tmp_path / "q"), counters, lambda: 7.0).keep(b"body", {"code": "bad_body", "agent_id": "lũy-01"})
    body, facts = sorted((tmp_path / "q").iterdir())
    assert body.read_bytes() == b"body"
    assert json.loads(facts.read_text()) == {"code": "bad_body", "agent_id": "lũy-01", "body_bytes": 4}
    assert (tmp_path / "q").stat().st_mode & 0o077 == 0
    assert counters.get("kept") == 1


def test_the_oldest_make_room(tmp_path: Path) -> None:
    counters = Counters("quarantine")
    now = iter(range(1, 100))
    quarantine = Quarantine(Config(tmp_path, max_bytes=4 * 4096), counters, lambda: float(next(now)))
    for index in range(5):
        quarantine.keep(bytes([index]) * 1000, {})
    bodies = sorted(tmp_path.glob("*.body"))
    assert [body.read_bytes()[0] for body in bodies] == [3, 4]
    assert counters.get("removed") == 3
    assert len(list(tmp_path.iterdir())) == 4


def test_what_an_earlier_process_left_counts(tmp_path: Path) -> None:
    for name in ("00000000000000001-000001.body", "00000000000000001-000001.json", "notes.txt"):
        (tmp_path / name).write_bytes(bytes(5000))
    counters = Counters("quarantine")
    quarantine = Quarantine(Config(tmp_path, max_bytes=16384), counters, lambda: 7.0)
    quarantine.keep(b"body", {})  # 16384 + 8192: one of the old files makes room, then the other
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".body", ".json", ".json", ".txt"]
    quarantine.keep(b"body", {})
    assert (tmp_path / "notes.txt").exists()
    assert counters.get("removed") == 1
    assert len(list(tmp_path.glob("*.body"))) == 2


def test_a_file_that_cannot_go_is_counted_and_does_not_keep_others(tmp_path: Path) -> None:
    (tmp_path / "00000000000000001-000001.body").mkdir()  # unlink refuses
    counters = Counters("quarantine")
    quarantine = Quarantine(Config(tmp_path, max_bytes=8192), counters, lambda: 7.0)
    quarantine.keep(b"1", {})
    quarantine.keep(b"2", {})
    assert counters.get("not_removed") == 1
    assert [path.read_bytes() for path in tmp_path.glob("*.body") if path.is_file()] == [b"2"]


def test_a_disk_that_refuses_is_counted(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    counters = Counters("quarantine")
    Quarantine(Config(tmp_path / "file"), counters, lambda: 7.0).keep(b"body", {})
    assert counters.get("not_kept") == 1
