"""sudo writes a long command as several lines, the later ones `USER : (command continued) ...` (sudo's logging.c).

What a word of a continued line means, an option or its secret value, only the lines before it tell.
"""

from __future__ import annotations

from collections.abc import Callable

#: Between the user and the rest of the command.
CONTINUED = " : (command continued) "
#: Longest command that is put together again; behind it the continued lines are left out.
_MOST = 64 << 10


class Continued:
    """Redacts the lines of sudo, one after the other as they were written. `redact` takes the secrets out of a text."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        self._redact = redact
        self._pid = 0
        self._before = ""

    def clean(self, pid: int, message: str) -> str:
        """The line without secrets. Lines of one command come from one process, in their order."""
        head, mark, rest = message.partition(CONTINUED)
        if not mark:
            self._pid, self._before = pid, message
            return self._redact(message)
        if pid != self._pid or not self._before or len(self._before) > _MOST:
            return f"{head}{mark}[redacted]"  # of what, nobody knows
        known, self._before = self._redact(self._before), f"{self._before} {rest}"
        whole = self._redact(self._before)
        told = whole.removeprefix(f"{known} ")
        return f"{head}{mark}{told if told != whole else '[redacted]'}"
