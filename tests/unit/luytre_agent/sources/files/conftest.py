from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.watched import Watch


@pytest.fixture(params=[pytest.param("fanotify", marks=pytest.mark.root), "inotify"])
def rung(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "watched"
    made.mkdir()
    return made


@pytest.fixture
def watch(folder: Path, rung: str) -> Iterator[Watch]:
    made = Watch(folder, rung)
    yield made
    made.close()
