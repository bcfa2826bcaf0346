"""A TCP relay on loopback between agents and collector: it passes, delays, holds one direction, cuts, refuses.

What netem does to packets, done to the stream, on any kernel and without root. TLS goes through it end to end.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from dataclasses import dataclass


@dataclass
class Weather:
    """How the line is now. Seconds of delay for each piece; a direction that is held passes nothing until it is let go
    or cut; a line that is refused takes no connection."""

    delay_s: float = 0.0
    bytes_per_second: float = 0.0
    hold_up: bool = False  # from agents to the collector
    hold_down: bool = False  # answers
    refuse: bool = False


class Relay:
    """Runs in a thread of its own. `target` is asked for at every connection: a collector may come back elsewhere."""

    def __init__(self) -> None:
        self.weather = Weather()
        self.target: tuple[str, int] = ("127.0.0.1", 1)
        self.connections = 0
        self.cuts = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self.port = 0

    def start(self) -> None:
        """Listen; `port` is known then."""
        self._thread.start()
        assert self._ready.wait(10)

    def stop(self) -> None:
        """Cut everything, and end."""
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def clear(self) -> None:
        """Fair weather."""
        self.weather = Weather()

    def cut(self) -> None:
        """Reset every connection (RST), whatever is on its way."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result(10)

    async def _cut(self) -> None:
        for writer in list(self._open):
            self.cuts += 1
            sock = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.weather.refuse:
            writer.transport.abort()
            return
        try:
            there_reader, there = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        self.connections += 1
        self._open |= {writer, there}
        try:
            up = asyncio.create_task(self._pump(reader, there, up=True))
            down = asyncio.create_task(self._pump(there_reader, writer, up=False))
            await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
            for task in (up, down):
                task.cancel()
        finally:
            for one in (writer, there):
                self._open.discard(one)
                one.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, up: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                while self.weather.hold_up if up else self.weather.hold_down:
                    await asyncio.sleep(0.01)
                if self.weather.delay_s:
                    await asyncio.sleep(self.weather.delay_s)
                if self.weather.bytes_per_second:
                    await asyncio.sleep(len(data) / self.weather.bytes_per_second)
                writer.write(data)
                await writer.drain()
