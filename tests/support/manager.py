"""The service manager's end of sd_notify(3): a real datagram socket, read by a thread (the kernel keeps ten only)."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

Message = dict[str, str]


class Manager:
    """Hears what a service says at `address` (a path, or `@` and an abstract name)."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._all: list[Message] = []
        self._told = 0
        self._changed = threading.Condition()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Manager:
        self._socket.settimeout(0.05)
        self._socket.bind("\0" + self.address[1:] if self.address.startswith("@") else self.address)
        if not self.address.startswith("@"):
            Path(self.address).chmod(0o777)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()
        self._socket.close()

    def _read(self) -> None:
        while not self._end.is_set():
            try:
                text = self._socket.recv(65536).decode()
            except TimeoutError:
                continue
            with self._changed:
                self._all.append(dict(line.split("=", 1) for line in text.splitlines()))
                self._changed.notify_all()

    def heard(self, count: int = 0) -> list[Message]:
        """What came since the last question; waits for `count` messages."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._all) - self._told >= count, 30)
            came = self._all[self._told :]
            self._told = len(self._all)
        return came

    def wait(self, ready: Callable[[list[Message]], bool], timeout_s: float = 60.0) -> list[Message]:
        """Until `ready` of everything that was ever heard; what that is."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not ready(self._all):
                if not self._changed.wait(deadline - time.monotonic()):
                    raise TimeoutError(f"heard only {self._all}")
            return list(self._all)
