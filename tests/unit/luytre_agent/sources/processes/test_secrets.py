from __future__ import annotations

import os
import subprocess

import pytest
import zstandard

from tests.support.processes import Watch, kernel_rungs

SECRET = f"hunter2{os.getpid()}"


@pytest.mark.root
@kernel_rungs
def test_planted_secrets_never_reach_the_batches(watch: Watch) -> None:
    jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"
    planted = [
        ["mysql", "-u", "root", f"-p{SECRET}"],
        ["tool", "--password", SECRET],
        ["tool", f"--api-key={SECRET}"],
        ["curl", "-u", f"an:{SECRET}", f"https://an:{SECRET}@host/"],
        ["curl", "-H", f"Authorization: Bearer {SECRET}"],
        ["env", f"DB_PASSWORD={SECRET}"],
        ["sh", "-c", f"mysql -p{SECRET} <x", f"--token={SECRET}"],
        ["tool", f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----"],
        ["tool", jwt, "AKIAIOSFODNN7EXAMPLE"],
    ]
    last = 0
    for arguments in planted:
        # The program waits, so that the slower rung can look; a child of it has the secret as parent's command line.
        process = subprocess.Popen(
            arguments, executable="/bin/sh", stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        last = process.pid
        watch.exec_of(last)
        process.communicate(b"/bin/true\n")
    watch.exit_of(last)
    watch.take(watch.source.poll(0.3))
    bodies = [zstandard.decompress(body) for body in watch.bodies]
    assert bodies
    for secret in (SECRET, jwt, "AKIAIOSFODNN7EXAMPLE"):
        assert not any(secret.encode() in body for body in bodies)
    assert any(b"[redacted]" in body for body in bodies)
    # The slower rung comes too late for some of them.
    assert watch.counters()["redacted"] >= (len(planted) if watch.source.rung == "ebpf" else 1)
