"""What sources may do later or leave out while a budget binds: from the ladder of `limits`, to every source."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ease:
    """The default is to do everything as configured. Every source does less where it can, and says what it leaves out
    in its counters or rows."""

    #: Batches may be so old, seconds; those of processes and logins have a limit of their own.
    batch_seconds: float = 0.0
    essential_batch_seconds: float = 0.0
    #: Whether the first messages of connections are read (TLS); DNS always is.
    details: bool = True
    #: One flow in so many is looked at; 0: none, their packets are only counted.
    one_in: int = 1
    #: What is neither packets nor processes nor logins rests so long between two looks, seconds.
    rest_seconds: float = 0.0


#: Everything as configured.
FULL = Ease()
