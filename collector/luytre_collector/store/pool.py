"""A few connections shared by many threads, made when first needed."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from luytre_collector.store.base import StoreUnavailableError

C = TypeVar("C")


class Pool(Generic[C]):
    """At most `size` connections; who comes later waits. The last one given back is the first one taken."""

    def __init__(self, connect: Callable[[], C], disconnect: Callable[[C], None], size: int) -> None:
        self._connect = connect
        self._disconnect = disconnect
        self._size = size
        self._slots: queue.LifoQueue[C | None] = queue.LifoQueue()
        for _ in range(size):
            self._slots.put(None)
        self._closed = False

    @contextmanager
    def take(self) -> Iterator[C]:
        """A connection of one's own while inside. StoreUnavailableError once the pool is closed.

        A connection inside which something was raised is not used again: chDB gives what a failed query had written
        so far to the next query of the same connection, and a broken network connection is of no use either.
        """
        slot = self._slots.get()
        try:
            if self._closed:
                raise StoreUnavailableError("the store is closed")
            if slot is None:
                slot = self._connect()
            yield slot
        except BaseException:
            if slot is not None:
                self._disconnect(slot)
                slot = None
            raise
        finally:
            self._slots.put(slot)

    def close(self) -> None:
        """Wait for what runs, then disconnect everything; nothing can be taken any more."""
        self._closed = True
        slots = [self._slots.get() for _ in range(self._size)]
        for slot in slots:
            if slot is not None:
                self._disconnect(slot)
            self._slots.put(None)
