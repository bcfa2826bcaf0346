"""The ring on the real kernel: the core's own tests that need root, on veth pairs in namespaces of their own."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

CORE = Path(__file__).parents[2] / "agent" / "core" / "Cargo.toml"


@pytest.mark.root
@pytest.mark.timeout(900)  # for a core that was never built
@pytest.mark.skipif(shutil.which("cargo") is None, reason="needs cargo")
def test_the_ring_on_the_real_kernel() -> None:
    command = ["cargo", "test", "--manifest-path", str(CORE), "--lib", "capture::ring", "--", "--ignored"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"test result: ok\. (\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= 10, "the tests are not where this looks for them"
