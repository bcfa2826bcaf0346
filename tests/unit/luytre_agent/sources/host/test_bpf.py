from __future__ import annotations

import struct
import subprocess
import sys

import pytest
from luytre_agent.sources.host.bpf import program, read


def test_facts_of_a_program() -> None:
    info = struct.pack("=II8s", 13, 7, bytes(range(8))) + bytes(32) + struct.pack("=I", 1000) + bytes(12)
    assert program(info + b"snoop\0" + bytes(10)) == (
        "snoop 0001020304050607",
        {"type": "sock_ops", "uid": "1000", "name": "snoop"},
    )


@pytest.mark.root
def test_a_program_that_comes_and_goes() -> None:
    from luytre_agent.sources.processes import Config, Processes
    from luytre_common.errors import Unavailable

    before = read()
    source = Processes(Config(rung="ebpf"))
    try:
        source.open()
    except Unavailable as error:
        pytest.skip(str(error))
    try:
        fresh = [facts for name, facts in read().items() if facts != before.get(name)]
        assert fresh
        assert {facts["type"] for facts in fresh} == {"tracing"}
    finally:
        source.close()


@pytest.mark.root
def test_without_rights() -> None:
    code = "from luytre_agent.sources.host.bpf import read\ntry: read()\nexcept PermissionError: print('refused')"
    done = subprocess.run(
        ["setpriv", "--inh-caps=-all", "--bounding-set=-all", sys.executable, "-c", code],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "refused\n"
