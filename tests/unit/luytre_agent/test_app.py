from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from luytre_agent import app, config
from luytre_agent.app import Agent, hello, uplink_addresses
from luytre_agent.machine import kernel_boot_id, machine_id
from luytre_agent.policy.model import Given
from luytre_agent.sources import replay
from luytre_agent.worker import State
from luytre_common import settings
from luytre_common.errors import ConfigError, LuytreError, UserError
from luytre_common.sd_notify import ServiceManager
from luytre_common.wire.v1 import ingest_pb2 as pb

from tests.support.collector_end import Authority, Collector, acknowledge
from tests.support.manager import Manager
from tests.support.policies import Signer
from tests.support.sources import Scripted

SIGNER = Signer()

CAPTURE = Path(__file__).parents[2] / "golden/capture/tcp.pcap"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


@pytest.fixture
def collector(authority: Authority) -> Iterator[Collector]:
    made = Collector()
    made.start(authority.issue("collector"))
    yield made
    made.stop()


@pytest.fixture
def configured(tmp_path: Path, authority: Authority, collector: Collector) -> config.Config:
    identity = authority.issue("web-01")
    tables: dict[str, Any] = {
        "agent": {"name": "web-01.hue.example"},
        "tls": {name: str(getattr(identity, name)) for name in ("authority", "certificate", "key")},
        "uplink": {"collector": f"127.0.0.1:{collector.port}", "drain_seconds": 20.0, "reconnect_seconds": 0.2},
        "spool": {"directory": str(tmp_path / "spool")},
        "sources": {"state_directory": str(tmp_path / "state")},
        "health": {"interval_seconds": 0.1},
    }
    return settings.build(config.Config, tables)


def until(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_sources_see_reaches_the_collector_with_the_agents_health(
    configured: config.Config, collector: Collector
) -> None:
    makers = replay.build(replay.Config(files=[CAPTURE]))
    agent = Agent(configured, lambda: makers)
    agent.run(threading.Event())  # ends by itself: the file does
    assert agent.undelivered == 0
    assert {batch.table for batch in collector.batches} >= {"flows", "agent_health"}
    assert collector.said[-1].goodbye.reason == "finished"
    (source,) = collector.said[-2].heartbeat.sources  # just before, or who reads files looks like one that was stopped
    assert (source.name.partition(":")[0], source.available) == ("replay", True)
    assert collector.hellos[0].host_name == "web-01.hue.example"
    names = {(sample.component, sample.name) for sample in agent.samples()}
    assert {
        ("replay", "packets"),
        ("spool", "rows_appended"),
        ("uplink", "acks"),
        ("sources", "source_available"),
    } <= names


def test_a_stop_closes_in_reverse_order_and_spools_the_last_batches(
    configured: config.Config, collector: Collector
) -> None:
    stop = threading.Event()
    last = replay.Replay(replay.Config(), CAPTURE)
    last.open()
    while not last.finished:
        last.poll(0.0)
    source = Scripted(last=list(last.close()), on_idle=stop.set)
    agent = Agent(configured, lambda: {"one": lambda: source})
    agent.run(stop)
    assert source.closed == 1
    assert sum(batch.row_count for batch in collector.batches if batch.table == "flows") > 0
    assert agent.undelivered == 0
    kinds = [one.WhichOneof("kind") for one in collector.said]
    assert set(kinds[:-1]) <= {"heartbeat"}
    assert (kinds[-1], collector.said[-1].goodbye.reason) == ("goodbye", "stopping")


def test_it_says_how_it_is_while_it_runs(configured: config.Config, collector: Collector) -> None:
    stop, heard = threading.Event(), threading.Event()

    def on_idle() -> None:
        stop.wait(0.01)
        if collector.said:
            heard.set()
            stop.set()

    agent = Agent(configured, lambda: {"one": lambda: Scripted(on_idle=on_idle)})
    agent.run(stop, seconds=60.0)
    assert heard.is_set()
    said = collector.said[0].heartbeat
    assert said.agent_time_us > 0
    assert (said.degradation, [one.name for one in said.sources]) == (0, ["one"])


def test_it_ends_after_the_given_time(configured: config.Config) -> None:
    Agent(configured, lambda: {"one": Scripted}).run(threading.Event(), seconds=0.0)


def test_without_a_source_it_fails_and_releases_everything(configured: config.Config) -> None:
    with pytest.raises(LuytreError, match="no source is available: one: no ring"):
        Agent(configured, lambda: {"one": lambda: Scripted(unavailable="no ring")}).run(threading.Event())
    Agent(configured, lambda: {"one": Scripted}).run(threading.Event(), seconds=0.0)


def test_a_spool_in_use_stops_the_start(configured: config.Config) -> None:
    first = Agent(configured, lambda: {"one": Scripted})
    first.start()
    with pytest.raises(UserError, match="another agent"):
        Agent(configured, lambda: {"one": Scripted}).start()
    first.stop()


def test_our_own_connection_is_known_by_every_address_of_the_collector() -> None:
    assert uplink_addresses("127.0.0.1:7071") == (("127.0.0.1", 7071),)
    assert uplink_addresses("[::1]:7071") == (("::1", 7071),)
    assert ("127.0.0.1", 7071) in uplink_addresses("localhost:7071")


def test_a_collector_without_an_address_is_said(caplog: pytest.LogCaptureFixture) -> None:
    assert uplink_addresses("no.such.name.invalid:7071") == ()
    assert "our own connection to it will be among the flows" in caplog.text


def test_hello_says_what_runs_where(configured: config.Config) -> None:
    said = hello(configured, "boot", 1.5)
    assert (said.machine_id, said.kernel_boot_id) == (machine_id(), kernel_boot_id())
    assert said.kernel_boot_id
    assert (said.protocol, said.boot_id, said.agent_time_us) == (1, "boot", 1_500_000)
    assert said.kernel == os.uname().release
    assert said.operating_system


@pytest.mark.root
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_real_process_with_zero(
    number: int, tmp_path: Path, configured: config.Config, collector: Collector
) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(config.dump(configured).replace('["auto"]', '["lo"]'))
    with subprocess.Popen(
        [sys.executable, "-m", "luytre_agent", "run", "--config", str(path)], stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            collector.wait(lambda: bool(collector.batches))
            process.send_signal(number)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    assert not list((tmp_path / "spool").glob("*.seg")), "all was delivered"


def test_the_service_manager_hears_of_start_life_and_end(configured: config.Config, tmp_path: Path) -> None:
    stop = threading.Event()
    with Manager(str(tmp_path / "notify")) as manager:
        agent = Agent(configured, lambda: {"one": Scripted}, service=ServiceManager(manager.address, 0.3))
        running = threading.Thread(target=agent.run, args=(stop,))
        running.start()
        heard = manager.wait(lambda all_: all_.count({"WATCHDOG": "1"}) >= 3)
        assert heard[0] == {"READY": "1", "STATUS": f"1 sources, to {configured.uplink.collector}"}
        stop.set()
        running.join(60)
        assert manager.wait(lambda all_: "STOPPING" in all_[-1])
    assert ("service", "notify_failures", 0) not in [(one.component, one.name, one.value) for one in agent.samples()]


def test_the_watchdog_is_not_fed_while_a_source_hangs(configured: config.Config, tmp_path: Path) -> None:
    stop, hang = threading.Event(), threading.Event()
    fine = {"one": lambda: Scripted(on_idle=lambda: time.sleep(0.01))}
    stuck = {"two": lambda: Scripted(name="two", on_idle=lambda: hang.wait(60))}  # type: ignore[arg-type]
    with Manager(str(tmp_path / "notify")) as manager:
        service = ServiceManager(manager.address, 0.3)
        agent = Agent(configured, lambda: fine | stuck, service=service)
        running = threading.Thread(target=agent.run, args=(stop,))
        running.start()
        try:
            until(lambda: service.counters.get("watchdog_withheld", "two") >= 3)
            manager.heard()
            until(lambda: service.counters.get("watchdog_withheld", "two") >= 6)
            assert {"WATCHDOG": "1"} not in manager.heard()
            assert service.counters.get("watchdog_withheld", "one") == 0
            hang.set()
            manager.wait(lambda all_: all_[-1] == {"WATCHDOG": "1"})
        finally:
            hang.set()
            stop.set()
            running.join(60)


def test_a_disk_that_stands_still_is_no_reason_to_be_started_again(
    configured: config.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.Event()
    agent = Agent(configured, lambda: {"one": lambda: Scripted(on_idle=lambda: time.sleep(0.01))})
    keep = agent.spool._keep

    def stalled(*given: Any, **more: Any) -> bool:
        assert free.wait(60)
        return keep(*given, **more)

    agent.start()
    try:
        until(lambda: agent.uplink.connected)
        monkeypatch.setattr(agent.spool, "_keep", stalled)
        until(lambda: agent.keeper.waits_s() > 0.5)
        assert agent.uplink._loop is not None
        agent.uplink._loop.call_soon_threadsafe(agent.spool.acknowledge, "", "", 0)
        until(lambda: agent.uplink.hung(0.3))
        assert "uplink" not in agent.hung(0.3)
        monkeypatch.setattr(app, "_DISK_S", 0.1)
        assert "uplink" in agent.hung(0.3)
        free.set()
        until(lambda: not agent.uplink.hung(0.3))
        until(lambda: agent.keeper.waits_s() == 0)
    finally:
        free.set()
        agent.stop()


@pytest.mark.root
def test_a_real_service_is_ready_alive_and_says_where_it_hung(
    tmp_path: Path, configured: config.Config, collector: Collector
) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(config.dump(configured).replace('["auto"]', '["lo"]'))
    command = [sys.executable, "-m", "luytre_agent", "run", "--config", str(path)]
    with Manager(f"@luytre-test-agent-{os.getpid()}") as manager:
        environment = os.environ | {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "600000"}
        for number, code in ((signal.SIGTERM, 0), (signal.SIGABRT, -signal.SIGABRT)):  # SIGABRT: what a watchdog sends
            with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
                try:
                    manager.wait(lambda all_: all_[-2:] == [{"WATCHDOG": "1"}] * 2)
                    process.send_signal(number)
                    _, errors = process.communicate(timeout=60)
                finally:
                    process.kill()
            assert process.returncode == code, errors
            manager.heard()
        assert "Fatal Python error: Aborted" in errors
        assert "worker.py" in errors, "every thread's place"
        assert sum("READY" in one for one in manager.wait(bool)) == 2
        assert sum("STOPPING" in one for one in manager.wait(bool)) == 1


def only(**kinds: dict[str, Any]) -> dict[str, Any]:
    """Settings by which these kinds of sources run and no others."""
    off = ("files", "logins", "packets", "processes", "sockets", "network", "inventory")
    return {kind: kinds.get(kind, {"enabled": False}) for kind in off}


@pytest.fixture
def governed(configured: config.Config, tmp_path: Path) -> config.Config:
    """With a key for policies, and two sources that need no rights."""
    (tmp_path / "watched").mkdir()
    watched = {"rung": "inotify", "defaults": False, "homes": False, "paths": [str(tmp_path / "watched")]}
    own = only(files=watched, network={"firewall": False})
    policy = {"key": str(SIGNER.write_key(tmp_path / "policy.pub")), "trial_seconds": 1.0}
    return settings.overlay(configured, {"sources": own, "policy": policy})


def send(collector: Collector, given: Given) -> None:
    """With the next answer to a batch."""
    waiting = [pb.Policy(version=given.version, document=given.document, signature=given.signature)]

    def answer(collector: Collector, batch: pb.Batch) -> Iterator[pb.CollectorMessage]:
        yield from acknowledge(collector, batch)
        while waiting:
            yield pb.CollectorMessage(policy=waiting.pop())

    collector.answer = answer


def reported(collector: Collector, version: int, state: int) -> str:
    """The message of the report, once it came."""

    def found() -> list[str]:
        reports = [one.policy_report for one in collector.said if one.HasField("policy_report")]
        return [one.message for one in reports if (one.version, one.state) == (version, state)]

    until = time.monotonic() + 30
    while not found():
        assert time.monotonic() < until, collector.said
        time.sleep(0.02)
    return found()[0]


def test_a_policy_is_applied_and_is_in_force_at_the_next_start(governed: config.Config, collector: Collector) -> None:
    agent = Agent(governed)
    agent.start()
    assert {worker.name for worker in agent.supervisor.workers()} == {"files", "network"}
    files = next(worker for worker in agent.supervisor.workers() if worker.name == "files")
    send(collector, SIGNER.given(3, "sources.network.enabled = false\nhealth.interval_seconds = 1", agents="web-*"))
    assert reported(collector, 3, pb.POLICY_STATE_TRYING) == ""
    assert reported(collector, 3, pb.POLICY_STATE_APPLIED) == ""
    assert agent.supervisor.workers() == [files]
    assert files.state is State.AVAILABLE
    assert ("policy", "policy_version", 3) in [(one.component, one.name, one.value) for one in agent.samples()]
    agent.stop()
    again = Agent(governed)
    again.start()
    assert [worker.name for worker in again.supervisor.workers()] == ["files"]
    collector.wait(lambda: len(collector.hellos) >= 2)
    assert collector.hellos[-1].policy_version == 3
    again.stop()


@pytest.fixture
def capturing(governed: config.Config) -> config.Config:
    """One that captures the loopback device instead of watching files."""
    return settings.overlay(
        governed,
        {
            "sources": only(
                packets={"enabled": True, "interfaces": ["lo"]}, network={"enabled": True, "firewall": False}
            )
        },
    )


@pytest.mark.root
def test_a_policy_that_takes_a_source_away_is_taken_back(capturing: config.Config, collector: Collector) -> None:
    agent = Agent(capturing)
    agent.start()
    send(collector, SIGNER.given(1, 'sources.network.enabled = false\nsources.packets.interfaces = ["nope0"]'))
    assert "packets is not available any more: " in reported(collector, 1, pb.POLICY_STATE_ROLLED_BACK)
    assert {worker.name for worker in agent.supervisor.workers()} == {"packets:lo", "network"}
    assert agent.settings.config == capturing
    agent.stop()


@pytest.mark.root
def test_an_agent_that_would_not_start_with_a_policy_starts_without(
    capturing: config.Config, collector: Collector
) -> None:
    agent = Agent(capturing)
    agent.start()
    send(collector, SIGNER.given(1, "sources.network.enabled = false"))
    reported(collector, 1, pb.POLICY_STATE_APPLIED)
    agent.stop()
    gone = settings.overlay(capturing, {"sources": {"packets": {"interfaces": ["nope0"]}}})
    again = Agent(gone)
    again.start()
    assert {worker.name for worker in again.supervisor.workers()} == {"packets:nope0", "network"}
    assert "no source is available: packets:nope0" in reported(collector, 1, pb.POLICY_STATE_ROLLED_BACK)
    assert not again.settings.changed
    again.stop()


def test_what_one_policy_allowed_and_this_agent_does_not_is_left(governed: config.Config, collector: Collector) -> None:
    agent = Agent(governed)
    agent.start()
    send(collector, SIGNER.given(1, "sources.files.enabled = false"))
    reported(collector, 1, pb.POLICY_STATE_APPLIED)
    agent.stop()
    bare = settings.overlay(governed, {"sources": {"network": {"enabled": False}, "replay": {"files": []}}})
    again = Agent(bare)
    again.start()
    assert "turns off every source" in reported(collector, 1, pb.POLICY_STATE_ROLLED_BACK)
    assert [worker.name for worker in again.supervisor.workers()] == ["files"]
    again.stop()


def test_a_reload_opens_anew_what_changed_and_nothing_else(configured: config.Config, tmp_path: Path) -> None:
    made: list[str] = []

    def one(name: str) -> Callable[[], Scripted]:
        def make() -> Scripted:
            made.append(name)
            return Scripted(name=name, on_idle=lambda: time.sleep(0.01))

        return make

    makers: dict[str, Any] = {"files": one("files"), "logins": one("logins")}
    stop = threading.Event()
    with Manager(str(tmp_path / "notify")) as manager:
        service = ServiceManager(manager.address)
        agent = Agent(configured, lambda: dict(makers), service=service)
        running = threading.Thread(target=agent.run, args=(stop,))
        running.start()
        try:
            manager.wait(lambda all_: any("READY" in one for one in all_))
            manager.heard()
            new = replace(
                configured,
                sources=replace(configured.sources, files=replace(configured.sources.files, fold_seconds=3.0)),
                spool=replace(configured.spool, max_bytes=1 << 20),
            )
            agent.reload(lambda: new)
            deadline = time.monotonic() + 30
            while len(made) < 3:  # the thread of the new source makes it
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert sorted(made) == ["files", "files", "logins"], "the other goes on"
            assert agent.settings.config.sources.files.fold_seconds == 3.0
            assert agent.settings.config.spool == configured.spool, "from the next start on"
            told = manager.heard(2)
            assert [set(one) for one in told] == [{"RELOADING", "MONOTONIC_USEC"}, {"READY", "STATUS"}]
            assert service.counters.get("reloads") == 1
        finally:
            stop.set()
            running.join(60)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            ConfigError(Path("agent.toml"), ["agent.colour: unknown", "tls: missing"]),
            "agent.toml: agent.colour: unknown",
        ),
        (OSError(2, "No such file", "agent.toml"), "No such file"),
    ],
)
def test_a_reload_of_nonsense_leaves_all_as_it_was(
    fault: Exception, said: str, configured: config.Config, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def load() -> config.Config:
        raise fault

    with Manager(str(tmp_path / "notify")) as manager:
        service = ServiceManager(manager.address)
        agent = Agent(configured, lambda: {"one": Scripted}, service=service)
        agent.start()
        agent.reload(load)
        agent.stop()
        last = manager.heard(2)[-1]
    assert last["READY"] == "1", "reloading has ended, whatever became of it"
    assert last["STATUS"].startswith("reload refused: ")
    assert said in caplog.text
    assert "the configuration stays as it was" in caplog.text
    assert service.counters.get("reloads_refused") == 1
    assert agent.settings.config == configured


@pytest.mark.root
def test_a_hangup_reads_the_file_again_without_a_gap(
    tmp_path: Path, configured: config.Config, collector: Collector
) -> None:
    path = tmp_path / "agent.toml"
    watched = tmp_path / "watched"
    watched.mkdir()
    text = config.dump(configured).replace('["auto"]', '["lo"]')
    path.write_text(text)
    with Manager(str(tmp_path / "notify")) as manager:
        environment = os.environ | {"NOTIFY_SOCKET": manager.address}
        command = [sys.executable, "-m", "luytre_agent", "run", "--config", str(path)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
            try:
                manager.wait(lambda all_: any("READY" in one for one in all_))
                path.write_text(
                    text.replace("[sources.files]\n", f'[sources.files]\npaths = ["{watched}"]\n', 1).replace(
                        "\npaths = []", ""
                    )
                )
                process.send_signal(signal.SIGHUP)
                manager.wait(lambda all_: [set(one) for one in all_].count({"READY", "STATUS"}) == 2)
                path.write_text("[nonsense]")
                process.send_signal(signal.SIGHUP)
                manager.wait(lambda all_: "reload refused" in all_[-1].get("STATUS", ""))
                process.send_signal(signal.SIGTERM)
                _, errors = process.communicate(timeout=60)
            finally:
                process.kill()
    assert process.returncode == 0, errors
    assert "reload: done" in errors
    assert errors.count("files: running") == 2, errors
    assert errors.count("packets:lo: running") == 1, "packets were captured all the time"
    assert "nonsense" in errors
