"""What a channel is."""

from __future__ import annotations

from typing import Literal, Protocol

from luytre_collector.detect.alert import Alert

Language = Literal["vi", "en"]


class TryAgainError(Exception):
    """Not delivered now, perhaps later: the network, a timeout, an overloaded receiver. The message says which."""


class WillNeverWorkError(Exception):
    """The receiver does not take this alert and never will: a wrong address or key. It is counted and let go."""


class Channel(Protocol):
    """One way out for alerts, driven by one thread of its own. Delivery is at least once."""

    @property
    def name(self) -> str:
        """Stable over restarts: the journal remembers deliveries by it."""

    def deliver(self, alert: Alert) -> None:
        """Deliver, bounded in time, or raise TryAgainError or WillNeverWorkError."""
