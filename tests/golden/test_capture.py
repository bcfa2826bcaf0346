"""Captures to rows: what `replay --json` prints for small conversations, read by eye once and kept.

Write them anew after a change that is meant: LUYTRE_WRITE_GOLDEN=1 python -m pytest tests/golden/test_capture.py
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from luytre_agent._core import FileReplay, to_json_lines

FOLDER = Path(__file__).parent / "capture"
CAPTURES = sorted(path.stem for path in FOLDER.glob("*.pcap"))


def rows(path: Path) -> str:
    """The rows of a capture as JSON lines, tables in the order of their names."""
    replay = FileReplay(str(path))
    batches = []
    while not replay.finished:
        batches += replay.read(1_000)
    batches += replay.close()
    assert replay.fault == ""
    return "".join(to_json_lines(batch).decode() for batch in sorted(batches, key=lambda batch: batch.table))


@pytest.mark.parametrize("name", CAPTURES)
def test_a_capture_gives_its_rows(name: str) -> None:
    golden = FOLDER / f"{name}.jsonl"
    got = rows(FOLDER / f"{name}.pcap")
    if os.environ.get("LUYTRE_WRITE_GOLDEN"):
        golden.write_text(got, encoding="utf-8")
    expected = golden.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in got.splitlines()] == [json.loads(line) for line in expected]
    assert got.splitlines() == expected, "the values agree, but not how they are printed"


def test_the_captures_are_those_that_the_script_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.golden.capture import make

    monkeypatch.setattr(make, "HERE", tmp_path)
    make.main()
    assert sorted(path.stem for path in tmp_path.glob("*.pcap")) == CAPTURES
    for name in CAPTURES:
        assert (tmp_path / f"{name}.pcap").read_bytes() == (FOLDER / f"{name}.pcap").read_bytes(), name
