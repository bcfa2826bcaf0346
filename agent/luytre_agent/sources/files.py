"""Files that matter: what changed among them, from what to what, and who did it.

By fanotify, which names the process, or else by inotify, which needs no rights. A file that leaves the watched places
is `deleted`; one that comes in is `moved` with no previous path. `scan`: found by looking, because it came together
with its directory, or because the kernel had to drop events (`rescan`).

Of a process that has ended before it could be looked up, the process events tell; without them only its pid is known:
`process_unknown`.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from luytre_common.errors import Unavailable
from luytre_common.settings import at_least, at_most, setting
from luytre_common.telemetry import Counters, RateLimited, Sample
from luytre_common.wire.limits import MAX_ROWS

from luytre_agent.ease import Ease
from luytre_agent.sources.base import SealedBatch, Source
from luytre_agent.sources.rows import Rows
from luytre_agent.sources.watch.changes import Change, Changes, Snapshot
from luytre_agent.sources.watch.fanotify import Fanotify
from luytre_agent.sources.watch.hint import NO_PIDFD, Did, Hint, Watcher, below, join
from luytre_agent.sources.watch.inotify import Inotify
from luytre_agent.sources.watch.names import Names
from luytre_agent.sources.watch.own import Own
from luytre_agent.sources.watch.places import DEFAULT, Plan, entries, resolve
from luytre_agent.sources.watch.safe import Facts, look, open_folder
from luytre_agent.sources.watch.telling import Telling
from luytre_agent.sources.watch.who import Processes, Told, Who, text

_log = logging.getLogger("luytre.sources.files")

#: Ways to learn of changes, best first.
LADDER: dict[str, Callable[[], Watcher]] = {"fanotify": Fanotify, "inotify": Inotify}

_PASSWD, _GROUP = Path("/etc/passwd"), Path("/etc/group")
#: Events read before due changes are looked at, and between two parts of a large file.
_DRAIN = 64
#: Events kept while a large file is hashed; then they wait in the kernel, which counts what it drops.
_BACKLOG = 50_000
#: Least time between two looks at everything, however often the kernel's queue is full.
_RESCAN_S = 5.0


@dataclass(frozen=True)
class Config:
    """Changes of files that matter."""

    enabled: bool = setting(True, "whether to watch files")
    rung: Literal["auto", "fanotify", "inotify"] = setting("auto", "how; auto: the best that kernel and rights allow")
    defaults: bool = setting(
        True, "watch accounts, sudo, sshd, PAM, cron, systemd, shells, loader and kernel settings, and the agent itself"
    )
    homes: bool = setting(True, "watch .ssh, shell profiles and user units of all users in /etc/passwd")
    web_roots: list[str] = setting([], "directories that a web server serves, such as /var/www")
    paths: list[str] = setting([], "further files and directories")
    exclude: list[str] = setting([], "files and directories that are left out, with all in them")
    report_seen: bool = setting(False, "a row `seen` for every file that is there at the start")
    hash_bytes: int = setting(16 << 20, "larger files are not hashed, bytes", at_least(0), at_most(1 << 32))
    max_files: int = setting(20_000, "files whose state is remembered", at_least(1), at_most(10_000_000))
    max_directories: int = setting(8_192, "directories watched", at_least(1), at_most(1_000_000))
    fold_seconds: float = setting(1.0, "writes to a file within so long are one row", at_least(0), at_most(60))
    batch_rows: int = setting(1_000, "rows of a batch at most", at_least(1), at_most(MAX_ROWS))
    batch_seconds: float = setting(1.0, "age of a batch at most", at_least(0.05), at_most(3600))


class Files:
    """Changes of the watched files of this host."""

    name = "files"
    patient = False

    def __init__(
        self,
        config: Config,
        told: Told | None = None,
        clock: Callable[[], float] = time.monotonic,
        own: Own | None = None,
    ) -> None:
        """`told`: what the process events tell of processes, if there are any. `own`: what the agent consists of."""
        self._config = config
        self._own = own or Own()
        self._spool = ""
        self._told = told
        self._clock = clock
        self._counters = Counters("files")
        self._watcher: Watcher | None = None
        #: The rung that answered; empty before `open`.
        self.rung = ""
        #: The rungs that were tried in vain, and what the system answered.
        self.refused: list[tuple[str, str]] = []

    def open(self) -> None:
        """Climb down the ladder, set the watches, take the first snapshot; see `Source.open`."""
        config = self._config
        counters = self._counters = Counters("files")
        self._users, self._groups = Names(_PASSWD), Names(_GROUP)
        self._processes = Processes(self._users, self._told)
        self._rows = Rows("files", counters, config.batch_rows, config.batch_seconds, self._clock)
        self._telling = Telling(self._rows, self._processes, self._users, self._groups, counters, self._clock)
        self._pid = os.getpid()
        self._snapshot = Snapshot(config.max_files, counters)
        self._changes = Changes(self._snapshot, self._look, self._telling.take, counters, config.fold_seconds)
        self._drained = _boottime()
        self._backlog: deque[tuple[Hint, Who | None, float]] = deque()
        self._complaints = RateLimited(self._clock, 60.0)
        self._overflowed = False
        self._next_rescan = 0.0
        self._homes: tuple[str, ...] = ()
        self.refused = []
        for rung in LADDER if config.rung == "auto" else (config.rung,):
            if self._try(rung):
                return
        reasons = "; ".join(f"{rung}: {reason}" for rung, reason in self.refused)
        raise Unavailable(f"changes of files: {reasons}", _remedy(self.refused))

    def _try(self, rung: str) -> bool:
        """Whether the rung holds: it can be had, and watches at least one directory."""
        if rung not in LADDER:
            self.refused.append((rung, f"there is no such rung; give {' or '.join(LADDER)}"))
            return False
        try:
            self._watcher = LADDER[rung]()
        except OSError as error:
            self.refused.append((rung, error.strerror or str(error)))
            return False
        self._telling.rung = rung
        self._spool = self._own.spool if rung == "fanotify" and self._config.defaults else ""
        self._plan = self._new_plan()
        self._first_refusal = ""
        self._changes.started_ns = time.time_ns()
        self._adopt("/", None, first=True)
        if self._watcher.watched():
            self.rung = rung
            return True
        self._watcher.close()
        self._watcher = None
        self.refused.append((rung, self._first_refusal or "none of the directories to be watched is there"))
        return False

    def _new_plan(self) -> Plan:
        config = self._config
        self._homes = self._users.homes() if config.homes else ()
        defaults = [*DEFAULT, *self._own.places] if config.defaults else []
        paths = [*defaults, *([self._spool] if self._spool else []), *config.web_roots, *config.paths]
        return Plan(resolve(paths, self._homes), config.exclude)

    def poll(self, timeout_s: float) -> Sequence[SealedBatch]:
        """See `Source.poll`."""
        if self._watcher is None:
            return ()
        wait = self._telling.wait_s(self._rows.wait_s(self._changes.wait_s(timeout_s, self._clock())))
        if self._overflowed:
            wait = max(0.0, min(wait, self._next_rescan - self._clock()))
        if not self._backlog:
            waiting = select.poll()
            waiting.register(self._watcher.fileno(), select.POLLIN)
            waiting.poll(wait * 1000)
        for _ in range(_DRAIN):
            if not self._drain() and not self._backlog:
                break
            self._work()
        if self._overflowed and self._clock() >= self._next_rescan:
            self._rescan()
        self._changes.due(self._clock())
        self._telling.tell()
        return self._rows.take()

    def _drain(self) -> bool:
        """Read what waits, and look up at once who did it; what it means can wait."""
        if self._watcher is None or len(self._backlog) >= _BACKLOG:
            return False
        before = _boottime()
        hints = self._watcher.read()
        until, now = _boottime(), self._clock()
        for hint in hints:
            if Did.OVERFLOW in hint.did:
                self._counters.add("queue_overflows", label=self.rung)
                self._overflowed = True
                continue
            who = None
            if self._concerns(hint):
                self._counters.add("events", label=self.rung)
                who = self._processes.find(hint.pid, self._drained, until, _alive(hint.pidfd))
                self._backlog.append((hint, who, now))
            else:
                self._counters.add("events_ignored", label=self.rung)
            if hint.pidfd >= 0:
                os.close(hint.pidfd)
        if not hints:
            self._drained = before
        return bool(hints)

    def _concerns(self, hint: Hint) -> bool:
        plan = self._plan
        if self._spool and hint.pid == self._pid and below(hint.path or hint.previous, self._spool):
            return False  # we write there all the time
        return any(plan.wanted(one) or (hint.is_dir and plan.leads(one)) for one in (hint.path, hint.previous) if one)

    def _work(self) -> None:
        while self._backlog:
            hint, who, now = self._backlog.popleft()
            plan = self._plan
            if Did.MOVE in hint.did:
                self._changes.moved(hint.path, hint.previous, who, now, plan.wanted)
                if hint.is_dir and hint.path and plan.leads(hint.path):
                    self._adopt(hint.path, who)
                elif hint.is_dir and hint.path and self._watcher:
                    self._watcher.forget(hint.path)
                if hint.is_dir and hint.previous:
                    self._left(hint.previous)
            else:
                if plan.wanted(hint.path):
                    self._changes.touched(hint, who, now)
                if hint.is_dir and Did.DELETE in hint.did:
                    self._left(hint.path)
                elif hint.is_dir and Did.CREATE in hint.did:
                    self._adopt(hint.path, None)
            if hint.path == str(_PASSWD):
                self._changes.settle(hint.path)
                self._follow_homes()

    def _follow_homes(self) -> None:
        if self._config.homes and self._users.homes() != self._homes:
            self._plan = self._new_plan()
            self._adopt("/", None)

    def _left(self, path: str) -> None:
        """A directory is gone: watch what may be there again by now, or for its return from the one above."""
        if self._watcher:
            self._watcher.forget(path)
        above = any(below(place, path) for place in self._plan.places)
        self._adopt(os.path.dirname(path) if above else path, None)  # noqa: PTH120

    def _adopt(self, under: str, who: Who | None, first: bool = False, rescan: bool = False) -> set[str]:
        """Watch the directories there, then look what is in them: in this order nothing is missed."""
        there: set[str] = set()
        for folder in self._plan.folders(under):
            if not self._watch(folder):
                break
            for name, _ in entries(folder):
                path = join(folder, name)
                if not self._plan.wanted(path):
                    continue
                there.add(path)
                if first:
                    self._remember(path)
                else:
                    self._changes.found(path, who, self._clock(), rescan)
            self._drain()
        if self._watcher:
            self._counters.set("directories_watched", self._watcher.watched())
        return there

    def _remember(self, path: str) -> None:
        facts = self._look(path, self._snapshot.get(path))
        self._snapshot.put(path, facts)
        if facts and self._config.report_seen:
            self._telling.take(Change("seen", path, self._clock(), None, None, facts, source="scan"))

    def _watch(self, folder: str) -> bool:
        """Whether there is room for more."""
        watcher = self._watcher
        if watcher is None:
            return False
        full = False
        try:
            if watcher.watched() >= self._config.max_directories and not watcher.knows(folder):
                raise OSError(errno.ENOSPC, "there is no room; raise [sources.files] max_directories")
            fd = open_folder(folder)
            try:
                watcher.add(folder, fd)
            finally:
                os.close(fd)
        except (FileNotFoundError, NotADirectoryError):
            return True  # gone meanwhile
        except OSError as error:
            full = error.errno == errno.ENOSPC
            reason = error.strerror or str(error)
            if full and "max_directories" not in reason:
                reason = f"{reason}; raise the sysctl {watcher.limit}"
            self._first_refusal = self._first_refusal or f"{text(folder)}: {reason}"
            self._counters.add("directories_refused", label=watcher.rung)
            if self._complaints.ready(reason):
                _log.warning("%s: not watched by %s: %s", text(folder), watcher.rung, reason)
        return not full

    def _rescan(self) -> None:
        self._overflowed = False
        self._next_rescan = self._clock() + _RESCAN_S
        self._counters.add("rescans")
        self._changes.settle_all()
        there = self._adopt("/", None, rescan=True)
        for path in self._snapshot.under("/"):
            if path not in there:
                self._changes.missing(path, self._clock())

    def _look(self, path: str, known: Facts | None) -> Facts | None:
        most = 0 if self._spool and below(path, self._spool) else self._config.hash_bytes
        return look(path, most, known, self._between)

    def _between(self) -> None:
        """While a large file is hashed: who wrote others must not be gone when it is done."""
        self._drain()

    def ease(self, ease: Ease) -> float:
        """See `Source.ease`: later batches, then rests."""
        self._rows.ease(ease.batch_seconds)
        return ease.rest_seconds

    def samples(self) -> Sequence[Sample]:
        """See `Source.samples`. `refused` counts the rungs that were tried in vain."""
        return [*self._counters.samples(), *(Sample(self.name, "refused", rung, 1) for rung, _ in self.refused)]

    @property
    def finished(self) -> bool:
        """Never."""
        return False

    def close(self) -> Sequence[SealedBatch]:
        """Take what waits, close every change, give the watches back; see `Source.close`."""
        if self._watcher is None:
            return ()
        for _ in range(_DRAIN):
            if not self._drain():
                break
            self._work()
        self._changes.settle_all()
        self._telling.tell(patient=False)
        watcher, self._watcher = self._watcher, None
        watcher.close()
        return self._rows.flush()


def _boottime() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def _alive(pidfd: int) -> bool:
    """Whether the process was not reaped yet, so that its pid is still its own. True if there is no telling."""
    if pidfd < 0:
        return pidfd == NO_PIDFD
    try:
        signal.pidfd_send_signal(pidfd, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's, for an agent without CAP_KILL
        return True
    return True


def _remedy(refused: Sequence[tuple[str, str]]) -> str:
    reasons = " ".join(reason for _, reason in refused).lower()
    if "sysctl" in reasons:
        return "raise it with sysctl -w, or watch fewer directories"
    if "too many open files" in reasons:
        return "raise the sysctl fs.inotify.max_user_instances or the limit of open files"
    if "not permitted" in reasons:
        return "run the agent as root, or give it CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH, or set rung = 'auto'"
    return "correct [sources.files], or set enabled = false to go without"


def build(config: Config, told: Told | None = None, own: Own | None = None) -> dict[str, Callable[[], Source]]:
    """The source, if it is wanted."""
    return {"files": partial(Files, config, told, own=own)} if config.enabled else {}
