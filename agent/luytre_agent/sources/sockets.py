"""Who connects, accepts and listens, told by the kernel; and through `owners`, the process of every flow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from luytre_common.settings import at_least, at_most, power_of_two, setting
from luytre_common.wire.limits import MAX_ROWS

from luytre_agent import _core
from luytre_agent.sources.base import Source
from luytre_agent.sources.ladder import LadderSource, common_remedies

#: Who owns which end of a conversation: what this source learns, and the packets' sources ask.
Owners = _core.Owners

#: Ways to learn of sockets, best first. eBPF is told of each by the kernel; sock_diag looks again and again at those
#: that there are, and at who holds them.
LADDER = ("ebpf", "sock_diag")


@dataclass(frozen=True)
class Config:
    """Socket events, and the process of every flow."""

    enabled: bool = setting(True, "whether to watch sockets")
    rung: Literal["auto", "ebpf", "sock_diag"] = setting("auto", "how; auto: the best that kernel and rights allow")
    ring_bytes: int = setting(
        1 << 20, "what the kernel keeps for us, bytes, a power of two", at_least(4096), at_most(1 << 30), power_of_two
    )
    watch_use: bool = setting(
        True, "eBPF: watch sends and receives (Linux 6.3); without, who accepts a connection is not known"
    )
    iterate: bool = setting(
        True, "eBPF: go through all descriptors at the start, for sockets that are older; without, they are looked up"
    )
    poll_seconds: float = setting(
        0.5, "sock_diag: look this often, more rarely where a look takes long", at_least(0.05), at_most(3600)
    )
    batch_rows: int = setting(5_000, "rows of a batch at most", at_least(1), at_most(MAX_ROWS))
    batch_seconds: float = setting(1.0, "age of a batch at most", at_least(0.05), at_most(3600))


class Sockets(LadderSource):
    """TCP and UDP sockets of every process of this host. What is learnt of their owners goes to `owners` too."""

    name = "sockets"
    what = "socket events"

    def __init__(self, config: Config, owners: _core.Owners) -> None:
        self._config = config
        self._owners = owners
        super().__init__(
            LADDER if config.rung == "auto" else (config.rung,), self._open_rung, _remedies, config.batch_seconds
        )

    @property
    def notes(self) -> list[str]:
        """What `luytre-agent check` says besides: whether flows are followed through translations of addresses."""
        try:
            heard = _core.translations_heard()
        except OSError as error:
            return [f"connections are tracked, but not through translated addresses: {error}"]
        return ["flows are followed through translated addresses (conntrack)" if heard else "no connection is tracked"]

    def _open_rung(self, rung: str) -> _core.SocketEvents:
        config = self._config
        events = _core.SocketEvents(
            rung,
            self._owners,
            batch_rows=config.batch_rows,
            batch_seconds=config.batch_seconds,
            ring_bytes=config.ring_bytes,
            poll_seconds=config.poll_seconds,
            watch_use=config.watch_use,
            iterate=config.iterate,
        )
        self.lacking = events.lacks()
        return events


def _remedies(answers: str) -> list[str]:
    remedies = common_remedies(answers, "CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN")
    if "cgroup v2" in answers:
        remedies.append("mount a cgroup2 file system where the agent sees it, such as /sys/fs/cgroup")
    if "inet_diag" in answers:
        remedies.append("load the kernel module inet_diag")
    return remedies


def build(config: Config, owners: _core.Owners) -> dict[str, Callable[[], Source]]:
    """The source, if it is wanted."""
    return {"sockets": partial(Sockets, config, owners)} if config.enabled else {}
