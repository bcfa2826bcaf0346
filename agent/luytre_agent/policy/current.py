"""Which policy is in force here, by what is on the disk: for the agent at its start, and for people who ask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from luytre_common.policy import Document

from luytre_agent.policy.judge import RefusedError, judge
from luytre_agent.policy.state import Known


@dataclass(frozen=True, slots=True)
class Current:
    """The policy in force if its time is not over, or why the one on the disk is not."""

    document: Document | None = None
    refused: RefusedError | None = None

    def counts(self, now: float) -> bool:
        """Whether a policy is in force."""
        return self.document is not None and not self.document.expired(now)


def current(known: Known, keys: Sequence[bytes], agent_id: str) -> Current:
    """Judge again what was applied."""
    if known.applied is None:
        return Current()
    try:
        return Current(judge(known.applied, keys, agent_id))
    except RefusedError as error:
        return Current(refused=error)
