"""Whom the kernel takes from first when the host is short: us. Set once, at the start; inherited by what we start."""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import platform
from collections.abc import Callable
from pathlib import Path

from luytre_common.telemetry import Counters

from luytre_agent.limits.config import Config

_log = logging.getLogger("luytre.limits")

#: ioprio_set(2): who is this process; classes best-effort and idle.
_WHO_PROCESS, _BEST_EFFORT, _IDLE, _CLASS_SHIFT = 1, 2, 3, 13
_NUMBERS = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "ppc64le": 273, "s390x": 282}
_LEVELS = {"lowest": _BEST_EFFORT << _CLASS_SHIFT | 7, "idle": _IDLE << _CLASS_SHIFT}


def apply(config: Config, counters: Counters, proc: Path = Path("/proc/self")) -> None:
    """Do what the settings say. What the system refuses is said and counted (`priorities_refused`); it ends nothing."""
    changes: tuple[tuple[str, Callable[[], object]], ...] = (
        ("oom_score_adj", lambda: _oom(config.oom_score_adj, proc / "oom_score_adj")),
        ("nice", lambda: _nice(config.nice, proc / "task")),
        ("io_priority", lambda: _io(config.io_priority, proc / "task")),
    )
    for name, change in changes:
        try:
            change()
        except (OSError, ValueError) as error:
            counters.add("priorities_refused", label=name)
            _log.warning("[limits] %s: %s; it stays as it is", name, getattr(error, "strerror", None) or error)


def _oom(wanted: int, path: Path) -> None:
    """Raise it; what somebody (systemd) has set higher stays. To raise it needs no rights (proc(5))."""
    if int(path.read_text()) < wanted:
        path.write_text(f"{wanted}\n")


def _nice(more: int, tasks: Path) -> None:
    # Linux keeps it by thread. Those that come later have it from whoever starts them.
    for thread in _threads(tasks) if more else ():
        os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, thread) + more))


def _threads(tasks: Path) -> list[int]:
    return [int(one.name) for one in tasks.iterdir()]


def _io(level: str, tasks: Path) -> None:
    if level not in _LEVELS:
        return
    number = _NUMBERS.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, f"not known how to set it on {platform.machine()}")
    libc = ctypes.CDLL(None, use_errno=True)
    for thread in _threads(tasks):
        if libc.syscall(number, _WHO_PROCESS, thread, _LEVELS[level]) == -1:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
