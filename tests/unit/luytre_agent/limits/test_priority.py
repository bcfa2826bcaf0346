"""The priorities of a real process, which a child sets for itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from luytre_agent.limits import Config
from luytre_agent.limits.priority import apply
from luytre_common.telemetry import Counters

_CHILD = """
import ctypes, os, sys
from pathlib import Path
from luytre_agent.limits import Config
from luytre_agent.limits.priority import apply
from luytre_common.telemetry import Counters
import threading
counters, stay, seen = Counters("limits"), threading.Event(), []
mine = lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
other = threading.Thread(target=lambda: (stay.wait(), seen.append(mine())))
other.start()
before = os.nice(0)
apply(Config(oom_score_adj=700, nice=3, io_priority="lowest"), counters)
apply(Config(oom_score_adj=600), counters)
io = ctypes.CDLL(None).syscall({"x86_64": 252, "aarch64": 31}[os.uname().machine], 1, 0)
stay.set()
other.join()
assert seen == [os.nice(0)], "threads that were there already too"
print(Path("/proc/self/oom_score_adj").read_text().strip(), os.nice(0) - before, io >> 13, io & 7, counters.samples())
"""


def test_a_process_puts_itself_behind_all_others() -> None:
    done = subprocess.run([sys.executable, "-c", _CHILD], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["700", "3", "2", "7", "[]"], "and what is higher already stays"


def test_what_the_system_refuses_is_counted_and_ends_nothing(tmp_path: Path) -> None:
    counters = Counters("limits")
    apply(Config(), counters, tmp_path / "none")
    assert counters.get("priorities_refused", "oom_score_adj") == 1
