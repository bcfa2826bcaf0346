"""What this host consists of: a full snapshot a day, and every difference in between, also across restarts."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from luytre_common.errors import Unavailable
from luytre_common.settings import at_least, at_most, setting
from luytre_common.telemetry import Counters, RateLimited, Sample
from luytre_common.wire.limits import MAX_ROWS

from luytre_agent.ease import Ease
from luytre_agent.sources.base import SealedBatch, Source
from luytre_agent.sources.host import accounts, bpf, clocks, packages, ports, system, units
from luytre_agent.sources.host.things import Change, Facts, differences, pairs
from luytre_agent.sources.rows import Rows, redacted
from luytre_agent.sources.state import StateFile

_log = logging.getLogger("luytre.sources")

#: Facts in which people write passwords: commands, what is mounted and how, kernel settings that name a program.
_FREE_TEXT = ("ExecStart", "command_line", "source", "options", "value")

_SYSCTLS = [
    "kernel.core_pattern",
    "kernel.dmesg_restrict",
    "kernel.kexec_load_disabled",
    "kernel.kptr_restrict",
    "kernel.modprobe",
    "kernel.modules_disabled",
    "kernel.perf_event_paranoid",
    "kernel.randomize_va_space",
    "kernel.unprivileged_bpf_disabled",
    "kernel.yama.ptrace_scope",
    "fs.protected_hardlinks",
    "fs.protected_symlinks",
    "fs.suid_dumpable",
    "net.ipv4.conf.all.accept_redirects",
    "net.ipv4.conf.all.rp_filter",
    "net.ipv4.ip_forward",
    "net.ipv4.tcp_syncookies",
    "net.ipv6.conf.all.forwarding",
]


@dataclass(frozen=True)
class Config:
    """What the host consists of: packages, users, units, ports, modules, ..."""

    enabled: bool = setting(True, "whether to take stock")
    root: Path = setting(Path("/"), "where the host's files are, for an agent in a container")
    snapshot_seconds: float = setting(86_400.0, "everything anew this often", at_least(1))
    interval_seconds: float = setting(3_600.0, "look for differences in what is dear to read this often", at_least(0.1))
    quick_seconds: float = setting(60.0, "look for differences in what is cheap to read this often", at_least(0.1))
    os: bool = setting(True, "operating system")
    kernel: bool = setting(True, "kernel and its command line")
    package: bool = setting(True, "packages of dpkg and rpm")
    user: bool = setting(True, "users of /etc/passwd, and why they are privileged")
    group: bool = setting(True, "groups of /etc/group")
    unit: bool = setting(True, "systemd units and what enables them")
    timer: bool = setting(True, "systemd timers")
    mount: bool = setting(True, "mounted file systems")
    listening_port: bool = setting(True, "listening ports and their processes")
    kernel_module: bool = setting(True, "kernel modules")
    bpf_program: bool = setting(True, "BPF programs in the kernel (needs CAP_SYS_ADMIN)")
    sysctl: bool = setting(True, "kernel settings")
    clock: bool = setting(True, "synchronisation and steps of the clock")
    sysctls: list[str] = setting(_SYSCTLS, "names of the kernel settings that are watched")
    step_seconds: float = setting(1.0, "the clock was set if it jumps by so much", at_least(0.01))
    max_things: int = setting(20_000, "things of each kind that are kept", at_least(16))
    batch_rows: int = setting(5_000, "rows of a batch at most", at_least(1), at_most(MAX_ROWS))
    batch_seconds: float = setting(1.0, "age of a batch at most", at_least(0.05), at_most(3600))


Things = Mapping[str, Facts]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of thing. mark: what changes if something has; without it, everything is read each time."""

    name: str
    source: str
    read: Callable[[], Things]
    mark: Callable[[], object] | None = None
    quick: bool = True


def kinds(config: Config) -> list[Kind]:
    """Every kind, in the order in which they are first looked at."""
    root = config.root
    return [
        Kind("os", "os-release", partial(system.read_os, root), quick=False),
        Kind("kernel", "proc", partial(system.read_kernel, root), quick=False),
        Kind("user", "passwd", partial(accounts.read_users, root), partial(accounts.marks, root)),
        Kind("group", "passwd", partial(accounts.read_groups, root), partial(accounts.marks, root)),
        Kind("kernel_module", "proc", partial(system.read_modules, root)),
        Kind("bpf_program", "bpf", bpf.read),
        Kind("sysctl", "sysctl", partial(system.read_sysctls, root, config.sysctls)),
        Kind("clock", "clock", partial(clocks.read, root)),
        Kind("mount", "proc", partial(system.read_mounts, root)),
        Kind("listening_port", "sock_diag", partial(ports.read, root), quick=False),
        Kind("unit", "systemd", partial(units.read_units, root), partial(units.marks, root)),
        Kind("timer", "systemd", partial(units.read_timers, root), partial(units.marks, root)),
        Kind("package", "packages", partial(packages.read, root), partial(packages.marks, root)),
    ]


class Inventory:
    """Looks at one kind at a time, each when it is due; says what differs from what was there last, restarts included.

    clock: seconds since 1970; boottime: seconds since the start of the host, suspended ones included.
    """

    name = "inventory"
    patient = True

    def __init__(
        self,
        config: Config,
        state_directory: Path,
        clock: Callable[[], float] = time.time,
        boottime: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._config = config
        self._clock = clock
        self._boottime = boottime
        self._sleep = sleep
        self._file = StateFile(state_directory, self.name)
        self._counters = Counters(self.name)
        self._rows = Rows("inventory", self._counters, config.batch_rows, config.batch_seconds, boottime)
        self._kinds = [kind for kind in kinds(config) if getattr(config, kind.name)]
        self._steps = clocks.Steps(clock, boottime, config.step_seconds)
        self._limit = RateLimited(boottime, 3600.0)
        self._due: dict[str, float] = {}
        self._marks: dict[str, object] = {}
        self._known: dict[str, dict[str, Facts]] = {}
        self._whole: set[str] = set()
        self._snapshot_at = 0.0
        self._opened = False
        self._unsaved = False

    def open(self) -> None:
        """Read what was there last; see `Source.open`."""
        if not self._config.root.is_dir():
            raise Unavailable(f"{self._config.root}: no such folder", "correct [sources.inventory] root")
        saved = self._file.open()
        if saved:
            self._remember(saved)
        now = self._boottime()
        self._due = {kind.name: now for kind in self._kinds}
        self._whole |= {kind.name for kind in self._kinds if kind.name not in self._known}
        self._counters.set("kinds", len(self._kinds))
        self._opened = True

    def _remember(self, saved: Mapping[str, Any]) -> None:
        known, at = saved.get("kinds"), saved.get("snapshot_at")
        if not isinstance(known, dict) or not isinstance(at, int | float) or not all(map(_is_things, known.values())):
            self._counters.add("states_rejected")
            return
        self._known = known
        self._snapshot_at = float(at)

    def poll(self, timeout_s: float) -> Sequence[SealedBatch]:
        """Look at one kind that is due, or wait for it; see `Source.poll`."""
        if not self._opened:
            return ()
        if self._unsaved and not self._rows.waiting:
            self._save()
        if self._config.clock and (step := self._steps.look()):
            self._counters.add("clock_steps")
            self._write("clock", "clock", step)
        now = self._clock()
        if not 0 <= now - self._snapshot_at < self._config.snapshot_seconds:
            self._snapshot_at = now
            self._whole = {kind.name for kind in self._kinds}
            self._due = dict.fromkeys(self._due, self._boottime())
        kind = min(self._kinds, key=lambda one: self._due[one.name], default=None)
        wait_s = self._rows.wait_s(timeout_s)
        if kind is not None:
            wait_s = min(wait_s, self._due[kind.name] - self._boottime())
        if wait_s > 0:
            self._sleep(wait_s)
        elif kind is not None and self._due[kind.name] <= self._boottime():
            self._look_at(kind)
        return self._rows.take()

    def _look_at(self, kind: Kind) -> None:
        config = self._config
        self._due[kind.name] = self._boottime() + (config.quick_seconds if kind.quick else config.interval_seconds)
        try:
            mark = kind.mark() if kind.mark else None
            if kind.mark and mark == self._marks.get(kind.name) and kind.name not in self._whole:
                self._counters.add("unchanged")
                return
            found = self._bounded(kind, kind.read())
        except FileNotFoundError:
            self._counters.add("absent", label=kind.name)  # this host has none of it
            return
        except Exception as error:  # noqa: BLE001 # one kind must not take the others down, whatever it reads
            self._counters.add("failures", label=kind.name)
            if self._limit.ready(kind.name):
                _log.warning("inventory: %s cannot be read: %s; the others go on", kind.name, error)
            return
        self._marks[kind.name] = mark
        self._counters.add("looks", label=kind.name)
        self._tell(kind, found)

    def _bounded(self, kind: Kind, found: Things) -> dict[str, Facts]:
        most = self._config.max_things
        if len(found) > most:
            self._counters.add("overflows", len(found) - most, kind.name)
        return {name: _redacted(found[name]) for _, name in zip(range(most), found, strict=False)}

    def _tell(self, kind: Kind, found: dict[str, Facts]) -> None:
        before = self._known.get(kind.name)
        changes = [] if before is None else list(differences(before, found))
        for change in changes:
            self._write(kind.name, kind.source, change)
        if kind.name in self._whole:
            self._whole.discard(kind.name)
            for name, facts in found.items():
                self._write(kind.name, kind.source, Change("snapshot", name, {}, facts))
        elif not changes:
            return
        self._known[kind.name] = found
        self._unsaved = True

    def _save(self) -> None:
        # Only when every row has been handed on: a crash then tells a difference twice rather than never.
        self._unsaved = False
        if not self._file.save({"kinds": self._known, "snapshot_at": self._snapshot_at}):
            self._counters.add("state_failures")

    def _write(self, kind: str, source: str, change: Change[str]) -> None:
        facts = change.after or change.before
        self._rows.add(
            {
                "event_time": int(self._clock() * 1_000_000),
                "event_action": change.action,
                "event_source": _package_source(facts) if kind == "package" else source,
                "inventory_kind": kind,
                "inventory_name": change.key[:1024],
                "inventory_before": pairs(change.before),
                "inventory_after": pairs(change.after),
            }
        )

    def ease(self, ease: Ease) -> float:
        """See `Source.ease`: later batches, then rests."""
        self._rows.ease(ease.batch_seconds)
        return ease.rest_seconds

    def samples(self) -> Sequence[Sample]:
        """See `Source.samples`."""
        return self._counters.samples()

    @property
    def finished(self) -> bool:
        """Never."""
        return False

    def close(self) -> Sequence[SealedBatch]:
        """See `Source.close`."""
        if self._unsaved:
            self._save()
        self._opened = False
        return self._rows.flush()


def _redacted(facts: Facts) -> Facts:
    """Without secrets, before anything is kept or told."""
    return {key: redacted(value) if key in _FREE_TEXT else value for key, value in facts.items()}


def _package_source(facts: Facts) -> str:
    return "dpkg" if "status" in facts else "rpm"


def _is_things(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(facts, dict) and all(isinstance(one, str) for one in facts.values()) for facts in value.values()
    )


def build(config: Config, state_directory: Path) -> dict[str, Callable[[], Source]]:
    """The source, if it is wanted."""
    return {"inventory": partial(Inventory, config, state_directory)} if config.enabled else {}
