"""Who connects, accepts and listens, told by the kernel; and through `owners`, the process of every flow."""

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

#: Who owns which end of a conversation: what this source learns, and the packets' sources ask.
Owners = _core.Owners

#: Ways to learn of sockets, best first.
LADDER = ("ebpf",)


def _power_of_two(value: int) -> str | None:
    return None if value.bit_count() == 1 else "is not a power of two"


@dataclass(frozen=True)
class Config:
    """Socket events, and the process of every flow."""

    enabled: bool = setting(True, "whether to watch sockets")
    rung: Literal["auto", "ebpf"] = setting("auto", "how; auto: the best that kernel and rights allow")
    ring_bytes: int = setting(
        4 << 20, "what the kernel keeps for us, bytes, a power of two", at_least(4096), at_most(1 << 30), _power_of_two
    )
    batch_rows: int = setting(5_000, "rows of a batch at most", at_least(1), at_most(1_000_000))
    batch_seconds: float = setting(0.5, "age of a batch at most", at_least(0.05), at_most(3600))


class Sockets:
    """TCP and UDP sockets of every process of this host. What is learnt of their owners goes to `owners` too."""

    name = "sockets"

    def __init__(self, config: Config, owners: _core.Owners) -> None:
        self._config = config
        self._owners = owners
        self._events: _core.SocketEvents | None = None
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
                self._events = _core.SocketEvents(
                    rung,
                    self._owners,
                    batch_rows=config.batch_rows,
                    batch_seconds=config.batch_seconds,
                    ring_bytes=config.ring_bytes,
                )
            except (OSError, ValueError) as error:
                self.refused.append((rung, str(error)))
            else:
                self.rung = rung
                return
        reasons = "; ".join(f"{rung}: {reason}" for rung, reason in self.refused)
        raise Unavailable(f"socket events: {reasons}", _remedy(self.refused))

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
        remedies.append("run the agent as root, or give it CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN")
    if "sock_send_length" in reasons:
        remedies.append("this needs a kernel of 6.3 or later")
    if "/sys/kernel/btf" in reasons and "no such file" in reasons:
        remedies.append("eBPF needs a kernel with CONFIG_DEBUG_INFO_BTF")
    if "cgroup v2" in reasons:
        remedies.append("mount a cgroup2 file system where the agent sees it, such as /sys/fs/cgroup")
    if "clang was missing" in reasons or "headers" in reasons:
        remedies.append("install a released wheel, or clang and libbpf-dev before building")
    if "namespace" in reasons:
        remedies.append("run the agent on the host, or its container with the host's pid namespace")
    return "; ".join(remedies) or "set [sources.sockets] enabled = false to go without"


def build(config: Config, owners: _core.Owners) -> dict[str, Callable[[], Source]]:
    """The source, if it is wanted."""
    return {"sockets": partial(Sockets, config, owners)} if config.enabled else {}
