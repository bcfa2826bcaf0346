"""A slow way to a server: a TCP relay that carries so many bytes a second towards it, and all that comes back."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

_PIECE = 1 << 16


class Relay:
    """Listens on a free port of the loopback interface; a context manager. Threads, because what it carries is slow."""

    def __init__(self, host: str, bytes_per_second: float) -> None:
        name, _, port = host.rpartition(":")
        self._target = (name, int(port))
        self._pace = bytes_per_second
        self._lock = threading.Lock()
        self._free_at = time.monotonic()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = [self._listener]
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Relay:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
                self._sockets += [near, far]
                for source, sink, slow in ((near, far, True), (far, near, False)):
                    threading.Thread(target=self._carry, args=(source, sink, slow), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, slow: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_PIECE):
                if slow:
                    self._wait(len(data))
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _wait(self, size: int) -> None:
        with self._lock:  # one pace for all connections
            self._free_at = max(self._free_at, time.monotonic()) + size / self._pace
            pause = self._free_at - time.monotonic()
        if pause > 0:
            time.sleep(pause)
