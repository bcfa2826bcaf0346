"""How much may wait between the network and the store, over all agents. Lives in the event loop."""

from __future__ import annotations

import asyncio


class Budget:
    """Bytes of batches that were read and not yet stored. When it is full, reading stops: TCP tells the agents."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._used = 0
        self._room = asyncio.Condition()

    @property
    def used(self) -> int:
        """Bytes in use."""
        return self._used

    async def take(self, size: int) -> None:
        """Wait for room. A batch larger than the whole budget goes alone."""
        async with self._room:
            await self._room.wait_for(lambda: not self._used or self._used + size <= self._max_bytes)
            self._used += size

    async def give(self, size: int) -> None:
        """Give room back."""
        async with self._room:
            self._used -= size
            self._room.notify_all()

    def credit(self, full: int) -> int:
        """How many batches an agent may have under way: `full` while half the budget is free, then ever less, 1 at
        least."""
        free = max(0, self._max_bytes - self._used)
        return max(1, min(full, full * 2 * free // self._max_bytes))
