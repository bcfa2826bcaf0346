"""The settings in force, and how others take their place while the agent runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
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

#: What is taken at the start only: sections, and two settings in others.
_AT_START = ("tls", "uplink", "spool", "limits", "ledger", "policy")


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
        self._given: Mapping[str, Any] = {}
        self._lock = threading.Lock()
        self._make = make
        self._supervisor = supervisor
        self._health = health
        self._connected = connected

    @property
    def changed(self) -> bool:
        """Whether a policy makes a difference."""
        return self.config != self._own

    @property
    def off(self) -> frozenset[str]:
        """The kinds of sources that a policy turned off."""
        return sources.kinds(self._own.sources) - sources.kinds(self.config.sources)

    def prepare(self, given: Mapping[str, Any]) -> Callable[[], None]:
        """The whole new configuration; what comes back puts it in force. ConfigError if it is none: nothing changed."""
        effective(self._own, given)
        return partial(self._follow, given)

    def adopt(self, own: Config) -> list[str]:
        """From now on this is the configuration of the host; what the policy in force sets stays over it. ConfigError
        or OSError, and nothing has changed, if that cannot be. What of it counts from the next start on."""
        with self._lock:
            before = self._own
            later = [f"[{name}]" for name in _AT_START if getattr(own, name) != getattr(before, name)]
            if own.agent.name != before.agent.name:
                later.append("[agent] name")
            if own.sources.state_directory != before.sources.state_directory:
                later.append("[sources] state_directory")
            own = replace(
                own,
                **{name: getattr(before, name) for name in _AT_START},
                agent=replace(own.agent, name=before.agent.name),
                sources=replace(own.sources, state_directory=before.sources.state_directory),
            )
            self._put_in_force(effective(own, self._given))
            self._own = own
        return later

    def _follow(self, given: Mapping[str, Any]) -> None:
        with self._lock:
            self._put_in_force(effective(self._own, given))
            self._given = given

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
        try:
            self._supervisor.reconfigure(
                partial(self._make, new.sources), new.sources.refresh_seconds, lambda name: kind_of(name) in stale
            )
        except OSError:
            if redacted:
                redaction.apply(self.config.redact)
            raise
        self.config = new
        self._health.reconfigure(new.health)
