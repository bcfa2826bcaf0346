"""Is the agent as well with the new policy as it was before? Pure: snapshots and seconds come in."""

from __future__ import annotations

from collections.abc import Iterator

from luytre_agent.policy.model import Seen, kind_of

#: A source that failed so often within the trial will not come to rest by itself.
_FAILURES = 3
#: The part of the trial for which a source may be away before it is enough.
_PATIENCE = 1 / 3


class Trial:
    """The time in which a policy shows what it does. `before`: how the agent was; `began` on the clock of `judge`."""

    def __init__(self, before: Seen, began: float, seconds: float) -> None:
        self._before = before
        self._ends = began + seconds
        self._patience_s = seconds * _PATIENCE
        self._well_at = began

    def judge(self, seen: Seen, now: float) -> str | None:
        """None: go on. Empty: it is well, and the trial is over. Else why the policy must be taken back."""
        if failing := "; ".join(self._failing(seen)):
            return failing
        worse = "; ".join(self._worse(seen))
        if not worse:
            self._well_at = now
        over = now >= self._ends
        if worse and (over or now - self._well_at >= self._patience_s):
            return worse
        if over and self._before.connected and not seen.connected:
            return "the connection to the collector was lost and did not come back"
        return "" if over else None

    def _failing(self, seen: Seen) -> Iterator[str]:
        for name, source in seen.sources.items():
            old = self._before.sources.get(name)
            failures = source.failures - (old.failures if old else 0)
            if failures >= _FAILURES:
                yield f"{name} failed {failures} times"

    def _worse(self, seen: Seen) -> Iterator[str]:
        told = set()
        for name, old in self._before.sources.items():
            now = seen.sources.get(name)
            if old.available and now is not None and not now.available:
                told.add(kind_of(name))
                yield f"{name} is not available any more: {now.reason or 'it does not start'}"
        for kind in sorted(seen.kinds & self._before.kinds - told):
            if self._before.available(kind) and not seen.available(kind):
                reasons = {one.reason for name, one in seen.sources.items() if kind_of(name) == kind and one.reason}
                yield f"{kind} is not available any more: {'; '.join(sorted(reasons)) or 'nothing of it is there'}"


def lacking(seen: Seen) -> str:
    """What is not available, for people; empty if everything is."""
    return "; ".join(
        f"{name}: {source.reason or 'starting'}" for name, source in seen.sources.items() if not source.available
    )
