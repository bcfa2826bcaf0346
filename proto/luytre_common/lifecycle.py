"""Starting parts in order and stopping them in reverse, their threads, and the two signals that ask a service to
end."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

_log = logging.getLogger("luytre.lifecycle")

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Lifecycle:
    """The parts that run. A part that cannot start stops those before it; one that cannot stop does not keep others."""

    def __init__(self) -> None:
        self._running: list[tuple[str, Callable[[], object]]] = []

    def start(self, name: str, start: Callable[[], object], stop: Callable[[], object]) -> None:
        """Start a part. If it raises, everything started before is stopped, and the exception goes on."""
        try:
            start()
        except BaseException:
            self.stop()
            raise
        self._running.append((name, stop))

    def stop(self) -> None:
        """Stop all parts, the last started first; what goes wrong is logged. A second call does nothing."""
        while self._running:
            name, stop = self._running.pop()
            try:
                stop()
            except Exception:  # noqa: BLE001 # the other parts must be stopped as well
                _log.exception("%s could not be stopped", name)


def background(name: str, target: Callable[[], object]) -> threading.Thread:
    """A daemon thread, not started, that the kernel and so `top -H` know by the first 15 bytes of its name."""

    def run() -> None:
        with suppress(OSError):
            Path("/proc/thread-self/comm").write_bytes(name.encode()[:15])
        target()

    return threading.Thread(target=run, name=name, daemon=True)


@contextmanager
def on_hangup(action: Callable[[], object]) -> Iterator[None]:
    """SIGHUP calls `action`, in a thread of its own, while inside; to be used in the main thread. Signals that come
    while it runs are one more call. What goes wrong is logged."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(writing, False)

    def told(number: int, frame: FrameType | None) -> None:
        with suppress(BlockingIOError):  # the pipe is full of signals that nobody has answered yet
            os.write(writing, b"h")

    def wait() -> None:
        while b"e" not in os.read(reading, 4096):
            try:
                action()
            except Exception:  # noqa: BLE001 # the next time must work
                _log.exception("reload failed")

    thread = background("reload", wait)
    thread.start()
    before = signal.signal(signal.SIGHUP, told)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
        os.set_blocking(writing, True)
        os.write(writing, b"e")
        thread.join()
        os.close(writing)
        os.close(reading)


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set, in the main thread; afterwards the signals do what they did before.

    A second signal ends the process at once, as it would without us: for a person who does not want to wait.
    """
    asked = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        asked.set()
        for one in SIGNALS:
            signal.signal(one, signal.SIG_DFL)

    before = {number: signal.signal(number, ask) for number in SIGNALS}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
