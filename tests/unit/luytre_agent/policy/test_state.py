from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from luytre_agent.policy.model import Given, Report
from luytre_agent.policy.state import File, Known, UnreadableError

OLD = Given(3, b"version = 3", bytes(64))
NEW = Given(4, b"version = 4 \xff", b"s" * 64)


def test_nothing_is_known_at_first(tmp_path: Path) -> None:
    assert File(tmp_path / "none").read() == Known()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    file = File(tmp_path / "policy")
    known = Known(4, OLD, NEW, Report(4, "trying", "đang thử"))
    file.write(known)
    assert File(tmp_path / "policy").read() == known
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700
    file.write(Known())
    assert file.read() == Known()
    assert [path.name for path in file.path.parent.iterdir()] == ["state.json"]


def test_a_link_in_the_place_of_the_new_file_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "state.json.new").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic link"):
        File(tmp_path).write(Known())
    assert victim.read_text() == "mine"


def test_a_life() -> None:
    known = Known(3, OLD, report=Report(3, "applied"))
    trying = known.begin(NEW)
    assert trying == Known(4, OLD, NEW, Report(4, "trying"))
    assert trying.keep(Report(4, "applied")) == Known(4, NEW, None, Report(4, "applied"))
    assert trying.drop(Report(4, "rolled_back", "x")) == Known(4, OLD, None, Report(4, "rolled_back", "x"))
    assert trying.forget() == Known(3, OLD, None, None)


GOOD = {"format": 1, "highest": 4, "applied": None, "trying": None, "report": None}


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"highest": -1},
        {"highest": "4"},
        {"highest": 2**63},
        {"applied": {"version": 1}},
        {"applied": {"version": 1, "document": "*", "signature": ""}},
        {"trying": 3},
        {"report": {"version": 1, "state": "well", "message": ""}},
    ],
)
def test_what_is_damaged_is_said(tmp_path: Path, change: dict[str, object]) -> None:
    file = File(tmp_path)
    file.path.write_text(json.dumps(GOOD))
    assert file.read() == Known(4)
    file.path.write_text(json.dumps({**GOOD, **change}))
    with pytest.raises(UnreadableError, match="damaged"):
        file.read()
    file.set_aside()
    assert file.read() == Known()
    assert (tmp_path / "state.json.damaged").exists()


@settings(max_examples=50)
@given(raw=st.binary(max_size=100))
def test_no_bytes_raise_anything_else(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    file = File(tmp_path_factory.mktemp("policy"))
    file.path.write_bytes(raw)
    with pytest.raises(UnreadableError):
        file.read()
