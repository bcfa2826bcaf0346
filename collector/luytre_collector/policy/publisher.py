"""Looks into the folder, and hands what is in time to the event loop. Driven by one thread."""

from __future__ import annotations

import logging
from collections.abc import Callable

from luytre_common.telemetry import Counters

from luytre_collector.policy.folder import Folder, Published, in_time

_log = logging.getLogger("luytre.policy")


class Publisher:
    """`hand_on` takes the policies whose time is now, the highest version first; it must not wait."""

    def __init__(
        self,
        folder: Folder,
        hand_on: Callable[[tuple[Published, ...]], object],
        clock: Callable[[], float],
        counters: Counters,
    ) -> None:
        self._folder = folder
        self._hand_on = hand_on
        self._clock = clock
        self._counters = counters
        self._faults: tuple[str, ...] = ()

    def run(self) -> None:
        """Look. OSError if the folder cannot be read: what was handed on before stays."""
        policies, faults = self._folder.read()
        if faults != self._faults:
            for fault in sorted(set(faults) - set(self._faults)):
                _log.error("policy not passed on: %s", fault)
                self._counters.add("policies_unsound")
            self._faults = faults
        current = in_time(policies, self._clock())
        self._counters.set("policies_published", len(current))
        self._hand_on(current)
