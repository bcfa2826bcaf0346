"""Configuration and rules read again while the collector runs: SIGHUP, `systemctl reload luytre-collector`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from luytre_common.errors import ConfigError, LuytreError, UserError
from luytre_common.telemetry import Counters, configure_logging

from luytre_collector.config import Config
from luytre_collector.detect import rules
from luytre_collector.detect.model import RuleSet

_log = logging.getLogger("luytre.reload")

#: Event rules made ready, for as many as apply them.
M = TypeVar("M")


class Follower(Protocol):
    """Whoever runs rules on a schedule."""

    def follow(self, ruleset: RuleSet) -> None:
        """Other rules from the next run on."""


class Reload(Generic[M]):
    """Takes over what can change while rows come in. Not for use by several threads at once.

    load: reads the configuration. match: makes event rules ready. swap: puts them in the place of the old ones, from
    the next batch on.
    """

    def __init__(
        self,
        config: Config,
        ruleset: RuleSet,
        load: Callable[[], Config],
        match: Callable[[RuleSet], M],
        swap: Callable[[M], object],
        followers: Sequence[Follower],
        counters: Counters,
    ) -> None:
        self.config = config
        self.ruleset = ruleset
        self._load = load
        self._match = match
        self._swap = swap
        self._followers = followers
        self._counters = counters

    def run(self) -> str:
        """Read all again; a line about what became of it. What cannot be used changes nothing at all."""
        try:
            new = self._load()
            ruleset = reread(new.detect.folders, self.ruleset)
            matcher = self._match(ruleset)
        except (LuytreError, OSError) as error:
            return self._refuse(str(error))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with new rules, the old ones must go on
            _log.exception("reload failed")
            return self._refuse(f"{type(error).__name__}: {error}")
        self._swap(matcher)
        for one in self._followers:
            one.follow(ruleset)
        self.ruleset = ruleset
        later = self._adopt(new)
        note = f"; from the next start on: {', '.join(later)}" if later else ""
        _log.info("reload: %d rules%s", len(ruleset), note)
        self._counters.add("reloads")
        return f"{len(ruleset)} rules"

    def _adopt(self, new: Config) -> list[str]:
        """Keep what counts at once; the names of the sections that differ otherwise."""
        mine = replace(
            self.config,
            detect=replace(self.config.detect, rules=new.detect.rules),
            collector=replace(
                self.config.collector, log_level=new.collector.log_level, log_form=new.collector.log_form
            ),
        )
        if mine.collector != self.config.collector:
            configure_logging(mine.collector.log_level, mine.collector.log_form)
        self.config = mine
        return [f"[{one.name}]" for one in fields(new) if getattr(new, one.name) != getattr(mine, one.name)]

    def _refuse(self, reason: str) -> str:
        lines = reason.splitlines() or ["failed"]
        for line in lines:
            _log.error("reload: %s; configuration and rules stay as they were", line)
        self._counters.add("reloads_refused")
        return f"reload refused: {lines[0]}; {len(self.ruleset)} rules as before"


def reread(folders: Sequence[Path], before: RuleSet) -> RuleSet:
    """The rules that lie there now. UserError if they are worse than those of `before`: none, or with a fault in a file
    that had none. One that was faulty when the collector started may stay so."""
    found = rules.load(folders)
    if not len(found):
        raise UserError(f"{', '.join(map(str, folders))}: no rule there; give a folder of rules")
    known = {fault.path for fault in before.faults}
    faults = [str(fault) for fault in found.faults if fault.path not in known]
    if faults:
        raise ConfigError(None, faults)
    return found
