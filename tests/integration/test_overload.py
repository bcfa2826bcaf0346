"""A store that stands still: the collector's memory stays bounded, agents keep what is not acknowledged in their
spools, and when it goes on everything arrives once. Real collector, real server of tables, real agents."""

from __future__ import annotations

import random
import signal
import struct
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from luytre_agent.limits.measure import resident_bytes

from deploy.demo.services import AGENT
from tests.support.bridge.process import Bridge
from tests.support.collector import CollectorProcess, stream

AGENTS, FLOWS, BATCH = 4, 80_000, 500
#: Of the collector: what may wait for the store.
BUDGET = 1 << 20
CREDIT = 16
#: What its memory may grow by meanwhile: the budget, what is being read on each stream, what gRPC holds, and decoding.
GROWTH = 96 << 20

_COLLECTOR = """
[store]
engine = "server"
[store.server]
hosts = ["127.0.0.1:{port}"]
connect_timeout_s = 2
"""
_AGENT = """
[tls]
authority = "{pki}/authority.pem"
certificate = "{pki}/{name}.pem"
key = "{pki}/{name}.key"
[uplink]
collector = "{address}"
answer_seconds = {answer_s}
reconnect_seconds = 0.5
drain_seconds = 60.0
[spool]
directory = "{folder}/spool"
[sources]
state_directory = "{folder}/state"
[sources.replay]
batch_rows = {batch}
"""


def until(ready: Callable[[], bool], why: Callable[[], str], seconds: float = 180.0) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, why()
        time.sleep(0.1)


def many_flows(path: Path) -> Path:
    """A capture of datagrams, each a flow of its own, of addresses that do not compress well."""
    chance = random.Random(7)
    ethernet = bytes.fromhex("0200000000010200000000020800")
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for number in range(FLOWS):
            ip = struct.pack(">BBHHHBBH8s", 0x45, 0, 36, 0, 0, 64, 17, 0, chance.randbytes(8))
            frame = ethernet + ip + struct.pack(">HHHH", chance.randrange(1, 65536), 9, 16, 0) + bytes(8)
            file.write(
                struct.pack("<IIII", 1_764_000_000 + number // 1000, number % 1000 * 1000, len(frame), len(frame))
            )
            file.write(frame)
    return path


def held(folder: Path) -> int:
    """Bytes in the segments of a spool."""
    sizes = []
    for path in (folder / "spool").rglob("*.seg"):
        try:
            sizes.append(path.stat().st_size)
        except FileNotFoundError:  # settled meanwhile
            continue
    return sum(sizes)


@pytest.mark.timeout(500)
def test_a_store_that_stands_still_fills_spools_and_not_the_collectors_memory(tmp_path: Path) -> None:
    capture = many_flows(tmp_path / "flows.pcap")
    with Bridge(tmp_path / "tables") as bridge, ExitStack() as stack:
        settings = f"max_waiting_bytes = {BUDGET}\ncredit = {CREDIT}"
        collector = CollectorProcess(tmp_path, _COLLECTOR.format(port=bridge.port), settings)
        stack.callback(collector.close)
        collector.start()
        assert collector._process is not None
        memory = partial(resident_bytes, Path(f"/proc/{collector._process.pid}/statm"))
        with stream(collector.address, collector.identity("late")) as late:
            assert late.hello().credit == CREDIT
        before = memory()

        bridge.process.send_signal(signal.SIGSTOP)  # it holds every connection, and answers nothing
        agents = []
        for number in range(AGENTS):
            folder, name = tmp_path / f"web-{number}", f"web-{number}"
            folder.mkdir()
            collector.identity(name)
            config = folder / "agent.toml"
            # The first of them lose patience again and again, and send anew what is not answered.
            answer_s = 3.0 if number < 2 else 120.0
            facts = {"pki": collector.pki, "name": name, "address": collector.address, "folder": folder}
            config.write_text(_AGENT.format(**facts, answer_s=answer_s, batch=BATCH))
            log = stack.enter_context((folder / "log").open("wb"))
            command = [*AGENT, "replay", str(capture), "--config", str(config), "--deliver"]
            agents.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log))
            stack.callback(agents[-1].kill)

        def logs() -> str:
            return collector.log() + "".join((tmp_path / f"web-{number}/log").read_text() for number in range(AGENTS))

        total = 0

        def all_spooled() -> bool:
            nonlocal total
            sizes = [held(tmp_path / f"web-{number}") for number in range(AGENTS)]
            known, total = total, sum(sizes)
            return min(sizes) > BUDGET and total == known

        until(all_spooled, logs)
        assert total > 4 * BUDGET, "far more than the collector may hold"
        highest, end = 0, time.monotonic() + 15
        while time.monotonic() < end:
            highest = max(highest, memory())
            time.sleep(0.1)
        assert highest - before < GROWTH, f"{(highest - before) >> 20} MiB"
        assert all(agent.poll() is None for agent in agents), logs()
        assert sum(held(tmp_path / f"web-{number}") for number in range(AGENTS)) == total, "nothing was acknowledged"
        with stream(collector.address, collector.identity("late")) as late:
            assert late.hello().credit <= CREDIT // 8, "who comes now is asked to go slowly"

        bridge.process.send_signal(signal.SIGCONT)
        for agent in agents:
            assert agent.wait(240) == 0, logs()
        assert "did not answer for 3 s" in (tmp_path / "web-0/log").read_text(), "it has sent some of it several times"
        (row,) = collector.query("SELECT count() AS n, uniqExact(agent_id, boot_id, sequence) AS d FROM flows")
        assert (int(row["n"]), int(row["d"])) == (AGENTS * FLOWS, AGENTS * FLOWS)
        with stream(collector.address, collector.identity("late")) as late:
            assert late.hello().credit == CREDIT, "and fast again"
        print(f"memory grew by {(highest - before) / (1 << 20):.0f} MiB while {total >> 10} KiB waited in spools")
