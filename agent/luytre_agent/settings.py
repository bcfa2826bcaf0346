"""The settings in force, and how others take their place while the agent runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from luytre_agent import sources
from luytre_agent.config import Config, effective
from luytre_agent.health import Health
from luytre_agent.policy import Seen
from luytre_agent.policy.model import Source, kind_of
from luytre_agent.sources import Makers, redaction
from luytre_agent.supervisor import Supervisor
from luytre_agent.worker import State


class Settings:
    """The host's own configuration, and what a policy puts over it; see `luytre_agent.policy.keeper.Host`.

    own: the configuration of the host. make: the makers of the sources that a configuration wants.
    """

    def __init__(
        self,
        own: Config,
        make: Callable[[sources.Config], Makers],
        supervisor: Supervisor,
        health: Health,
        connected: Callable[[], bool],
    ) -> None:
        self.config = own
        self._own = own
        self._make = make
        self._supervisor = supervisor
        self._health = health
        self._connected = connected

    @property
    def changed(self) -> bool:
        """Whether a policy makes a difference."""
        return self.config != self._own

    def prepare(self, given: Mapping[str, Any]) -> Callable[[], None]:
        """The whole new configuration; what comes back puts it in force. ConfigError if it is none: nothing changed."""
        return partial(self._put_in_force, effective(self._own, given))

    def look(self) -> Seen:
        """How the agent is now."""
        found = {
            worker.name: Source(
                worker.state in (State.AVAILABLE, State.FINISHED), worker.reason, self._supervisor.failures(worker.name)
            )
            for worker in self._supervisor.workers()
        }
        return Seen(found, sources.kinds(self.config.sources), self._connected())

    def _put_in_force(self, new: Config) -> None:
        """Sources whose settings changed are closed and made anew; the others go on without a gap."""
        redacted = new.redact != self.config.redact
        stale = sources.changed(self.config.sources, new.sources, redacted)
        if redacted:
            redaction.apply(new.redact)
        self.config = new
        self._supervisor.reconfigure(
            partial(self._make, new.sources), new.sources.refresh_seconds, lambda name: kind_of(name) in stale
        )
        self._health.reconfigure(new.health)
