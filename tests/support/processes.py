"""Process events of the real kernel, and the processes that make them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from luytre_agent import _core
from luytre_agent.sources.processes import Config, Processes
from luytre_common.errors import Unavailable

Row = dict[str, Any]
DEADLINE_S = 20.0


def opened(config: Config) -> Processes:
    """An open source. Without clang at build time, or without BTF in this kernel, there is no eBPF to test."""
    source = Processes(config)
    try:
        source.open()
    except Unavailable as error:
        if "carries no eBPF object" in error.reason or "/sys/kernel/btf" in error.reason:
            pytest.skip(error.reason)
        raise
    return source


class Watch:
    """An open source and the rows that came of it."""

    def __init__(self, **settings: Any) -> None:
        self.source = opened(Config(batch_seconds=0.05, proc_seconds=0.1, **settings))
        self.rows: list[Row] = []
        self.bodies: list[bytes] = []

    def take(self, batches: Any) -> None:
        for batch in batches:
            self.bodies.append(batch.body)
            self.rows += map(json.loads, _core.to_json_lines(batch).splitlines())

    def until(self, enough: Callable[[list[Row]], object]) -> list[Row]:
        """Poll until there are enough rows; fails after a while."""
        deadline = time.monotonic() + DEADLINE_S
        while not enough(self.rows):
            assert time.monotonic() < deadline, f"not seen; counters: {self.counters()}"
            self.take(self.source.poll(0.1))
        return self.rows

    def exit_of(self, pid: int) -> Row:
        """The exit row of a process of ours."""
        return self._one("exit", pid)

    def exec_of(self, pid: int) -> Row:
        """The exec row of a process of ours."""
        return self._one("exec", pid)

    def seed_of(self, pid: int) -> Row:
        """The row of a process that ran before."""
        return self._one("seed", pid)

    def _one(self, action: str, pid: int) -> Row:
        found = [
            row
            for row in self.until(lambda rows: any(is_row(row, action, pid) for row in rows))
            if is_row(row, action, pid)
        ]
        assert len(found) == 1
        return found[0]

    def counters(self) -> dict[str, int]:
        return {sample.name: sample.value for sample in self.source.samples()}


def is_row(row: Row, action: str, pid: int) -> bool:
    return bool(row["event_action"] == action and row["process_pid"] == pid)


#: The rungs on which the kernel tells of each event.
kernel_rungs = pytest.mark.parametrize("watch", ["ebpf", "audit", "cn_proc"], indirect=True)
#: With the last one, which sees what lives long enough.
every_rung = pytest.mark.parametrize("watch", ["ebpf", "audit", "cn_proc", "proc"], indirect=True)
#: The rungs that know all arguments of every process.
whole_rungs = pytest.mark.parametrize("watch", ["ebpf", "audit"], indirect=True)


def run(*arguments: str, **options: Any) -> tuple[int, int]:
    """Run to the end; pid and return code."""
    process = subprocess.Popen(arguments, **options)
    return process.pid, process.wait()


def opened_by(command: list[str], rung: str) -> dict[str, Any]:
    """What comes of opening a source in a Python process that `command` starts."""
    code = (
        "import json\n"
        "from luytre_agent.sources.processes import *\n"
        "from luytre_common.errors import Unavailable\n"
        f"source, error = Processes(Config(rung={rung!r})), ''\n"
        "try: source.open()\n"
        "except Unavailable as unavailable: error = str(unavailable)\n"
        "samples = [(one.name, one.label) for one in source.samples()]\n"
        "told = {'error': error, 'rung': source.rung, 'refused': source.refused, 'samples': samples}\n"
        "told |= {'notes': list(source.lacking), 'remedies': list(source.remedies)}\n"
        "print(json.dumps(told))"
    )
    done = subprocess.run([*command, sys.executable, "-c", code], check=True, capture_output=True, text=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told
