"""Whose certificate is good no more: refused when it comes, cut off while it is in.

The lists are files (see `pki.books`) that may change at any moment: they are looked at several times a second and
whenever somebody comes. A list that cannot be read any more stays in force as it was. There are two where the authority
is on this machine in a folder of its own: its books, and the list that was brought here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from luytre_common.errors import UserError
from luytre_common.telemetry import Counters
from luytre_common.wire.v1 import ingest_pb2 as pb

from luytre_collector.ingest.control import Control, EndedError, Peer, Stream
from luytre_collector.pki.books import Revocations, Revoked, read_revoked

_log = logging.getLogger("luytre.ingest")

INTERVAL_S = 0.5
#: A certificate with less than this part of its validity left should have been renewed: agents do so at a third.
_LATE = 6


@dataclass
class _List:
    """A list as it was read last, and the file as it was then."""

    revoked: Revocations = field(default_factory=Revocations)
    seen: tuple[int, ...] | None = None


class Revocation(Control):
    """Keeps revoked and expired certificates out. `watch` must run for as long as the server does."""

    def __init__(self, paths: Iterable[Path], counters: Counters, clock: Callable[[], float]) -> None:
        self._lists = {path: _List() for path in paths}
        self._counters = counters
        self._clock = clock
        self._reading = asyncio.Lock()
        self._live: set[Stream] = set()
        self._cut: set[Stream] = set()

    def load(self) -> None:
        """Read the lists for the first time. UserError if one is faulty."""
        for path, one in self._lists.items():
            one.seen = _stat(path)
            one.revoked = read_revoked(path)
        self._count()

    async def enter(self, peer: Peer, hello: pb.Hello) -> None:
        """EndedError if its certificate is revoked."""
        await self.renews(peer)

    async def renews(self, peer: Peer) -> None:
        """The same: a revoked certificate must not become another one."""
        await self._refresh()
        if (why := self._find(peer)) is not None:
            self._counters.add("turned_away", label="revoked")
            raise EndedError(grpc.StatusCode.PERMISSION_DENIED, _message(why))

    def entered(self, stream: Stream) -> None:
        """Watch over it."""
        self._live.add(stream)
        self._judge(stream)  # it may have been revoked on the doorstep

    def left(self, stream: Stream) -> None:
        """It is gone."""
        self._live.discard(stream)
        self._cut.discard(stream)

    async def watch(self) -> None:
        """Look at the list again and again, and cut off whose certificate is good no more."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            try:
                await self.look()
            except Exception:  # noqa: BLE001 - nobody else would cut them off
                self._counters.add("revocations_unreadable")
                _log.exception("the list of what is revoked could not be looked at; again in a moment")

    async def look(self) -> None:
        """Once."""
        await self._refresh()
        for stream in tuple(self._live):
            self._judge(stream)
        now_us = self._clock() * 1e6
        late = sum(
            one.peer.expires_us - now_us < (one.peer.expires_us - one.peer.begins_us) / _LATE for one in self._live
        )
        self._counters.set("certificates_expiring", late)

    def _judge(self, stream: Stream) -> None:
        if stream in self._cut:
            return
        peer = stream.peer
        if (why := self._find(peer)) is not None:
            self._cut.add(stream)
            self._counters.add("streams_cut", label="revoked")
            _log.warning("%s: cut off: %s (%s)", peer.agent_id, _message(why), why.reason or "no reason given")
            stream.cut(grpc.StatusCode.PERMISSION_DENIED, _message(why))
        elif peer.expires_us <= self._clock() * 1e6:
            self._cut.add(stream)
            self._counters.add("streams_cut", label="expired")
            stream.end(grpc.StatusCode.UNAVAILABLE, "the certificate has expired")

    def _find(self, peer: Peer) -> Revoked | None:
        found = (one.revoked.find(peer.serial, peer.fingerprint) for one in self._lists.values())
        return next((why for why in found if why is not None), None)

    def _count(self) -> None:
        entries = {entry for one in self._lists.values() for entry in one.revoked.entries}
        self._counters.set("certificates_revoked", len(entries))

    async def _refresh(self) -> None:
        for path, one in self._lists.items():
            if _stat(path) == one.seen:
                continue
            async with self._reading:
                seen = _stat(path)
                if seen == one.seen:
                    continue
                try:
                    if seen is None:
                        raise UserError(f"{path}: is gone")
                    one.revoked = await asyncio.to_thread(read_revoked, path)
                except UserError as error:
                    self._counters.add("revocations_unreadable")
                    _log.error("%s; what was revoked stays revoked", error)
                one.seen = seen
                self._count()


def _stat(path: Path) -> tuple[int, ...] | None:
    try:
        now = path.stat()
    except OSError:
        return None
    return now.st_dev, now.st_ino, now.st_mtime_ns, now.st_ctime_ns, now.st_size


def _message(why: Revoked) -> str:
    """For the agent. The reason is not for it: who has stolen a certificate need not know what we know."""
    return f"this certificate was revoked on {why.revoked[:10]}"
