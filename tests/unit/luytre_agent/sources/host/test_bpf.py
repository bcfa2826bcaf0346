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


LOAD = """
from luytre_agent.sources.processes import Config, Processes
source = Processes(Config(rung="ebpf"))
source.open()
from luytre_agent.sources.host.bpf import read
print(sorted(read()), flush=True)
input()
"""


@pytest.mark.root
def test_programs_of_others_come_and_go_and_ones_own_are_left_out() -> None:
    before = read()
    other = subprocess.Popen(
        [sys.executable, "-c", LOAD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    try:
        seen_by_itself = other.stdout.readline()
        if not seen_by_itself:
            pytest.skip(other.communicate()[1])
        if any(facts["type"] == "tracing" for facts in before.values()):
            pytest.skip("an agent runs on this host already, with the same programs")
        fresh = [facts for name, facts in read().items() if facts != before.get(name)]
        assert {facts["type"] for facts in fresh} == {"tracing"}
        assert seen_by_itself.strip() == str(sorted(before))
    finally:
        other.communicate("\n", timeout=10)


@pytest.mark.root
def test_without_rights() -> None:
    code = "from luytre_agent.sources.host.bpf import read\ntry: read()\nexcept PermissionError: print('refused')"
    done = subprocess.run(
        ["setpriv", "--inh-caps=-all", "--bounding-set=-all", sys.executable, "-c", code],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "refused\n"
