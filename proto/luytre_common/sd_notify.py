"""What a service tells the service manager that started it: sd_notify(3), the datagram socket `NOTIFY_SOCKET`.

Without that variable nobody listens, and every call does nothing.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, MutableMapping, Sequence

from luytre_common.commandline import printable
from luytre_common.telemetry import Counters

_log = logging.getLogger("luytre.service")

#: A manager that does not read is not waited for longer than this.
_SEND_S = 2.0


class ServiceManager:
    """The line to the service manager. Safe to use from several threads.

    address: a path, or `@` and an abstract name; empty: there is no manager.
    watchdog_s: without `alive` for so long it ends us and starts us again; None: it does not look.
    """

    def __init__(
        self,
        address: str = "",
        watchdog_s: float | None = None,
        counters: Counters | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.watchdog_s = watchdog_s
        self.counters = counters or Counters("service")
        self._clock = clock
        self._where = "\0" + address[1:] if address.startswith("@") else address

    @classmethod
    def of(
        cls, environment: MutableMapping[str, str], pid: int | None = None, counters: Counters | None = None
    ) -> ServiceManager:
        """The manager that the environment names. Its variables are taken out: children are no service."""
        address = environment.pop("NOTIFY_SOCKET", "")
        microseconds = environment.pop("WATCHDOG_USEC", "")
        meant = environment.pop("WATCHDOG_PID", "")
        if address and not address.startswith(("/", "@")):
            _log.warning("NOTIFY_SOCKET=%s: not a path nor an abstract name; the service manager is not told", address)
            address = ""
        ours = meant in ("", str(os.getpid() if pid is None else pid))
        watched = ours and microseconds.isascii() and microseconds.isdigit() and int(microseconds) > 0
        return cls(address, int(microseconds) / 1_000_000 if address and watched else None, counters)

    @property
    def turn_s(self) -> float:
        """How often `alive` should be said, seconds: a third of the time; endless without a watchdog."""
        return float("inf") if self.watchdog_s is None else self.watchdog_s / 3

    def ready(self, status: str) -> None:
        """The start, or a reload, is complete."""
        self._tell("READY=1", f"STATUS={printable(status)}")

    def status(self, status: str) -> None:
        """One line for `systemctl status`."""
        self._tell(f"STATUS={printable(status)}")

    def alive(self) -> None:
        """We are not stuck."""
        if self.watchdog_s is not None:
            self._tell("WATCHDOG=1")

    def reloading(self) -> None:
        """The configuration is being read again; `ready` follows, whatever becomes of it."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={int(self._clock() * 1_000_000)}")

    def stopping(self, status: str) -> None:
        """The end has begun."""
        self._tell("STOPPING=1", f"STATUS={printable(status)}")

    def _tell(self, *assignments: str) -> None:
        if not self._where:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
                line.settimeout(_SEND_S)
                line.sendto("\n".join(assignments).encode(), self._where)
        except (OSError, ValueError) as error:
            if not self.counters.get("notify_failures"):
                _log.warning("the service manager cannot be told: %s", error)
            self.counters.add("notify_failures")


class Watchdog:
    """Says `alive` as long as nothing hangs. `look` is called by the main loop, every `ServiceManager.turn_s`.

    `hung` names the parts that have made no step for so many seconds.
    """

    def __init__(self, service: ServiceManager, hung: Callable[[float], Sequence[str]]) -> None:
        self._service = service
        self._hung = hung

    def look(self) -> None:
        """Look at every part. If one hangs, the manager is left to end us: that restarts it, and loses nothing that is
        spooled or stored."""
        limit_s = self._service.watchdog_s
        if limit_s is None:
            return
        names = self._hung(limit_s)
        for name in names:
            self._service.counters.add("watchdog_withheld", label=name)
        if names:
            _log.error("%s: no step for %g s; the service manager may start us again", ", ".join(names), limit_s)
        else:
            self._service.alive()
