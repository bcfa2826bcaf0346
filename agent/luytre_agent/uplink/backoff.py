"""How long to wait before trying again: exponential, with full jitter, so that agents do not all return at once."""

from __future__ import annotations

from collections.abc import Callable

#: A collector that has too much to do is asked again as after so many failures.
_BUSY = 5


class Backoff:
    """Waits drawn evenly from 0 to a ceiling that doubles from `base_s` to `cap_s` with each failure in a row, and is
    never below `spread_s`, over which those spread that lost the same collector at the same moment."""

    def __init__(
        self, random: Callable[[], float], base_s: float = 0.5, cap_s: float = 60.0, spread_s: float = 0.0
    ) -> None:
        self._random = random
        self._base_s = base_s
        self._cap_s = cap_s
        self._spread_s = spread_s
        self.failures = 0

    def first(self) -> float:
        """Nothing has failed yet: seconds to wait after the start, for a whole fleet may have been started together."""
        return self._random() * min(self._cap_s, self._spread_s)

    def next(self) -> float:
        """One more failure: seconds to wait. `random` gives a number from 0 up to 1."""
        ceiling = min(self._cap_s, max(self._spread_s, self._base_s * float(1 << min(self.failures, 32))))
        self.failures += 1
        return self._random() * ceiling

    def busy(self) -> None:
        """It was the other end's wish that we come later."""
        self.failures = max(self.failures, _BUSY)

    def reset(self) -> None:
        """It worked."""
        self.failures = 0
