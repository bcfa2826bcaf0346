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
    quarantine = Quarantine(Config(tmp_path, max_bytes=2500), counters, lambda: float(next(now)))
    for index in range(5):
        quarantine.keep(bytes([index]) * 1000, {})
    bodies = sorted(tmp_path.glob("*.body"))
    assert [body.read_bytes()[0] for body in bodies] == [3, 4]
    assert counters.get("removed") == 3
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2500


def test_a_disk_that_refuses_is_counted(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    counters = Counters("quarantine")
    Quarantine(Config(tmp_path / "file"), counters, lambda: 7.0).keep(b"body", {})
    assert counters.get("not_kept") == 1
