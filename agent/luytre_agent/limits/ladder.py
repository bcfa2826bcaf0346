"""The ladder: which step the agent is on, from what it uses of its budgets. No clock, no input or output.

0 `full`: everything.
1 `longer_batches`: batches of all but processes and logins are `batch_seconds` old. Rules see these tables later; no
  row is missing.
2 `no_details`: first messages of connections are not read, so there are no rows of `tls`. Rules on `tls` see nothing;
  `network_protocol` is still in `flows`, and DNS goes on.
3 `sampled_flows`: one flow in `sample_one_in`, whole or not at all, with the rate in `flow_sampling_rate`. Rules on a
  single flow or name miss most of them; sums times the rate are estimates. New connections still show in `sockets`.
4 `flow_totals`: no flows, no DNS; packets, bytes and connections by interface and transport are counters, rows of
  `agent_health`. Rules on `flows` and `dns` see nothing.
5 `rare_looks`: sockets, files, network and inventory rest `rest_seconds` between two looks. Rows come later and fold
  together; what the queues of the kernel cannot hold is lost, and counted.
6 `late_essentials`: batches of processes and logins are `batch_seconds` old too. Rules see them later; no row is
  missing.

Processes and logins are never sampled, and never off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from luytre_agent.ease import FULL, Ease
from luytre_agent.limits.config import Config

#: One step up only when less than this share of every budget is used.
RELEASE = 0.7
#: Of a budget that a step helps slowly, the overshoot that leads one step further down.
DEPTH = 0.2
#: A step up that does not last makes the next one wait longer, up to so many times.
_MOST_PATIENCE = 16.0


class Step(IntEnum):
    """See the table at the top of the file."""

    FULL = 0
    LONGER_BATCHES = 1
    NO_DETAILS = 2
    SAMPLED_FLOWS = 3
    FLOW_TOTALS = 4
    RARE_LOOKS = 5
    LATE_ESSENTIALS = 6


@dataclass(frozen=True, slots=True)
class Pressure:
    """How much of a budget is used: 1 is all of it. slow: a level, such as the fill of a disk, that takes long to fall
    after a step; so how far it is over says how far down it leads."""

    budget: str
    used: float
    slow: bool = False

    def leads_below(self, step: int) -> bool:
        """Whether one step further down is called for."""
        return self.used > 1 and (not self.slow or self.used > 1 + DEPTH * step)

    def lets_above(self, step: int) -> bool:
        """Whether there is so much room that one step up may be tried."""
        return self.used < RELEASE * (1 + DEPTH * (step - 1) if self.slow else 1)


@dataclass(frozen=True, slots=True)
class Change:
    """One step: from where to where, and the budget that was the reason for the lower one of the two."""

    before: Step
    after: Step
    reason: str


class Ladder:
    """Goes one step down when a budget was exceeded for `over_s` without a break, one up when there was room in all for
    `under_s`. A step up that had to be taken back makes the next one wait twice as long."""

    def __init__(self, over_s: float, under_s: float, lowest: int = Step.LATE_ESSENTIALS) -> None:
        self._over_s = over_s
        self._under_s = under_s
        self._lowest = lowest
        self._reasons: list[str] = []
        self._over_since: float | None = None
        self._under_since: float | None = None
        self._patience = 1.0
        self._up_at: float | None = None

    @property
    def step(self) -> Step:
        """The step it is on."""
        return Step(len(self._reasons))

    @property
    def reason(self) -> str:
        """The budget that led to this step; empty at the top."""
        return self._reasons[-1] if self._reasons else ""

    def judge(self, now: float, pressures: Sequence[Pressure]) -> Change | None:
        """Take in what is used at `now`, seconds; the step that this leads to, if any."""
        step = len(self._reasons)
        over = [one for one in pressures if one.leads_below(step)]
        if over:
            self._under_since = None
            if self._over_since is None:
                self._over_since = now
            if now - self._over_since < self._over_s or step >= self._lowest:
                return None
            return self._down(now, max(over, key=lambda one: one.used).budget)
        self._over_since = None
        if not step or not all(one.lets_above(step) for one in pressures):
            self._under_since = None
            return None
        if self._under_since is None:
            self._under_since = now
        if now - self._under_since < self._under_s * self._patience:
            return None
        return self._up(now)

    def _down(self, now: float, reason: str) -> Change:
        hasty = self._up_at is not None and now - self._up_at < 2 * self._under_s
        self._patience = min(_MOST_PATIENCE, 2 * self._patience) if hasty else 1.0
        self._up_at = None
        before = self.step
        self._reasons.append(reason)
        self._over_since = now
        return Change(before, self.step, reason)

    def _up(self, now: float) -> Change:
        if self._up_at is not None:  # the one before has lasted
            self._patience = max(1.0, self._patience / 2)
        self._up_at = self._under_since = now
        before, reason = self.step, self._reasons.pop()
        return Change(before, self.step, reason)


def ease_of(step: int, config: Config) -> Ease:
    """What the sources do on this step."""
    if step == Step.FULL:
        return FULL
    one_in = 1 if step < Step.SAMPLED_FLOWS else config.sample_one_in if step < Step.FLOW_TOTALS else 0
    return Ease(
        batch_seconds=config.batch_seconds,
        essential_batch_seconds=config.batch_seconds if step >= Step.LATE_ESSENTIALS else 0.0,
        details=step < Step.NO_DETAILS,
        one_in=one_in,
        rest_seconds=config.rest_seconds if step >= Step.RARE_LOOKS else 0.0,
    )
