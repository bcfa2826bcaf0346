"""What one connection has sent and what is not answered yet. No input or output: the client drives it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from luytre_agent.batch import Key


@dataclass(frozen=True, slots=True)
class Flight:
    """One batch on its way: its numbering, its first and last sequence."""

    key: Key
    first: int
    last: int


class Session:
    """The state of one stream, from Hello to its end. Not for several threads at once."""

    def __init__(self, now: float) -> None:
        self.welcomed = False
        self.closed = False
        self.credit = 0
        self.flights: deque[Flight] = deque()
        self.answered_at = now

    @property
    def room(self) -> bool:
        """Whether one more batch may go. A credit of 0 still lets one go at a time: slower, but never stuck."""
        return self.welcomed and len(self.flights) < max(1, self.credit)

    def welcome(self, credit: int, now: float) -> None:
        """The collector has let us in; `credit` batches may be unanswered at a time."""
        self.welcomed, self.credit, self.answered_at = True, credit, now

    def sent(self, flight: Flight, now: float) -> None:
        """A batch goes out."""
        if not self.flights:
            self.answered_at = now
        self.flights.append(flight)

    def acknowledge(self, key: Key, through: int, credit: int, now: float) -> int | None:
        """Everything of `key` up to `through` is stored: the last sequence of it that was sent here, None if none was.

        What was never sent cannot have been stored, whatever the collector says.
        """
        self.credit, self.answered_at = credit, now
        done = [flight for flight in self.flights if flight.key == key and flight.last <= through]
        self._land(done)
        return max((flight.last for flight in done), default=None)

    def refuse(self, key: Key, first: int, now: float) -> bool:
        """The batch will never be taken; False if it is not on its way."""
        self.answered_at = now
        done = [flight for flight in self.flights if flight.key == key and flight.first == first]
        self._land(done)
        return bool(done)

    def _land(self, done: list[Flight]) -> None:
        for flight in done:
            self.flights.remove(flight)

    def overdue(self, now: float, limit_s: float) -> bool:
        """Whether the collector owes an answer for longer than `limit_s` seconds."""
        return (not self.welcomed or bool(self.flights)) and now - self.answered_at > limit_s
