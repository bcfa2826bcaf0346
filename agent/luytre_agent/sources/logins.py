"""Who came in, who tried, who changed user or accounts: from the journal or the log files, and from wtmp and btmp."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from luytre_common.errors import Unavailable
from luytre_common.settings import at_least, at_most, setting
from luytre_common.telemetry import Counters, Sample
from luytre_common.wire.limits import MAX_ROWS

from luytre_agent.ease import Ease
from luytre_agent.sources import readable
from luytre_agent.sources.base import SealedBatch, Source
from luytre_agent.sources.logs import utmp
from luytre_agent.sources.logs.journal import Journal
from luytre_agent.sources.logs.parse import parse
from luytre_agent.sources.logs.split import Lines, Records
from luytre_agent.sources.logs.sudo import CONTINUED, Continued
from luytre_agent.sources.logs.syslog import Entry, clean, header
from luytre_agent.sources.logs.tail import Tail
from luytre_agent.sources.rows import Rows, redacted
from luytre_agent.sources.state import StateFile

#: Files are looked at this often: a stat(2) each, and nothing more while nothing happens.
_LOOK_S = 1.0

#: Where we are in files that bring no rows is written down this often.
_PLACE_S = 5.0

#: Bytes of each file in one poll.
_MOST = 1 << 20


@dataclass(frozen=True)
class Config:
    """Logins, sessions, privileges and accounts."""

    enabled: bool = setting(True, "whether to read logins")
    read: Literal["auto", "journald", "files", "both"] = setting(
        "auto", "the journal, the log files or both; auto: the journal where there is one, else the files"
    )
    auth_logs: list[Path] = setting(
        [Path("/var/log") / name for name in ("auth.log", "secure", "cron", "cron.log")], "log files, as syslog writes"
    )
    wtmp: list[Path] = setting([Path("/var/log/wtmp")], "records of logins and boots; empty: none")
    btmp: list[Path] = setting([Path("/var/log/btmp")], "records of failed logins; empty: none")
    journalctl: list[str] = setting(["journalctl"], "program that reads the journal, and its first arguments")
    from_beginning: bool = setting(False, "at the very first start, also what the files hold already")
    linger_seconds: float = setting(
        30.0, "a file that was renamed is read on for so long", at_least(0), at_most(86_400)
    )
    batch_rows: int = setting(5_000, "rows of a batch at most", at_least(1), at_most(MAX_ROWS))
    batch_seconds: float = setting(1.0, "age of a batch at most", at_least(0.05), at_most(3600))


class Logins:
    """All logs about logins of this host. clock: seconds since 1970."""

    name = "logins"
    patient = True

    def __init__(self, config: Config, state_directory: Path, clock: Callable[[], float] = time.time) -> None:
        self._config = config
        self._clock = clock
        self._counters = Counters(self.name)
        self._state = StateFile(state_directory, self.name)
        self._rows = Rows("logins", self._counters, config.batch_rows, config.batch_seconds)
        self._tails: list[tuple[str, Tail]] = []
        self._journal: Journal | None = None
        self._cursor = ""
        self._polled = False
        self._place_at = 0.0
        self._shape = utmp.layout()
        self._safe: dict[str, Any] | None = None
        self._sudo = Continued(redacted)
        #: What is read now, and what is not and why: for `check`.
        self.rung = ""
        self.refused: list[tuple[str, str]] = []

    def open(self) -> None:
        """Go on where the last one of us stopped; see `Source.open`."""
        config, self.refused, found = self._config, [], []
        saved = self._state.open()
        self._cursor = _text(saved.get("cursor"))
        if config.read != "files":
            journal = Journal(config.journalctl, self._counters, time.monotonic)
            try:
                journal.open(self._cursor)
            except Unavailable as error:
                self.refused.append(("journald", str(error)))
            else:
                self._journal = journal
                found.append("journald")
        paths = [("wtmp", path) for path in config.wtmp] + [("btmp", path) for path in config.btmp]
        if config.read in ("files", "both") or (config.read == "auto" and self._journal is None):
            paths = [("auth_log", path) for path in config.auth_logs] + paths
        tails = saved.get("tails")
        for kind, path in paths:
            tail = self._tail(kind, path)
            tail.open(tails.get(str(path)) if isinstance(tails, dict) else None)
            self._tails.append((kind, tail))
            if tail.reason:
                self.refused.append((kind, tail.reason))
            else:
                found.append(kind)
        self.rung = "+".join(dict.fromkeys(found))
        for kind in ("journald", "auth_log", "wtmp", "btmp"):
            self._counters.set("reading", found.count(kind), kind)
        if not found or (config.read == "journald" and self._journal is None):
            reasons = "; ".join(f"{kind}: {reason}" for kind, reason in self.refused) or "nothing is configured"
            self._release()
            raise Unavailable(
                f"logins: {reasons}", "install rsyslog or systemd-journald, or set [sources.logins] auth_logs"
            )

    def poll(self, timeout_s: float) -> Sequence[SealedBatch]:
        """See `Source.poll`. What was handed out last time is safe in the spool now, so our place may be written."""
        if self._safe is not None:
            if not self._state.save(self._safe):
                self._counters.add("state_failures")
            self._safe = None
        self._polled = True
        deadline = time.monotonic() + timeout_s
        while not self._look() and (left := min(self._rows.wait_s(_LOOK_S), deadline - time.monotonic())) > 0:
            self._wait(left)
            if time.monotonic() >= deadline:
                break
        batches = self._rows.take()
        if not self._rows.waiting and (batches or time.monotonic() >= self._place_at):
            self._place_at = time.monotonic() + _PLACE_S
            self._safe = self._place()
        return batches

    def ease(self, ease: Ease) -> float:
        """See `Source.ease`: later batches, as the last of all."""
        self._rows.ease(ease.essential_batch_seconds)
        return 0.0

    def samples(self) -> Sequence[Sample]:
        """See `Source.samples`; split by file."""
        return self._counters.samples()

    @property
    def finished(self) -> bool:
        """Never."""
        return False

    def close(self) -> Sequence[SealedBatch]:
        """See `Source.close`."""
        if not self._tails and self._journal is None:
            return ()
        batches = self._rows.flush()
        if self._polled and not self._state.save(self._place()):  # who only looks whether it works has no say in it
            self._counters.add("state_failures")
        self._release()
        return batches

    def _tail(self, kind: str, path: Path) -> Tail:
        split = Lines if kind == "auth_log" else partial(Records, self._shape.size)
        config = self._config
        return Tail(path, split, self._counters, time.monotonic, config.linger_seconds, config.from_beginning)

    def _look(self) -> bool:
        """Read what is there now; whether there was anything."""
        before = self._rows.waiting
        if self._journal:
            for entry in self._journal.read(0.0):
                self._add(entry, "journald")
        for kind, tail in self._tails:
            for item in tail.read(_MOST):
                if kind == "auth_log":
                    self._add_line(item)
                else:
                    self._add_record(item, failed=kind == "btmp")
        return self._rows.waiting > before

    def _wait(self, seconds: float) -> None:
        descriptor = self._journal.descriptor() if self._journal else None
        if descriptor is None:
            time.sleep(seconds)
        else:
            readable.wait(descriptor, seconds)

    def _add_line(self, line: bytes) -> None:
        text, now = clean(line), self._clock()
        if not text:
            return
        entry = header(text, now)
        if entry is None:
            self._counters.add("headers_unread")
            entry = Entry(int(now * 1e6), "", 0, text)
        self._add(entry, "auth_log")

    def _add_record(self, record: bytes, failed: bool) -> None:
        if row := utmp.row(record, self._shape, failed):
            self._rows.add(row)
        else:
            self._counters.add("records_ignored")

    def _add(self, entry: Entry, source: str) -> None:
        row = parse(entry.program, entry.message)
        message = self._sudo.clean(entry.pid, entry.message) if entry.program == "sudo" else redacted(entry.message)
        row |= {
            "event_time": max(0, entry.time),
            "event_source": source,
            "process_name": entry.program,
            "process_pid": entry.pid,
            "message": message,
        }
        if command := row.get("process_command_line"):
            continued = message.partition(CONTINUED)[2]
            row["process_command_line"] = continued or redacted(command)
        self._rows.add(row)

    def _place(self) -> dict[str, Any]:
        if self._journal:
            self._cursor = self._journal.cursor
        return {"cursor": self._cursor, "tails": {str(tail.path): tail.state() for _, tail in self._tails}}

    def _release(self) -> None:
        for _, tail in self._tails:
            tail.close()
        self._tails.clear()
        if self._journal:
            self._journal.close()
        self._journal = None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def build(config: Config, state_directory: Path) -> dict[str, Callable[[], Source]]:
    """The source, if it is wanted."""
    return {"logins": partial(Logins, config, state_directory)} if config.enabled else {}
