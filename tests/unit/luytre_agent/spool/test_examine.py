from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from luytre_agent.spool import Config, Spool, examine
from luytre_common.errors import UserError


def test_a_folder_that_is_not_there_yet_is_not_made(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "spool"
    assert f"{directory} will be made" in examine(Config(directory=directory))
    assert not directory.parent.exists()


def test_what_is_used_and_by_whom(make_spool: Callable[..., Spool], sealed: Any) -> None:
    spool = make_spool()
    spool.append(sealed(), 1.0)
    before = sorted(spool.config.directory.iterdir())
    assert f"in use by process {os.getpid()}" in examine(spool.config)
    spool.close()
    after = examine(spool.config)
    assert "in use" not in after
    assert "bytes used" in after
    assert sorted(spool.config.directory.iterdir()) == before


def test_a_quota_that_does_not_fit_on_the_disk_is_said(tmp_path: Path) -> None:
    assert "less than the quota needs" in examine(Config(directory=tmp_path, max_bytes=1 << 60))


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="the agent must be able to write"):
        examine(Config(directory=tmp_path / "file"))
