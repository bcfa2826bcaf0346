"""Wall time and CPU time of commands, and what to make of several rounds."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cost:
    """What something took, in seconds."""

    wall: float
    cpu: float


class CommandError(RuntimeError):
    """The command that was to be measured did not end well."""


def command(arguments: Sequence[str], timeout_s: float = 300.0) -> Cost:
    """Run it to its end; CPU is user and system time of the process and of all that it waited for."""
    with tempfile.TemporaryFile() as said:
        begin = time.perf_counter()
        process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said)
        limit = threading.Timer(timeout_s, process.send_signal, (signal.SIGKILL,))
        limit.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            limit.cancel()
        wall = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            said.seek(0)
            words = said.read().decode(errors="replace").strip().splitlines()[-3:]
            raise CommandError(f"{' '.join(arguments[:4])} ended with {process.returncode}: {' | '.join(words)}")
    return Cost(wall, usage.ru_utime + usage.ru_stime)


def median(rounds: Sequence[Cost]) -> Cost:
    """The medians of wall and of CPU, each by itself."""
    return Cost(statistics.median(one.wall for one in rounds), statistics.median(one.cpu for one in rounds))
