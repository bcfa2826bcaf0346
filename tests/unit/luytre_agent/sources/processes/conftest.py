from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.support.processes import Watch


@pytest.fixture
def watch(request: pytest.FixtureRequest) -> Iterator[Watch]:
    watch = Watch(rung=getattr(request, "param", "ebpf"))
    yield watch
    watch.source.close()


@pytest.fixture
def held(watch: Watch) -> Iterator[subprocess.Popen[bytes]]:
    """A shell that lives until its row is there, so that the slower rung can look it up too."""
    process = subprocess.Popen(
        ["/bin/sh", "-c", "read line; exit 3", "held", "an argument"],
        user="www-data",
        cwd="/usr",
        stdin=subprocess.PIPE,
    )
    yield process
    process.communicate()
