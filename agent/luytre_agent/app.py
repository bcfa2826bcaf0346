"""The composition root: builds the parts, hands one's output to the next, starts them in order, stops them in reverse.

sources -> workers -> keeper -> spool -> uplink -> collector
    ^        health ---^
    +-- governor (what of them, when a budget binds)
"""

from __future__ import annotations

import itertools
import logging
import platform
import random
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from luytre_common import tls
from luytre_common.errors import ConfigError, LuytreError, UserError
from luytre_common.ledger import Entry
from luytre_common.lifecycle import Lifecycle
from luytre_common.sd_notify import ServiceManager, Watchdog
from luytre_common.telemetry import Sample
from luytre_common.wire.v1 import ingest_pb2 as pb

from luytre_agent import __version__, memory, pair, uplink
from luytre_agent.balance import Balance, Tally
from luytre_agent.batch import Key, SealedBatch
from luytre_agent.certificate import facts
from luytre_agent.config import Config
from luytre_agent.health import Health
from luytre_agent.heartbeat import Heart, goodbye
from luytre_agent.keeper import Keeper
from luytre_agent.limits import Gauges, Governor
from luytre_agent.machine import kernel_boot_id, machine_id
from luytre_agent.policy import Policies
from luytre_agent.settings import Settings
from luytre_agent.sources import Context, Makers, redaction, wanted
from luytre_agent.sources.state import StateFile
from luytre_agent.sources.watch.own import own_parts
from luytre_agent.spool import Spool
from luytre_agent.spool.classes import class_of
from luytre_agent.supervisor import Supervisor
from luytre_agent.uplink import Uplink
from luytre_agent.uplink.backoff import Backoff
from luytre_agent.worker import Worker

_log = logging.getLogger("luytre.agent")

#: Memory that bursts have left is given back this often.
_TRIM_S = 20.0
#: And code that is not in use, every so many times.
_FORGET_TURNS = 15
#: A disk that stands still is waited for, seconds; after that it may be us.
_DISK_S = 900.0


def hello(config: Config, boot_id: str, now: float, policy_version: int = 0) -> pb.Hello:
    """Who we say we are. The collector believes the certificate only."""
    try:
        system = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        system = platform.system()
    return pb.Hello(
        protocol=uplink.PROTOCOL,
        agent_version=__version__,
        host_name=config.agent.host_name,
        boot_id=boot_id,
        operating_system=system,
        kernel=platform.release(),
        agent_time_us=int(now * 1_000_000),
        policy_version=policy_version,
        machine_id=machine_id(),
        kernel_boot_id=kernel_boot_id(),
    )


def uplink_addresses(collector: str) -> tuple[tuple[str, int], ...]:
    """The addresses and the port behind `HOST:PORT`; none, with a log line, if the name cannot be resolved now."""
    host, _, port = collector.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except OSError as error:
        _log.warning("collector %s: %s; our own connection to it will be among the flows", collector, error.strerror)
        return ()
    return tuple(sorted({(str(address[4][0]), int(port)) for address in found}))


def _settle(config: tls.Config) -> None:
    """Finish a renewal that a crash cut short. Where the files cannot be changed, they may do as they are."""
    try:
        pair.settle(config)
    except UserError as error:
        _log.warning("certificate: %s", error)


def _retry_wait(failures: int) -> float:
    backoff = Backoff(random.random, base_s=1.0)
    backoff.failures = failures
    return backoff.next()


class Agent:
    """The whole agent. `makers` may replace the configured sources (one command reads files only).

    patient: at the end, wait for the last acknowledgements as long as some still come.
    """

    def __init__(
        self,
        config: Config,
        makers: Callable[[], Makers] | None = None,
        clock: Callable[[], float] = time.time,
        patient: bool = False,
        service: ServiceManager | None = None,
        config_file: Path | None = None,
    ) -> None:
        self.config = config
        self.undelivered = 0
        self.finished_workers: list[Worker] = []
        self._clock = clock
        self._patient = patient
        self._service = service or ServiceManager()
        _settle(config.tls)
        identity = tls.read(config.tls, "agent")
        redaction.apply(config.redact)
        self.tally = Tally()
        self.spool = Spool(config.spool, uplink.encode, clock, kernel_boot_id(), tally=self.tally.add)
        self.uplink = Uplink(
            config.uplink,
            config.tls,
            identity,
            self.spool,
            lambda: hello(config, self.spool.boot_id, clock(), self.policies.version if self.policies else 0),
            random.random,
            tally=self.tally.add,
            told=self._told,
            welcomed=self._welcomed,
            renew=True,
        )
        parts = [config.tls.authority, config.tls.certificate, config.tls.key]
        parts += [one for one in (config_file, config.policy.key) if one]
        context = Context(
            () if makers else uplink_addresses(config.uplink.collector), own_parts(config.spool.directory, parts)
        )
        make = (lambda sources: makers()) if makers else (lambda sources: wanted(sources, context))
        self.keeper = Keeper(self._append, self._lost, class_of, config.limits.queue_bytes, time.monotonic)
        self.supervisor = Supervisor(dict, self._keep, _retry_wait, config.sources.refresh_seconds)
        #: Decides how much is done while the host has little to spare; without it, for capture files, everything is.
        self.governor: Governor | None = None
        if makers is None:
            self.governor = Governor(
                config.limits, self._gauges, self.supervisor.ease, self._keep, lambda: self.spool.boot_id, clock
            )
        self._heart = Heart(
            self.uplink.say,
            self.supervisor.workers,
            self.spool,
            lambda: self.governor,
            clock,
            lambda: self.settings.off,
        )
        self.health = Health(config.health, self.samples, self._keep, clock, self._heart.beat)
        self.balance = Balance(
            config.ledger,
            self.tally,
            self.supervisor.samples,
            lambda: self.spool.boot_id,
            self._keep,
            clock,
            StateFile(config.sources.state_directory, "balance"),
        )
        #: What is in force: the host's own configuration, and over it what a policy says.
        self.settings = Settings(config, make, self.supervisor, self.health, lambda: self.uplink.connected)
        self.policies: Policies | None = None
        if makers is None:
            agent_id = facts(identity.certificate).common_name  # what the collector says that we are proves nothing
            self.policies = Policies(
                config.policy, config.policy_folder, agent_id, self.settings, self.uplink.say, clock
            )
        self._watchdog = Watchdog(self._service, self.hung)
        self._lifecycle = Lifecycle()

    def _keep(self, batch: SealedBatch, patient: bool = False) -> None:
        self.keeper.take(batch, patient)

    # What waits in the queue is in no balance yet: rows are cut and spooled, or lost, in one interval.
    def _append(self, batch: SealedBatch) -> None:
        with self.tally.whole():
            self.tally.add(self._key(batch), Entry.ROWS_CUT, batch.rows)
            self.spool.append(batch, self._clock())

    def _lost(self, batch: SealedBatch) -> None:
        with self.tally.whole():
            self.tally.add(self._key(batch), Entry.ROWS_CUT, batch.rows)
            self.tally.add(self._key(batch), Entry.ROWS_LOST, batch.rows, "queue")

    def _key(self, batch: SealedBatch) -> Key:
        return Key(self.spool.boot_id, batch.table)

    def _gauges(self) -> Gauges:
        spool = self.config.spool
        return Gauges(
            spool_bytes=self.spool.disk_bytes,
            spool_quota=spool.max_bytes,
            spool_directory=spool.directory,
            uplink_rate=self.uplink.rate,
            queue=self.keeper.fill,
        )

    def samples(self) -> list[Sample]:
        """Every counter of the agent."""
        return [
            *self.supervisor.samples(),
            *redaction.samples(),
            *(self.governor.samples() if self.governor else ()),
            *self.keeper.samples(),
            *self.spool.samples(),
            *self.uplink.samples(),
            *self.balance.counters.samples(),
            *self.health.counters.samples(),
            *self._service.counters.samples(),
            *(self.policies.samples() if self.policies else ()),
        ]

    def hung(self, limit_s: float) -> list[str]:
        """The parts that have made no step for so long.

        The uplink, which settles what is acknowledged, waits for the same disk as the keeper: that is no fault of its
        own, and a new start would wait for that disk, too, without what waits in memory now.
        """
        uplink = self.uplink.hung(limit_s) and not 0 < self.keeper.waits_s() < _DISK_S
        return self.supervisor.hung(limit_s) + (["uplink"] if uplink else [])

    def start(self, ended: Callable[[], object] = lambda: None) -> None:
        """Start all parts. UserError or LuytreError if that cannot be; nothing runs then.

        `ended` is called, in any thread, once every source has come to its end.
        """
        if self.governor:
            self.governor.prepare()
        self._lifecycle.start("spool", self.spool.open, self.spool.close)
        self._lifecycle.start("policy", self._follow_policy, lambda: None)
        self._lifecycle.start("ledger", self.balance.recall, self.balance.leave)
        self._lifecycle.start("uplink", self.uplink.start, self._hang_up)
        self._lifecycle.start("keeper", self.keeper.start, self.keeper.stop)
        if self.governor:
            self._lifecycle.start("governor", self.governor.start, self.governor.stop)
        self._lifecycle.start("health", self.health.start, self.health.stop)
        self._lifecycle.start("balance", self.balance.start, self.balance.stop)
        self._lifecycle.start("sources", partial(self._start_sources, ended), self.supervisor.stop)
        if self.policies:
            self._lifecycle.start("policies", self.policies.start, self.policies.stop)
        memory.started()
        _log.info("running: %d sources, spool %s", len(self.supervisor.workers()), self.config.spool.directory)

    def _follow_policy(self) -> None:
        """What was in force when the agent ended is in force from the start; the spool's lock says that it is ours."""
        given = self.policies.load() if self.policies else {}
        try:
            put = self.settings.prepare(given)
        except ConfigError as error:
            assert self.policies is not None
            self.policies.fall_back(str(error))
            put = self.settings.prepare({})
        put()

    def _start_sources(self, ended: Callable[[], object]) -> None:
        try:
            self.supervisor.start(ended)
        except LuytreError as error:
            if not self.policies or not self.settings.changed:
                raise
            self.policies.fall_back(str(error))
            self.settings.prepare({})()
            self.supervisor.start(ended)

    def _told(self, policy: pb.Policy) -> None:
        if self.policies:
            self.policies.told(policy)

    def _welcomed(self) -> None:
        if self.policies:
            self.policies.welcomed()

    def reload(self, load: Callable[[], Config]) -> None:
        """Take the host's configuration anew, as far as that goes while running: sources whose settings changed are
        closed and opened again, the others go on without a gap. If it cannot be used, all stays as it was."""
        self._service.reloading()
        try:
            own = load()
            tls.read(own.tls, "agent")
            later = self.settings.adopt(own)
        except (LuytreError, OSError) as error:
            self._service.counters.add("reloads_refused")
            status = f"reload refused: {str(error).splitlines()[0]}"
            for line in str(error).splitlines():
                _log.error("reload: %s; the configuration stays as it was", line)
        else:
            self._service.counters.add("reloads")
            status = self._status()
            note = f"; from the next start on: {', '.join(later)}" if later else ""
            _log.info("reload: done%s", note)
        self._service.ready(status)

    def _status(self) -> str:
        return f"{len(self.supervisor.workers())} sources, to {self.config.uplink.collector}"

    def run(self, stop: threading.Event, seconds: float | None = None) -> None:
        """From start to end: until `stop`, for `seconds`, or until every source has come to its end; then `stop` is set
        too."""
        self.start(stop.set)
        try:
            self._service.ready(self._status())
            turn_s = min(_TRIM_S, self._service.turn_s)
            left = float("inf") if seconds is None else seconds
            for turn in itertools.count():
                self._watchdog.look()
                if left <= 0 or stop.wait(min(left, turn_s)):
                    break
                left -= turn_s
                memory.trim()
                if turn % _FORGET_TURNS == 0:
                    memory.forget_code()
            self.finished_workers = self.supervisor.workers()
        finally:
            self._service.stopping("spooling and delivering what is left")
            self.stop()

    def stop(self) -> None:
        """Close the sources, spool everything, give the uplink its time, hang up."""
        self._lifecycle.stop()

    def _hang_up(self) -> None:
        self.spool.tell_gaps()
        before = self.spool.unsettled()
        while not self.uplink.drain(self.config.uplink.drain_seconds):
            waiting = self.spool.unsettled()
            if not self._patient or waiting >= before:
                break
            before = waiting
        finished = self.supervisor.finished()
        if finished:
            self._heart.beat()  # files read within seconds: the collector has not heard yet that there was nothing else
        self.uplink.stop(goodbye("finished" if finished else "stopping", self._clock()))
        self.undelivered = self.spool.unsettled()
        if self.undelivered:
            _log.warning("%d batches are not acknowledged yet; they stay in the spool", self.undelivered)
