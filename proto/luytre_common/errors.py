"""The few exceptions that cross module borders. Each is meant to be shown to a person as one line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

EXIT_OK = 0
EXIT_FAILURE = 1
EXIT_USAGE = 2  # a user's mistake: wrong option, wrong config, unreadable input


class LuytreError(Exception):
    """A fault with a message for people. `exit_code` is what a command ends with when nothing handles it."""

    exit_code = EXIT_FAILURE


class UserError(LuytreError):
    """A user's mistake. The message names the thing and the remedy."""

    exit_code = EXIT_USAGE


class ConfigError(UserError):
    """Every fault of a configuration at once, one line each."""

    def __init__(self, path: Path | None, faults: Sequence[str]) -> None:
        self.path = path
        self.faults = tuple(faults)
        where = f"{path}: " if path else ""
        super().__init__("\n".join(f"{where}{fault}" for fault in self.faults))


class Unavailable(LuytreError):  # noqa: N818  (a state of the machine, not a fault of the program)
    """A source or a service cannot run on this machine. The rest goes on.

    `reason` says what was tried and what the system answered; `remedy` what would make it work.
    """

    def __init__(self, reason: str, remedy: str = "") -> None:
        self.reason = reason
        self.remedy = remedy
        super().__init__(f"{reason}; {remedy}" if remedy else reason)
