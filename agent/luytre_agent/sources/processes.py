"""Which processes begin a program, which end, and which trace another one, as the kernel tells it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from luytre_common.settings import at_least, at_most, power_of_two, setting
from luytre_common.wire.limits import MAX_ROWS

from luytre_agent import _core
from luytre_agent.sources.base import Source
from luytre_agent.sources.ladder import LadderSource, common_remedies

#: Ways to learn of processes, best first. eBPF and audit miss none; the proc connector only knows the arguments of
#: those that live long enough to be looked up in /proc; looks at /proc need no rights, and see what lives longer than
#: the time between two of them.
LADDER = ("ebpf", "audit", "cn_proc", "proc")


@dataclass(frozen=True)
class Config:
    """Process events."""

    enabled: bool = setting(True, "whether to watch processes")
    rung: Literal["auto", "ebpf", "audit", "cn_proc", "proc"] = setting(
        "auto", "how; auto: the best that kernel and rights allow"
    )
    ring_bytes: int = setting(
        2 << 20, "what the kernel keeps for us, bytes, a power of two", at_least(4096), at_most(1 << 30), power_of_two
    )
    seed: bool = setting(True, "whether processes that are older than the agent make rows (event_action seed)")
    forks: bool = setting(False, "whether a fork makes a row too")
    ptrace: bool = setting(True, "whether a process that begins to trace another one makes a row")
    proc_seconds: float = setting(1.0, "rung proc: the time between two looks", at_least(0.1), at_most(3600))
    hashes: bool = setting(True, "whether executables are read for their SHA-256, once per version")
    batch_rows: int = setting(5_000, "rows of a batch at most", at_least(1), at_most(MAX_ROWS))
    batch_seconds: float = setting(1.0, "age of a batch at most", at_least(0.05), at_most(3600))


class Processes(LadderSource):
    """exec, exit and ptrace of every process of this host."""

    name = "processes"
    what = "process events"
    essential = True

    def __init__(self, config: Config, owners: _core.Owners | None = None) -> None:
        self._config = config
        self._owners = owners
        super().__init__(
            LADDER if config.rung == "auto" else (config.rung,), self._open_rung, _remedies, config.batch_seconds
        )

    def _open_rung(self, rung: str) -> _core.ProcessEvents:
        config = self._config
        events = _core.ProcessEvents(
            rung,
            batch_rows=config.batch_rows,
            batch_seconds=config.batch_seconds,
            ring_bytes=config.ring_bytes,
            owners=self._owners,
            seed=config.seed,
            forks=config.forks,
            hashes=config.hashes,
            ptrace=config.ptrace,
            interval_seconds=config.proc_seconds,
        )
        self.lacking = events.notes()
        return events


def _remedies(answers: str) -> list[str]:
    remedies = common_remedies(answers, "CAP_BPF and CAP_PERFMON, or CAP_AUDIT_CONTROL and CAP_AUDIT_READ")
    if "auditd owns audit" in answers:
        remedies.append("give auditd the rule: -a always,exit -F arch=b64 -S execve,execveat -k exec")
    return remedies


def build(config: Config, owners: _core.Owners | None = None) -> dict[str, Callable[[], Source]]:
    """The source, if it is wanted."""
    return {"processes": partial(Processes, config, owners)} if config.enabled else {}
