"""How this host keeps time: whether the kernel takes its clock for synchronised (adjtimex(2)), and its steps."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from luytre_agent.sources.host.files import content
from luytre_agent.sources.host.things import Change, Facts, text

_STA_UNSYNC = 0x0040
_TIME_ERROR = 5


class _Timex(ctypes.Structure):
    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),  # not read; longer than any struct timex
    )


def synchronised() -> bool:
    """Whether the kernel takes its clock for synchronised. OSError if it may not be asked."""
    timex = _Timex()
    state = int(ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex)))
    if state < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return state != _TIME_ERROR and not timex.status & _STA_UNSYNC


def read(root: Path) -> dict[str, Facts]:
    """Synchronisation, time zone, and what the kernel counts with."""
    facts = {"synchronised": "yes" if synchronised() else "no"}
    try:
        facts["source"] = text(
            content(root / "sys/devices/system/clocksource/clocksource0/current_clocksource")
        ).strip()
    except OSError:
        facts["source"] = ""
    try:
        facts["zone"] = str((root / "etc/localtime").readlink()).rpartition("zoneinfo/")[2]
    except OSError:
        facts["zone"] = ""
    return {"system clock": facts}


class Steps:
    """Notices that somebody set the clock: real time and time since boot disagree at once, not little by little."""

    def __init__(self, realtime: Callable[[], float], boottime: Callable[[], float], least_s: float) -> None:
        self._realtime = realtime
        self._boottime = boottime
        self._least_s = least_s
        self._offset: float | None = None

    def look(self) -> Change[str] | None:
        """The step since the last look, if there was one."""
        since_boot = self._boottime()
        now = self._realtime()
        last, self._offset = self._offset, now - since_boot
        if last is None or abs(self._offset - last) < self._least_s:
            return None
        step = self._offset - last
        return Change(
            "changed", "time step", {"time": _shown(now - step)}, {"time": _shown(now), "seconds": f"{step:+.3f}"}
        )


def _shown(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:.0f}"
