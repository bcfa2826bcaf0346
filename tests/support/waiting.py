"""Waiting for what other threads do."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(ready: Callable[[], object], seconds: float = 30.0) -> None:
    """Until it is ready; fails after a while."""
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.01)
