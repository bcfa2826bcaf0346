"""Packets per second of `luytre-agent replay`, beside the floor of only reading the file, and beside others.

Every tool runs as a whole command, start-up included, in turn, so that a noisy moment hits all of them.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from deploy.demo.services import AGENT
from tests.bench import measure
from tests.bench.measure import Cost

_FLOOR = "import sys; from luytre_agent import _core; print(_core.read_only_count(sys.argv[1]))"
FLOOR = "only read (floor)"
REPLAY = "luytre-agent replay"


def commands(capture: Path, agent_toml: Path) -> dict[str, list[str]]:
    """What is measured: our command, its floor, and what of the others is installed."""
    path = str(capture)
    found = {
        FLOOR: [sys.executable, "-c", _FLOOR, path],
        REPLAY: [*AGENT, "replay", path, "--config", str(agent_toml)],
    }
    if tcpdump := shutil.which("tcpdump"):
        found["tcpdump -w /dev/null"] = [tcpdump, "-r", path, "-w", "/dev/null"]
    if softflowd := shutil.which("softflowd"):
        found["softflowd, no export"] = [softflowd, "-r", path]
    if argus := shutil.which("argus"):
        found["argus"] = [argus, "-r", path, "-w", "/dev/null"]
    return found


def run(capture: Path, agent_toml: Path, rounds: int) -> dict[str, Cost]:
    """The median cost of each tool."""
    costs: dict[str, list[Cost]] = {}
    for _ in range(rounds):
        for name, command in commands(capture, agent_toml).items():
            costs.setdefault(name, []).append(measure.command(command))
    return {name: measure.median(several) for name, several in costs.items()}
