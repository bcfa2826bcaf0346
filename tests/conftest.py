"""What every test can count on: tests that need root are skipped without it, and say so."""

from __future__ import annotations

import logging
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import luytre_common  # noqa: F401 - before gRPC is loaded: it sees to the version of TLS
import pytest

ROOT = Path(__file__).parents[1]
if str(ROOT) not in sys.path:  # for `deploy.demo` and `tests.*`, which are not installed
    sys.path.insert(0, str(ROOT))


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """A command that was run sets up the log of its process, to a standard error that is closed after the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def pytest_configure() -> None:
    # chDB keeps some hundred descriptors of every engine that a process has started, for good; the tests start many.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.geteuid() == 0:
        return
    skip = pytest.mark.skip(reason="needs root")
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(skip)
