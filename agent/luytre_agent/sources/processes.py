"""Which processes begin a program and which end, told by the kernel: by eBPF, or else by the proc connector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from luytre_common.errors import Unavailable
from luytre_common.settings import at_least, at_most, setting
from luytre_common.telemetry import Sample

from luytre_agent import _core
from luytre_agent.sources.base import SealedBatch, Source

#: Ways to learn of processes, best first. eBPF misses none; the proc connector only knows the arguments of those that
#: live long enough to be looked up in /proc.
LADDER = ("ebpf", "cn_proc")


def _power_of_two(value: int) -> str | None:
    return None if value.bit_count() == 1 else "is not a power of two"


@dataclass(frozen=True)
class Config:
    """Process events."""

    enabled: bool = setting(True, "whether to watch processes")
    rung: Literal["auto", "ebpf", "cn_proc"] = setting("auto", "how; auto: the best that kernel and rights allow")
    ring_bytes: int = setting(
        8 << 20, "what the kernel keeps for us, bytes, a power of two", at_least(4096), at_most(1 << 30), _power_of_two
    )
    seed: bool = setting(True, "whether processes that are older than the agent make rows (event_action seed)")
    forks: bool = setting(False, "whether a fork makes a row too")
    hashes: bool = setting(True, "whether executables are read for their SHA-256, once per version")
    batch_rows: int = setting(5_000, "rows of a batch at most", at_least(1), at_most(1_000_000))
    batch_seconds: float = setting(0.5, "age of a batch at most", at_least(0.05), at_most(3600))


class Processes:
    """exec and exit of every process of this host."""

    name = "processes"

    def __init__(self, config: Config, owners: _core.Owners | None = None) -> None:
        self._config = config
        self._owners = owners
        self._events: _core.ProcessEvents | None = None
        self._last: dict[str, int] = {}
        #: The rung that answered; empty before `open`.
        self.rung = ""
        #: The rungs that were tried in vain, and what the system answered.
        self.refused: list[tuple[str, str]] = []

    def open(self) -> None:
        """Climb down the ladder to the first rung that holds; see `Source.open`."""
        config = self._config
        self.refused = []
        for rung in LADDER if config.rung == "auto" else (config.rung,):
            try:
                self._events = _core.ProcessEvents(
                    rung,
                    batch_rows=config.batch_rows,
                    batch_seconds=config.batch_seconds,
                    ring_bytes=config.ring_bytes,
                    owners=self._owners,
                    seed=config.seed,
                    forks=config.forks,
                    hashes=config.hashes,
                )
            except (OSError, ValueError) as error:
                self.refused.append((rung, str(error)))
            else:
                self.rung = rung
                return
        reasons = "; ".join(f"{rung}: {reason}" for rung, reason in self.refused)
        raise Unavailable(f"process events: {reasons}", _remedy(self.refused))

    def poll(self, timeout_s: float) -> Sequence[SealedBatch]:
        """See `Source.poll`."""
        return self._events.poll(timeout_s) if self._events else ()

    def samples(self) -> Sequence[Sample]:
        """See `Source.samples`; split by rung. `refused` counts the rungs that were tried in vain."""
        counters = self._events.counters() if self._events else self._last
        samples = [Sample(self.name, name, self.rung, value) for name, value in sorted(counters.items())]
        return [*samples, *(Sample(self.name, "refused", rung, 1) for rung, _ in self.refused)]

    @property
    def finished(self) -> bool:
        """Never."""
        return False

    def close(self) -> Sequence[SealedBatch]:
        """Detach from the kernel; see `Source.close`."""
        events, self._events = self._events, None
        if events is None:
            return ()
        batches = events.close()
        self._last = events.counters()
        return batches


def _remedy(refused: Sequence[tuple[str, str]]) -> str:
    reasons = " ".join(reason for _, reason in refused).lower()
    remedies = []
    if "not permitted" in reasons or "permission" in reasons:
        remedies.append("run the agent as root, or give it CAP_BPF and CAP_PERFMON")
    if "/sys/kernel/btf" in reasons and "no such file" in reasons:
        remedies.append("eBPF needs a kernel of 5.8 or later with CONFIG_DEBUG_INFO_BTF")
    if "clang was missing" in reasons or "headers" in reasons:
        remedies.append("install a released wheel, or clang and libbpf-dev before building")
    if "namespace" in reasons:
        remedies.append("run the agent on the host, or its container with the host's pid namespace")
    return "; ".join(remedies) or "set [sources.processes] enabled = false to go without"


def build(config: Config, owners: _core.Owners | None = None) -> dict[str, Callable[[], Source]]:
    """The source, if it is wanted."""
    return {"processes": partial(Processes, config, owners)} if config.enabled else {}
