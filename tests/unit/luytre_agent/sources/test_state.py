from __future__ import annotations

from pathlib import Path

import pytest
from luytre_agent.sources.state import StateFile
from luytre_common.errors import Unavailable


def test_what_was_saved_is_read_back(tmp_path: Path) -> None:
    state = StateFile(tmp_path / "state", "logins")
    assert state.open() == {}
    assert not state.path.parent.exists(), "who only looks leaves nothing behind"
    assert state.save({"position": 7})
    assert state.save({"position": 8})
    assert StateFile(tmp_path / "state", "logins").open() == {"position": 8}
    assert state.path.stat().st_mode & 0o777 == 0o600
    assert state.path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("damage", [b"", b'{"position": 7', b"[1]", b"\xff\xfe"])
def test_what_is_damaged_is_as_nothing(tmp_path: Path, damage: bytes) -> None:
    state = StateFile(tmp_path, "logins")
    state.path.write_bytes(damage)
    assert state.open() == {}


def test_a_folder_that_cannot_be_says_which_setting(tmp_path: Path) -> None:
    tmp_path.joinpath("file").write_text("")
    with pytest.raises(Unavailable, match=r"state_directory"):
        StateFile(tmp_path / "file" / "state", "logins").open()


def test_a_disk_that_refuses_keeps_the_old_one(tmp_path: Path) -> None:
    state = StateFile(tmp_path, "logins")
    assert state.open() == {}
    assert state.save({"position": 7})
    state.path.with_suffix(".new").mkdir()
    assert not state.save({"position": 8})
    assert StateFile(tmp_path, "logins").open() == {"position": 7}
