"""Waiting until a descriptor can be read."""

from __future__ import annotations

import select


def wait(descriptor: int, seconds: float) -> bool:
    """Whether `descriptor` can be read, or has ended, within `seconds`. By poll(2): select(2) knows no descriptor above
    1023, and a server's agent may have more."""
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    return bool(poller.poll(max(0, round(seconds * 1000))))
