"""How long to wait before trying again: exponential, with full jitter, so that agents do not all return at once."""

from __future__ import annotations

from collections.abc import Callable


class Backoff:
    """Waits drawn evenly from 0 to a ceiling that doubles from `base_s` to `cap_s` with each failure in a row."""

    def __init__(self, random: Callable[[], float], base_s: float = 0.5, cap_s: float = 60.0) -> None:
        self._random = random
        self._base_s = base_s
        self._cap_s = cap_s
        self.failures = 0

    def next(self) -> float:
        """One more failure: seconds to wait. `random` gives a number from 0 up to 1."""
        ceiling = min(self._cap_s, self._base_s * float(1 << min(self.failures, 32)))
        self.failures += 1
        return self._random() * ceiling

    def reset(self) -> None:
        """It worked."""
        self.failures = 0
