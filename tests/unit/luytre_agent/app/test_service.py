"""What the service manager hears, and when it is left to end us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from luytre_agent import app, config
from luytre_agent.app import Agent
from luytre_common.sd_notify import ServiceManager

from tests.support.collector_end import Collector
from tests.support.manager import Manager
from tests.support.sources import Scripted
from tests.support.waiting import until


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
