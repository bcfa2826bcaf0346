"""The journal of systemd, read by `journalctl --follow` as a child, from a cursor on (systemd.journal-fields(7)).

Any user may write to the journal under any name; but which program and user it was, journald learns from the kernel. So
a name counts only if root says it, or the program that owns it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

from luytre_common.errors import Unavailable
from luytre_common.telemetry import Counters

from luytre_agent.sources import readable
from luytre_agent.sources.logs.split import LINE_BYTES
from luytre_agent.sources.logs.syslog import Entry, clean

#: syslog facilities auth, cron and authpriv (syslog(3)): what rsyslog sends to auth.log, and cron's.
_MATCHES = ("SYSLOG_FACILITY=4", "SYSLOG_FACILITY=9", "SYSLOG_FACILITY=10")
_FIELDS = "MESSAGE,SYSLOG_IDENTIFIER,SYSLOG_PID,_PID,_UID,_EXE,_COMM,_SOURCE_REALTIME_TIMESTAMP"

#: An entry that is longer as JSON is skipped (a message in bytes takes four characters for each).
_ENTRY_BYTES = 4 << 20
_CHUNK = 1 << 16

#: Where only root can put programs.
_SYSTEM = ("/usr/", "/bin/", "/sbin/", "/lib/")

#: Wait so long before a journalctl that ended is started again.
_AGAIN_S = 1.0


class Journal:
    """Entries of the journal, as the child gives them. `cursor`: of the last one that was given out.

    command: journalctl and its first arguments.
    """

    def __init__(self, command: list[str], counters: Counters, clock: Callable[[], float]) -> None:
        self.cursor = ""
        self._command = command
        self._counters = counters
        self._clock = clock
        self._child: subprocess.Popen[bytes] | None = None
        self._pending = bytearray()
        self._skipping = False
        self._ended = float("-inf")

    def open(self, cursor: str) -> None:
        """Begin after `cursor`; empty: after what there is now. Unavailable if there is no journal to be read."""
        if shutil.which(self._command[0]) is None:
            raise Unavailable(f"{self._command[0]}: no such program", "without systemd, [sources.logins] read = files")
        self.cursor = self._last()
        if cursor and self._knows(cursor):
            self.cursor = cursor
        elif cursor:
            self._counters.add("cursors_lost")
        self._start()

    def read(self, timeout_s: float) -> Iterator[Entry]:
        """The entries that are there, after waiting at most `timeout_s` for the first."""
        if self._child is None:
            if self._clock() - self._ended < _AGAIN_S:
                return
            self._counters.add("journal_restarts")
            self._start()
        assert self._child
        assert self._child.stdout
        descriptor = self._child.stdout.fileno()
        if not readable.wait(descriptor, timeout_s):
            return
        data = os.read(descriptor, _CHUNK)
        if not data:
            self.close()
            self._ended = self._clock()
            return
        *lines, rest = data.split(b"\n")
        for line in lines:
            yield from self._complete(line)
        self._keep(rest)

    def descriptor(self) -> int | None:
        """What becomes readable when there are entries."""
        return self._child.stdout.fileno() if self._child and self._child.stdout else None

    def close(self) -> None:
        """End the child."""
        child, self._child = self._child, None
        self._pending.clear()
        self._skipping = False
        if child is None:
            return
        child.kill()
        if child.stdout:
            child.stdout.close()
        child.wait()

    def _keep(self, part: bytes) -> None:
        if len(self._pending) + len(part) > _ENTRY_BYTES:
            self._pending.clear()
            self._skipping = True
        if not self._skipping:
            self._pending += part

    def _complete(self, last: bytes) -> Iterator[Entry]:
        self._keep(last)
        line, skipped = bytes(self._pending), self._skipping
        self._pending.clear()
        self._skipping = False
        if not line and not skipped:
            return
        found = None if skipped else entry(line)
        if found is None:
            self._counters.add("journal_unreadable")
            return
        self.cursor, one, cut, trusted = found
        self._counters.add("items", label="journald")
        self._counters.add("lines_cut", int(cut), "journald")
        self._counters.add("untrusted", int(not trusted))
        yield one

    def _start(self) -> None:
        shown = ["--output=json", "--all", "--quiet", f"--output-fields={_FIELDS}"]
        self._child = subprocess.Popen(
            [*self._command, *shown, "--follow", "--no-tail", f"--after-cursor={self.cursor}", *_MATCHES],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def _knows(self, cursor: str) -> bool:
        """Whether journalctl takes the cursor. One whose entry is deleted stands for the next that is left."""
        return self._run(f"--after-cursor={cursor}", "--lines=1").returncode == 0

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = [*self._command, "--output=json", "--quiet", "--output-fields=_PID", *arguments]
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False)

    def _last(self) -> str:
        """The cursor of the last entry of all."""
        remedy = "run the agent as root or in group systemd-journal"
        try:
            done = self._run("--lines=1")
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"{self._command[0]}: {error}", remedy) from None
        try:
            return str(json.loads(done.stdout)["__CURSOR"])
        except (ValueError, KeyError, TypeError):
            said = clean(done.stderr).partition("\\x0a")[0] or "the journal is empty, or not for us"
            raise Unavailable(f"{self._command[0]}: {said}", remedy) from None


def entry(line: bytes) -> tuple[str, Entry, bool, bool] | None:
    """An entry as `journalctl -o json` writes it: cursor, entry, whether the message was cut, and whether who wrote it
    may have that name; if not, the program is named by its path. None if this is no entry."""
    try:
        fields = json.loads(line)
        cursor, time = (
            fields["__CURSOR"],
            int(_text(fields, "_SOURCE_REALTIME_TIMESTAMP") or fields["__REALTIME_TIMESTAMP"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(cursor, str) or not 0 <= time < 1 << 62:
        return None
    raw = _bytes(fields, "MESSAGE")
    program, executable = _text(fields, "SYSLOG_IDENTIFIER"), _text(fields, "_EXE")
    trusted = _text(fields, "_UID") == "0" or _owns(executable, program)
    if not trusted:
        program = executable or f"({_text(fields, '_COMM')})"
    pid = _text(fields, "_PID") if trusted is False else _text(fields, "SYSLOG_PID") or _text(fields, "_PID")
    number = int(pid) if pid.isascii() and pid.isdecimal() and len(pid) < 10 else 0
    return cursor, Entry(time, program, number, clean(raw[:LINE_BYTES])), len(raw) > LINE_BYTES, trusted


def _owns(executable: str, program: str) -> bool:
    """Whether this is the program of that name, where users cannot put one. cron calls itself CRON at times."""
    return executable.startswith(_SYSTEM) and executable.rpartition("/")[2].lower() == program.lower()


def _bytes(fields: dict[str, Any], name: str) -> bytes:
    """A field: text, or a list of bytes if it is none, or a list of these if it was given several times."""
    value = fields.get(name)
    if isinstance(value, list) and value and not isinstance(value[0], int):
        value = value[0]
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    try:
        return bytes(value or b"")
    except (TypeError, ValueError):
        return b""


def _text(fields: dict[str, Any], name: str) -> str:
    return clean(_bytes(fields, name)[:LINE_BYTES])
