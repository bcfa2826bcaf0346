"""The composition root: makes every part, hands each what it needs, starts them in order and stops them in reverse.

agents -> IngestServer -> Session -> admit -> Workers -> Pipeline -> Store, AlertRaiser -> Outbox -> channels
                                                        scheduled rules -> AlertRaiser
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import secrets
import signal
import time
from collections.abc import AsyncIterator, Callable, MutableMapping, Sequence
from pathlib import Path

from luytre_common import tls
from luytre_common.errors import EXIT_FAILURE
from luytre_common.policy import load_keys
from luytre_common.sd_notify import ServiceManager, Watchdog
from luytre_common.telemetry import Counters

from luytre_collector import enrich, notify, query, registers, sites
from luytre_collector.agents import AgentWriter
from luytre_collector.chainkeeper import ChainKeeper, stored_link
from luytre_collector.config import Config
from luytre_collector.detect import rules
from luytre_collector.detect.correlate import Correlator
from luytre_collector.detect.model import RuleSet
from luytre_collector.detect.query import Scheduler
from luytre_collector.detect.stream import Matcher
from luytre_collector.disk import DiskWatch
from luytre_collector.enrol.server import Enrolment, open_desk, revocation_lists
from luytre_collector.expiry import Expiry
from luytre_collector.fulldisk import FullDisk
from luytre_collector.health import HealthWriter
from luytre_collector.httpd import server as httpd
from luytre_collector.identity_alerts import IdentityAlerts
from luytre_collector.ingest.admit import Admitted
from luytre_collector.ingest.chain import Chains
from luytre_collector.ingest.clones import Clones
from luytre_collector.ingest.presence import Presence
from luytre_collector.ingest.quarantine import Quarantine
from luytre_collector.ingest.revocation import Revocation
from luytre_collector.ingest.roster import Roster
from luytre_collector.ingest.server import IngestServer
from luytre_collector.ingest.session import Outcome
from luytre_collector.notify.outbox import Outbox
from luytre_collector.periodic import Periodic, ScheduledRules
from luytre_collector.pipeline import AlertRaiser, Pipeline, Postponed, Stored, Verdict
from luytre_collector.policy.control import PolicyControl
from luytre_collector.policy.folder import Folder
from luytre_collector.policy.publisher import Publisher
from luytre_collector.policy.reports import Reports
from luytre_collector.reload import Reload
from luytre_collector.retention import Keeping
from luytre_collector.rollups import Rollups
from luytre_collector.selfwatch import SelfWatch
from luytre_collector.store.base import Store
from luytre_collector.store.choose import make_store
from luytre_collector.store.embedded import EmbeddedStore
from luytre_collector.worker import Worker
from luytre_collector.workers import Process, Workers

#: Who counts: the values of `component` in `collector_health`.
PARTS = (
    "ingest",
    "identity",
    "enrol",
    "store",
    "quarantine",
    "pipeline",
    "detect",
    "correlate",
    "query_rules",
    "outbox",
    "query",
    "http",
    "rollups",
    "agents",
    "retention",
    "disk",
    "presence",
    "chain",
    "policy",
    "periodic",
    "service",
)

#: Seconds between looks at how long our own certificate is good.
_OWN_CERTIFICATE_S = 60.0

_log = logging.getLogger("luytre.collector")


async def run(
    config: Config,
    ready_file: Path | None = None,
    clock: Callable[[], float] = time.time,
    environment: MutableMapping[str, str] | None = None,
    load: Callable[[], Config] | None = None,
) -> None:
    """Run until SIGTERM or SIGINT. What was accepted by then is stored and acknowledged before it returns.

    `environment` is where a service manager has said how to reach it; that is taken out of it. SIGHUP reads the rules
    again, and with `load` the configuration.
    """
    name = config.collector.called
    counters = {part: Counters(part) for part in PARTS}
    service = ServiceManager.of({} if environment is None else environment, counters=counters["service"])
    stop = _asked_by(signal.SIGTERM, signal.SIGINT)
    hangup = _asked_by(signal.SIGHUP)
    identity = tls.read(config.ingest.tls, "collector")
    httpd.check(config.http, config.ingest.tls)
    declared = sites.read(config.sites)
    keeping = Keeping(config.retention, declared)
    policy_keys = load_keys(config.policy.key) if config.policy.key else ()
    desk = open_desk(config.enrol, config.ingest.tls)
    revocation = Revocation(revocation_lists(config.ingest.revocations, desk), counters["ingest"], clock)
    revocation.load()
    async with contextlib.AsyncExitStack() as closing:
        store = make_store(config.store, counters["store"])
        store.open()
        full: list[FullDisk] = []
        closing.callback(_close, store, full)
        for line in store.migrate():
            _log.info("store: %s", line)
        for line in registers.declare(store, declared, keeping.system_days, int(clock() * 1_000_000)):
            _log.info("sites: %s", line)
        expiry = Expiry(store, keeping, clock, counters["retention"])
        for line in expiry.settle():
            _log.info("retention: %s", line)
        if (socket := query.socket_path(config.store)) is not None:
            deeds = {"expire": expiry.take_all}
            await closing.enter_async_context(query.serve_queries(store, socket, counters["query"], deeds))
        if isinstance(store, EmbeddedStore):
            await closing.enter_async_context(
                httpd.serve(config.http, config.ingest.tls, store.ask, name, counters["http"], time.monotonic)
            )
        else:
            _log.info("http: not served here: the ClickHouse server has its own HTTP interface")

        outbox = Outbox(config.notify.outbox, notify.build(config.notify), counters["outbox"], random.random)
        outbox.open()
        closing.callback(outbox.close)
        raise_alerts = AlertRaiser(store, outbox, counters["pipeline"], config.clocks)

        ruleset = _load_rules(config.detect.folders)
        workers = Workers(config.pipeline, counters["pipeline"])
        quarantine = Quarantine(config.quarantine, counters["quarantine"], clock)
        chains = Chains(lambda numbering: stored_link(store, numbering), counters["chain"])

        pipelines: list[Pipeline] = []

        def process(worker: Worker) -> Process:
            pipeline = Pipeline(
                store,
                Matcher(ruleset, clock, counters["detect"]),
                enrich.build(config.networks),
                raise_alerts,
                quarantine,
                counters["pipeline"],
                worker.pause,
                config.clocks,
                chains,
            )
            pipelines.append(pipeline)
            return pipeline.process

        health = HealthWriter(store, name, list(counters.values()), clock)
        writing = Periodic("health", config.health.interval_s, health.write, counters["periodic"])
        closing.callback(writing.once)  # the last word, when everything else has stopped
        closing.callback(writing.close)
        writing.start()

        correlator = Correlator(ruleset, store, clock, counters["correlate"], config.detect.correlations)
        scheduler = Scheduler(ruleset, store, clock, counters["query_rules"])
        rounds = ScheduledRules((correlator.run, scheduler.run), raise_alerts)
        looking = Periodic("rules", config.detect.correlations.interval_s, rounds, counters["periodic"])
        closing.callback(looking.close)
        looking.start()

        if config.rollups.enabled:
            rollups = Rollups(store, config.rollups, clock, workers.oldest_us, counters["rollups"])
            summing = Periodic("rollups", config.rollups.interval_s, rollups.run, counters["periodic"])
            closing.callback(summing.close)
            summing.start()

        expiring = Periodic("retention", config.retention.interval_s, expiry.run, counters["periodic"])
        closing.callback(expiring.close)
        expiring.start()

        watch = DiskWatch(
            store, config.disk, name, keeping.longest, clock, workers.hold, raise_alerts, counters["disk"]
        )
        watching = Periodic("disk", config.disk.interval_s, watch.run, counters["periodic"])
        watching.once()  # before the first batch
        closing.callback(watching.close)
        watching.start()

        if isinstance(store, EmbeddedStore):
            loop = asyncio.get_running_loop()
            full.append(FullDisk(store, clock, lambda: loop.call_soon_threadsafe(stop.set), counters["disk"]))
            meeting = Periodic("full_disk", config.disk.interval_s, full[0].run, counters["periodic"])
            meeting.once()  # what was before is no news
            closing.callback(meeting.close)
            meeting.start()

        presence = Presence(config.presence, counters["presence"], int(clock() * 1_000_000))
        guarding = SelfWatch(presence, store, raise_alerts, name, clock)
        guard = Periodic("presence", config.presence.interval_s, guarding.run, counters["periodic"])
        guard.once()  # before the first agent: whom to expect
        closing.callback(guard.once)  # who said goodbye at the very end
        closing.callback(guard.close)
        roster = Roster()
        recorder = AgentWriter(store, roster, declared, config.agents, name, clock, counters["agents"])
        recording = Periodic("agents", config.agents.interval_s, recorder.write, counters["periodic"])
        closing.callback(recording.once)  # who left when everything stopped
        closing.callback(recording.close)
        recording.start()

        keeper = ChainKeeper(chains, store, config.chains, presence.caught_up, raise_alerts, counters["chain"], clock)
        linking = Periodic("chains", config.chains.interval_s, keeper.run, counters["periodic"])
        linking.once()  # before the first batch: the last links
        closing.callback(linking.once)  # and at the end
        closing.callback(linking.close)
        linking.start()

        policies = PolicyControl(counters["policy"], lambda: int(clock() * 1_000_000))
        reports = Reports(policies.take, store, raise_alerts, name, counters["policy"])
        reporting = Periodic("policy_reports", config.policy.interval_s, reports.run, counters["periodic"])
        closing.callback(reporting.once)  # what was said at the very end
        closing.callback(reporting.close)
        reporting.start()

        workers.start(process)
        closing.push_async_callback(asyncio.to_thread, workers.close)
        identity_alerts = IdentityAlerts(name, identity.certificate, raise_alerts, clock, counters["identity"])
        closing.push_async_callback(identity_alerts.close)
        clones = Clones(counters["ingest"], identity_alerts.cloned, lambda: secrets.randbits(64))
        handed = policy_keys[0] if policy_keys else b""
        enrolment = Enrolment(config.enrol, desk, identity, handed, counters["enrol"], clock) if desk else None
        ingest = IngestServer(
            config.ingest,
            identity,
            name,
            _submit(workers),
            quarantine,
            counters["ingest"],
            clock,
            [revocation, clones, presence, roster, policies],
            enrolment.renew if enrolment else None,
        )
        closing.push_async_callback(ingest.stop)
        address = await ingest.start()
        await closing.enter_async_context(_watching(revocation, identity_alerts))
        if enrolment:
            await enrolment.tidy()
        if enrolment and config.enrol.listen:
            closing.push_async_callback(enrolment.stop)
            _log.info("agents are enrolled at %s", await enrolment.start(address))
        closing.push_async_callback(_drain, ingest, workers, config.collector.stop_timeout_s)
        guard.start()
        closing.callback(presence.rest)  # whom we hang up on is not silent
        loop = asyncio.get_running_loop()
        publisher = Publisher(
            Folder(config.policy.directory, policy_keys),
            lambda found: loop.call_soon_threadsafe(policies.publish, found),
            clock,
            counters["policy"],
        )
        publishing = Periodic("policy", config.policy.interval_s, publisher.run, counters["periodic"])
        await asyncio.to_thread(publishing.once)  # agents are coming in already
        closing.callback(publishing.close)
        publishing.start()

        _log.info("ready: %s listens on %s, %d rules", name, address, len(ruleset))
        if ready_file:
            _announce(ready_file, address)
            closing.callback(ready_file.unlink, missing_ok=True)
        watching_over = asyncio.create_task(_watch_over(service, workers))
        closing.callback(watching_over.cancel)
        reload = Reload(
            config,
            ruleset,
            load or (lambda: config),
            lambda new: [Matcher(new, clock, counters["detect"]) for _ in pipelines],
            lambda matchers: [*map(Pipeline.follow, pipelines, matchers)],
            (correlator, scheduler),
            counters["service"],
        )
        reloading = asyncio.create_task(_reload(hangup, reload, service, address))
        closing.callback(reloading.cancel)
        service.ready(f"listens on {address}, {len(ruleset)} rules")
        await stop.wait()
        service.stopping("finishing what was accepted")
        _log.info("stopping: finishing what was accepted")
    if _spoilt(full):
        _log.error("ended without closing the store, whose disk was full: start again")
        logging.shutdown()
        os._exit(EXIT_FAILURE)  # not in order: see `fulldisk`
    _log.info("stopped")


def _close(store: Store, full: Sequence[FullDisk]) -> None:
    """In order, unless the disk was full."""
    if not _spoilt(full):
        store.close()


def _spoilt(full: Sequence[FullDisk]) -> bool:
    return any(one.met for one in full)


async def _reload(asked: asyncio.Event, reload: Reload[list[Matcher]], service: ServiceManager, address: str) -> None:
    while await asked.wait():
        asked.clear()
        service.reloading()
        service.ready(f"listens on {address}, {await asyncio.to_thread(reload.run)}")


async def _watch_over(service: ServiceManager, workers: Workers) -> None:
    """Feed the watchdog: that this runs shows that the event loop does."""
    watchdog = Watchdog(service, lambda limit_s: ["worker"] if workers.hung(limit_s) else [])
    while service.watchdog_s is not None:
        watchdog.look()
        await asyncio.sleep(service.turn_s)


@contextlib.asynccontextmanager
async def _watching(revocation: Revocation, alerts: IdentityAlerts) -> AsyncIterator[None]:
    """Certificates are looked at for as long as this lasts: those that are revoked or expired, and our own."""

    async def look() -> None:
        while True:
            alerts.look()
            await asyncio.sleep(_OWN_CERTIFICATE_S)

    tasks = [asyncio.create_task(revocation.watch()), asyncio.create_task(look())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _load_rules(folders: Sequence[Path]) -> RuleSet:
    ruleset = rules.load(folders)
    for fault in ruleset.faults:
        _log.warning("rule not loaded: %s", fault)
    return ruleset


def _submit(workers: Workers) -> Callable[[Admitted, Callable[[Outcome], None]], None]:
    """What ingest hands batches to: the workers, with their verdicts in the words of ingest."""

    def submit(batch: Admitted, done: Callable[[Outcome], None]) -> None:
        workers.submit(batch, lambda verdict: done(_outcome(verdict)))

    return submit


def _outcome(verdict: Verdict) -> Outcome:
    match verdict:
        case Stored():
            return None
        case Postponed(reason):
            return reason
        case refused:
            return refused


async def _drain(ingest: IngestServer, workers: Workers, timeout_s: float) -> None:
    if not await ingest.drain(0.1 if workers.held else timeout_s):
        _log.warning("the store did not take everything; the agents keep the rest")
        await asyncio.to_thread(workers.close)
        await ingest.drain(1.0)


def _asked_by(*numbers: signal.Signals) -> asyncio.Event:
    """What these signals set."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in numbers:
        loop.add_signal_handler(number, asked.set)
    return asked


def _announce(path: Path, address: str) -> None:
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(address + "\n", encoding="ascii")
    fresh.replace(path)
