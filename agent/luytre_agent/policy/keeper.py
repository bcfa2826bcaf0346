"""Takes policies, tries them, and goes back. One thread, which sleeps while there is nothing to do."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from luytre_common.errors import LuytreError
from luytre_common.lifecycle import background
from luytre_common.policy import Document, load_keys
from luytre_common.telemetry import Counters, RateLimited, Sample
from luytre_common.wire.v1 import ingest_pb2 as pb

from luytre_agent.policy.config import Config
from luytre_agent.policy.current import current
from luytre_agent.policy.judge import RefusedError, judge, new
from luytre_agent.policy.model import Given, Report, Seen
from luytre_agent.policy.state import File, Known, UnreadableError
from luytre_agent.policy.trial import Trial, lacking

_log = logging.getLogger("luytre.policy")

#: The longest time between two looks at the clock while a policy has an end: clocks are set.
_LOOK_S = 60.0
#: Looks within a trial.
_LOOKS = 60
#: The longest message of a report, characters.
_MOST = 500

_STATES = {
    "trying": pb.POLICY_STATE_TRYING,
    "applied": pb.POLICY_STATE_APPLIED,
    "refused": pb.POLICY_STATE_REFUSED,
    "rolled_back": pb.POLICY_STATE_ROLLED_BACK,
    "expired": pb.POLICY_STATE_EXPIRED,
}


class Host(Protocol):
    """The agent, as policies see it."""

    def prepare(self, settings: Mapping[str, Any]) -> Callable[[], None]:
        """The whole new configuration: the host's own with these settings, by dotted key. What comes back puts it in
        force. LuytreError if it is none; nothing has changed then."""

    def look(self) -> Seen:
        """How the agent is now."""


class Policies:
    """`load` says what is in force at the start; then `start` and `stop`. `told` and `welcomed` may be called from any
    thread and do not wait.

    say: sends a message to the collector if there is a connection. clock: seconds since 1970.
    """

    def __init__(
        self,
        config: Config,
        folder: Path,
        agent_id: str,
        host: Host,
        say: Callable[[pb.AgentMessage], bool],
        clock: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counters = Counters("policy")
        self._config = config
        self._agent_id = agent_id
        self._host = host
        self._say = say
        self._clock = clock
        self._monotonic = monotonic
        self._keys = load_keys(config.key) if config.enabled and config.key else ()
        self._file = File(folder)
        self._known = Known()
        self._document: Document | None = None
        self._over = False
        self._trying: Document | None = None
        self._trial: Trial | None = None
        self._report: Report | None = None
        self._quiet = RateLimited(monotonic, 60.0)
        self._given: Given | None = None
        self._say_again = False
        self._stopping = False
        self._news = threading.Condition()
        self._thread = background("policy", self._run)

    @property
    def listening(self) -> bool:
        """Whether a policy can be in force here at all."""
        return self._config.enabled and bool(self._keys)

    @property
    def version(self) -> int:
        """Of the policy in force; 0 if there is none."""
        document = self._document
        return document.version if document and not document.expired(self._clock()) else 0

    def load(self) -> Mapping[str, Any]:
        """The settings that policy puts over the host's own, at the start. What was being tried when the agent ended
        is taken back."""
        if not self._config.enabled:
            return {}
        try:
            self._known = self._file.read()
        except (OSError, UnreadableError) as error:
            self.counters.add("state_unreadable")
            _log.error("%s; no policy is in force until the next one comes", error)
            if isinstance(error, UnreadableError):
                with suppress(OSError):  # then the next policy takes its place
                    self._file.set_aside()
        self._report = self._known.report
        found = current(self._known, self._keys, self._agent_id)
        self._document = found.document
        if found.refused and self._known.applied:
            self._report = self._refuse(self._known.applied.version, found.refused)
        elif found.document and found.document.expired(self._clock()):
            self._expire(found.document)
        elif found.document:
            _log.info("policy %d is in force", found.document.version)
        if self._known.trying:
            report = Report(self._known.trying.version, "rolled_back", "the agent ended while it was tried")
            self._keep(self._known.drop(report))
            self._tell(report)
        return self._settings()

    def fall_back(self, reason: str) -> None:
        """The agent cannot start with what `load` gave: the host's own settings count from now on."""
        assert self._document is not None
        report = Report(self._document.version, "rolled_back", _short(reason))
        self._known = Known(self._known.highest, report=report)
        self._keep(self._known)
        self._document = None
        self._tell(report)

    def start(self) -> None:
        """Listen."""
        if self.listening:
            self._thread.start()

    def stop(self) -> None:
        """Listen no more. What is being tried may come again: an end that was asked for says nothing about it."""
        with self._news:
            self._stopping = True
            self._news.notify_all()
        if self._thread.is_alive():
            self._thread.join()
        if self._trial:
            self._trial = None
            self._keep(self._known.forget())

    def told(self, policy: pb.Policy) -> None:
        """The collector sent a policy."""
        given = Given(policy.version, policy.document, policy.signature)
        if not self.listening:
            cause = "no_key" if self._config.enabled else "disabled"
            message = "this host has no key for policies ([policy] key)"
            if cause == "disabled":
                message = "policies are turned off on this host ([policy] enabled)"
            self._refuse(given.version, RefusedError(cause, message))
            return
        with self._news:
            if self._given is not None:
                self.counters.add("policies_crowded_out")
            self._given = given
            self._news.notify_all()

    def welcomed(self) -> None:
        """There is a connection: the collector hears the last report again, which it may have missed."""
        with self._news:
            self._say_again = True
            self._news.notify_all()
        if not self._thread.is_alive():
            self._repeat()

    def samples(self) -> list[Sample]:
        """The counters; gauges: the version in force, and whether one is being tried."""
        self.counters.set("policy_version", self.version)
        self.counters.set("policy_on_trial", int(self._trial is not None))
        return self.counters.samples()

    def _run(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(self._due, self._wait_s())
                if self._stopping:
                    return
                again, self._say_again = self._say_again, False
                given = None
                if self._trial is None:
                    given, self._given = self._given, None
            try:
                if again:
                    self._repeat()
                if self._trial:
                    self._watch(self._trial)
                elif given:
                    self._consider(given)
                else:
                    self._follow_the_clock()
            except Exception:  # noqa: BLE001 # whatever it is, the next policy must be heard
                self.counters.add("failures")
                _log.exception("policy failed; it listens on")

    def _due(self) -> bool:
        return self._stopping or self._say_again or (self._given is not None and self._trial is None)

    def _wait_s(self) -> float | None:
        if self._trial:
            return min(1.0, self._config.trial_seconds / _LOOKS)
        if self._document and self._document.expires is not None:
            left = self._document.expires - self._clock()
            return min(left, _LOOK_S) if left > 0 else _LOOK_S
        return None

    def _consider(self, given: Given) -> None:
        try:
            document = judge(given, self._keys, self._agent_id)
            if self._report and document.version == self._known.highest == self._report.version:
                self.counters.add("policies_repeated")
                self._repeat()
                return
            new(document, self._known.highest, self._clock())
            put = self._prepare(self._config.open(document.settings))
            before = self._host.look()
            self._begin(given)
        except RefusedError as error:
            self._refuse(given.version, error)
            return
        self._trying = document
        self._trial = Trial(before, self._monotonic(), self._config.trial_seconds)
        self._tell(Report(document.version, "trying"))
        _log.info("policy %d is tried for %g s", document.version, self._config.trial_seconds)
        try:
            put()
        except Exception as error:  # noqa: BLE001 # whatever it is, there is a way back
            _log.exception("policy %d cannot be put in force", document.version)
            self._go_back(f"it could not be put in force: {error}")

    def _prepare(self, settings: Mapping[str, Any]) -> Callable[[], None]:
        try:
            return self._host.prepare(settings)
        except LuytreError as error:
            raise RefusedError("settings", str(error)) from None

    def _begin(self, given: Given) -> None:
        begun = self._known.begin(given)
        try:
            self._file.write(begun)
        except OSError as error:
            raise RefusedError("not_kept", f"it cannot be kept: {self._file.path}: {error.strerror}") from None
        self._known = begun

    def _watch(self, trial: Trial) -> None:
        seen = self._host.look()
        verdict = trial.judge(seen, self._monotonic())
        if verdict is None:
            return
        if verdict:
            self._go_back(verdict)
            return
        document, self._trying, self._trial = self._trying, None, None
        assert document is not None
        self._document, self._over = document, False
        kept = self._config.kept(document.settings)
        notes = [f"left as they are here: {', '.join(kept)}"] if kept else []
        notes += [f"not available: {missing}"] if (missing := lacking(seen)) else []
        report = Report(document.version, "applied", _short("; ".join(notes)))
        self._keep(self._known.keep(report))
        self.counters.add("policies_applied")
        self._tell(report)
        _log.info("policy %d is applied%s", document.version, f"; {report.message}" if notes else "")

    def _go_back(self, reason: str) -> None:
        """First on the disk, then in force: a crash in between comes to the same."""
        document, self._trying, self._trial = self._trying, None, None
        assert document is not None
        report = Report(document.version, "rolled_back", _short(reason))
        self._keep(self._known.drop(report))
        self._restore()
        self._tell(report)

    def _settings(self) -> Mapping[str, Any]:
        """What counts of the policy in force."""
        return self._config.open(self._document.settings) if self._document and not self._over else {}

    def _restore(self) -> None:
        """Back to the settings of the policy in force, however often it takes."""
        while not self._stopping:
            try:
                self._host.prepare(self._settings())()
                return
            except Exception:  # noqa: BLE001 # there is no other way to go
                self.counters.add("failures")
                _log.exception("cannot go back to the configuration before; it is tried again")
                with self._news:
                    self._news.wait_for(lambda: self._stopping, 1.0)

    def _follow_the_clock(self) -> None:
        """A policy whose time is over is not in force; if the clock was wrong about that, it is again."""
        document = self._document
        if document is None or document.expired(self._clock()) == self._over:
            return
        self._over = not self._over
        self._restore()
        if not self._over:
            self._tell(Report(document.version, "applied", "its time is not over after all: the clock was set back"))
        else:
            self._expire(document)

    def _expire(self, document: Document) -> None:
        self._over = True
        self.counters.add("policies_expired")
        _log.warning("the time of policy %d is over: the host's own configuration counts", document.version)
        self._tell(Report(document.version, "expired", "the host's own configuration counts"))

    def _refuse(self, version: int, error: RefusedError) -> Report:
        self.counters.add("policies_refused", label=error.cause)
        if self._quiet.ready(error.cause):
            _log.warning("policy %d is refused: %s", version, error)
        report = Report(version, "refused", _short(str(error)))
        self._say_report(report)
        return report

    def _tell(self, report: Report) -> None:
        """The newest report, which is said again on every connection."""
        self._report = report
        if report.state == "rolled_back":
            self.counters.add("policies_rolled_back")
            _log.error("policy %d is taken back: %s", report.version, report.message)
        self._say_report(report)

    def _repeat(self) -> None:
        if self._report:
            self._say_report(self._report)

    def _say_report(self, report: Report) -> None:
        message = pb.PolicyReport(version=report.version, state=_STATES[report.state], message=report.message)
        self._say(pb.AgentMessage(policy_report=message))

    def _keep(self, known: Known) -> None:
        self._known = known
        try:
            self._file.write(known)
        except OSError as error:
            self.counters.add("state_failures")
            _log.error("%s: %s; at the next start, what is in force now may be lost", self._file.path, error.strerror)


def _short(text: str) -> str:
    line = "".join(sign if sign.isprintable() else " " for sign in text)
    return line if len(line) <= _MOST else f"{line[: _MOST - 3]}..."
