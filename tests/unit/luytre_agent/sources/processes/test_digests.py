from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from tests.support.processes import DEADLINE_S, Watch, run, whole_rungs


def _digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@pytest.mark.root
@whole_rungs
def test_the_digest_of_the_executable(watch: Watch, tmp_path: Path) -> None:
    program = tmp_path / "program"
    for extra in (b"", b"changed"):
        program.write_bytes(Path("/bin/true").read_bytes() + extra)
        program.chmod(0o755)
        found = ""
        deadline = time.monotonic() + DEADLINE_S
        while not found and time.monotonic() < deadline:  # rows do not wait long for what is read for the first time
            pid, _ = run(str(program))
            found = watch.exec_of(pid)["process_hash_sha256"]
            assert found in ("", _digest(str(program)))
        assert found
        assert watch.exit_of(pid)["process_hash_sha256"] == found
    assert watch.counters()["hashed"] >= 2


@pytest.mark.root
def test_what_is_too_large_has_no_digest(watch: Watch, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(Path("/bin/true").read_bytes())
    program.chmod(0o755)
    os.truncate(program, (64 << 20) + 1)
    pid, _ = run(str(program))
    assert watch.exec_of(pid)["process_hash_sha256"] == ""
    assert watch.counters()["hash_too_large"] >= 1


@pytest.mark.root
def test_digests_can_be_left_out() -> None:
    watch = Watch(rung="ebpf", hashes=False)
    pid, _ = run("/bin/true")
    assert watch.exec_of(pid)["process_hash_sha256"] == ""
    watch.source.close()
    assert watch.counters()["hashed"] == 0
