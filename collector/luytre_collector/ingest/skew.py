"""How far an agent's clock is from the collector's, by what the agent says its time is. Pure.

Only one way is measured: the message takes a while, and that looks as if the agent's clock were so much behind. So of
the last samples the one that took least is believed, and what it says is a bound: an agent that seems behind is at
most so much behind, one that seems ahead is at least so much ahead.
"""

from __future__ import annotations

from collections import deque


class Skew:
    """The last `most` samples of one agent."""

    def __init__(self, most: int) -> None:
        self._samples: deque[int] = deque(maxlen=most)

    def add(self, agent_us: int, collector_us: int) -> None:
        """The agent said its time is `agent_us` when it was `collector_us` here."""
        self._samples.append(collector_us - agent_us)

    @property
    def us(self) -> int:
        """Microseconds that the agent is behind; negative: ahead. 0 before the first sample."""
        return min(self._samples, default=0)

    def beyond(self, limit_us: int) -> bool | None:
        """True if every one of `most` samples is more than `limit_us` off to the same side, False if every one is
        within; None while neither can be said."""
        if len(self._samples) < (self._samples.maxlen or 1):
            return None
        least, most = min(self._samples), max(self._samples)
        if least > limit_us or most < -limit_us:
            return True
        return False if max(-least, most) <= limit_us else None
