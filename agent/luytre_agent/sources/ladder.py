"""Sources whose events the core takes from the kernel in one of several ways, best first: the rungs of a ladder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from luytre_common.errors import Unavailable
from luytre_common.telemetry import Sample

from luytre_agent.ease import Ease
from luytre_agent.sources.base import SealedBatch


class KernelEvents(Protocol):
    """What the core gives for a rung that holds."""

    def poll(self, timeout_s: float) -> Sequence[SealedBatch]:
        """Work for about so long; the batches that became full or due."""

    def ease(self, batch_seconds: float) -> None:
        """From now on batches are so old at most."""

    def counters(self) -> Mapping[str, int]:
        """The totals as of the last `poll` or `close`."""

    def close(self) -> Sequence[SealedBatch]:
        """Detach; the last batches."""


class LadderSource:
    """A source on the first rung that holds. `attach` tries one rung: OSError or ValueError if it does not hold."""

    name = ""
    #: What it watches, as error lines say it.
    what = ""
    #: Whether it is among the last that do less.
    essential = False
    patient = False

    def __init__(
        self,
        rungs: Sequence[str],
        attach: Callable[[str], KernelEvents],
        remedy: Callable[[str], Sequence[str]],
        batch_seconds: float = 1.0,
    ) -> None:
        """`remedy` makes of all that the system answered, in lower case, what would help."""
        self._rungs = rungs
        self._attach = attach
        self._remedy = remedy
        self._batch_seconds = batch_seconds
        self._events: KernelEvents | None = None
        self._last: Mapping[str, int] = {}
        #: The rung that answered; empty before `open`.
        self.rung = ""
        #: What would help against the refusals of better rungs.
        self.remedies: Sequence[str] = ()
        #: The rungs that were tried in vain, and what the system answered.
        self.refused: list[tuple[str, str]] = []
        #: What the rung that answered could tell but cannot here, a line each; `attach` may say so.
        self.lacking: Sequence[str] = ()

    def open(self) -> None:
        """Climb down the ladder to the first rung that holds; see `Source.open`."""
        self.refused, self.lacking = [], ()
        for rung in self._rungs:
            try:
                self._events = self._attach(rung)
            except (OSError, ValueError) as error:
                self.refused.append((rung, str(error)))
            else:
                self.rung = rung
                self.remedies = self._remedy(self._reasons().lower())
                return
        reasons = self._reasons()
        remedies = self._remedy(reasons.lower()) or [f"set [sources.{self.name}] enabled = false to go without"]
        raise Unavailable(f"{self.what}: {reasons}", "; ".join(remedies))

    def _reasons(self) -> str:
        return "; ".join(f"{rung}: {reason}" for rung, reason in self.refused)

    def poll(self, timeout_s: float) -> Sequence[SealedBatch]:
        """See `Source.poll`. Unavailable if the rung no longer holds; opened again, the source may get another one."""
        try:
            return self._events.poll(timeout_s) if self._events else ()
        except OSError as error:
            raise Unavailable(f"{self.what}: {self.rung}: {error}", "it is tried again by itself") from error

    def ease(self, ease: Ease) -> float:
        """See `Source.ease`: later batches, then rests, in which the kernel's ring may become full and count what it
        drops; of what is essential, only later batches, as the last of all."""
        if self._events:
            older = ease.essential_batch_seconds if self.essential else ease.batch_seconds
            self._events.ease(max(self._batch_seconds, older))
        return 0.0 if self.essential else ease.rest_seconds

    def samples(self) -> Sequence[Sample]:
        """See `Source.samples`; split by rung. `refused` counts the rungs that were tried in vain, `lacking` what the
        one that answered cannot tell here."""
        counters = self._events.counters() if self._events else self._last
        samples = [Sample(self.name, name, self.rung, value) for name, value in sorted(counters.items())]
        if self.lacking:
            samples.append(Sample(self.name, "lacking", self.rung, len(self.lacking)))
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


def common_remedies(answers: str, capabilities: str) -> list[str]:
    """What helps against what any eBPF program may meet."""
    remedies = []
    if "not permitted" in answers or "permission" in answers:
        remedies.append(f"run the agent as root, or give it {capabilities}")
    if "/sys/kernel/btf" in answers and "no such file" in answers:
        remedies.append("eBPF needs a kernel of 5.8 or later with CONFIG_DEBUG_INFO_BTF")
    if "clang was missing" in answers or "headers" in answers:
        remedies.append("install a released wheel, or clang and libbpf-dev before building")
    if "namespace" in answers:
        remedies.append("run the agent on the host, or its container with the host's namespaces")
    return remedies
