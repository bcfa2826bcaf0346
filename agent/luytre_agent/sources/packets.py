"""Packets of live interfaces: one source per interface, decoded and put together to flows by the core."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from luytre_common.errors import Unavailable
from luytre_common.settings import at_least, at_most, not_empty, required, setting
from luytre_common.telemetry import Sample
from luytre_common.wire.limits import MAX_ROWS

from luytre_agent import _core
from luytre_agent.ease import Ease
from luytre_agent.sources.base import SealedBatch, Source
from luytre_agent.sources.interfaces import interfaces_up

AUTO = "auto"


@dataclass(frozen=True)
class Interface:
    """An interface, if need be of another network namespace."""

    name: str = required("name of the interface", not_empty)
    network_namespace: str = setting("", "name as `ip netns` has it, or path; empty: the agent's own")


@dataclass(frozen=True)
class Config:
    """Packets of live interfaces."""

    enabled: bool = setting(True, "whether to capture")
    interfaces: list[str] = setting([AUTO], "names; auto: all that are up, also those that come later")
    interface: list[Interface] = setting([], "further interfaces, each a table with name and network_namespace")
    # All of a ring is resident. At 100,000 frames a second, 4 MiB are 25 ms of full-size frames, 200 ms of small ones;
    # of those that the card or the kernel has merged, however long, snap_length bytes are kept.
    ring_bytes: int = setting(
        4 << 20,
        "ring between kernel and agent, bytes, per interface; more for a mirror port: see kernel_dropped",
        at_least(1 << 20),
    )
    snap_length: int = setting(2048, "bytes of each packet that are looked at", at_least(96), at_most(65535))
    promiscuous: bool = setting(False, "also see packets for other machines (mirror port)")
    inactive_timeout_seconds: float = setting(60.0, "a silent flow ends after so long", at_least(1))
    active_timeout_seconds: float = setting(300.0, "a long flow gives a row this often", at_least(1))
    max_flows: int = setting(65_536, "flows kept at a time, per interface; then the oldest is cut", at_least(64))
    batch_rows: int = setting(10_000, "rows of a batch at most", at_least(1), at_most(MAX_ROWS))
    batch_seconds: float = setting(1.0, "age of a batch at most", at_least(0.05))


class Packets:
    """The packets of one interface. `exclude`: addresses and ports of our own uplink; `owners` know whose flows are."""

    patient = False

    def __init__(
        self,
        config: Config,
        interface: Interface,
        exclude: Sequence[tuple[str, int]] = (),
        owners: _core.Owners | None = None,
    ) -> None:
        self.name = f"packets:{label(interface)}"
        self._config = config
        self._interface = interface
        self._exclude = list(exclude)
        self._owners = owners
        self._capture: _core.LiveCapture | None = None
        self._last: dict[str, int] = {}

    def open(self) -> None:
        """Open the ring; see `Source.open`."""
        config = self._config
        try:
            self._capture = _core.LiveCapture(
                self._interface.name,
                network_namespace=self._interface.network_namespace,
                exclude=self._exclude,
                ring_bytes=config.ring_bytes,
                snap_length=config.snap_length,
                promiscuous=config.promiscuous,
                inactive_timeout_s=config.inactive_timeout_seconds,
                active_timeout_s=config.active_timeout_seconds,
                max_flows=config.max_flows,
                batch_rows=config.batch_rows,
                batch_seconds=config.batch_seconds,
                owners=self._owners,
            )
        except OSError as error:
            raise Unavailable(str(error), _remedy(error)) from None
        except ValueError as error:
            raise Unavailable(str(error), "correct [sources.packets]") from None

    def poll(self, timeout_s: float) -> Sequence[SealedBatch]:
        """See `Source.poll`. Unavailable if the interface went away."""
        if self._capture is None:
            return ()
        try:
            return self._capture.poll(timeout_s)
        except OSError as error:
            raise Unavailable(str(error), "it is tried again") from None

    def ease(self, ease: Ease) -> float:
        """See `Source.ease`: later batches, no details, fewer flows, none."""
        if self._capture:
            seconds = max(self._config.batch_seconds, ease.batch_seconds)
            self._capture.ease(batch_seconds=seconds, details=ease.details, one_in=ease.one_in)
        return 0.0

    def samples(self) -> Sequence[Sample]:
        """See `Source.samples`; split by interface."""
        counters = self._capture.counters() if self._capture else self._last
        split = label(self._interface)
        return [Sample("packets", name, split, value) for name, value in sorted(counters.items())]

    @property
    def finished(self) -> bool:
        """Never: an interface that went away is an error, and the table of sources notices."""
        return False

    def close(self) -> Sequence[SealedBatch]:
        """Cut the open flows; see `Source.close`."""
        capture, self._capture = self._capture, None
        if capture is None:
            return ()
        batches = capture.close()
        self._last = capture.counters()
        return batches


def label(interface: Interface) -> str:
    """`NAME`, or `NAMESPACE/NAME`."""
    return f"{interface.network_namespace}/{interface.name}" if interface.network_namespace else interface.name


def _remedy(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "run the agent as root, or give it CAP_NET_RAW (CAP_SYS_ADMIN for another network namespace)"
    if isinstance(error, FileNotFoundError):
        return "give existing ones in [sources.packets], or wait: it is tried again"
    return "lower [sources.packets] ring_bytes if memory is short; it is tried again"


def build(
    config: Config,
    exclude: Sequence[tuple[str, int]],
    list_up: Callable[[], dict[str, int]] = interfaces_up,
    owners: _core.Owners | None = None,
) -> dict[str, Callable[[], Source]]:
    """What to capture now, by identity: an interface that was made anew under an old name is another one."""
    if not config.enabled:
        return {}
    wanted = [Interface(name) for name in config.interfaces if name != AUTO] + config.interface
    makers = {f"packets:{label(one)}": partial(Packets, config, one, exclude, owners) for one in wanted}
    if AUTO in config.interfaces:
        for name, index in list_up().items():
            if f"packets:{name}" not in makers:
                makers[f"packets:{name}#{index}"] = partial(Packets, config, Interface(name), exclude, owners)
    return dict(makers)
