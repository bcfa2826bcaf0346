"""The configuration is read again while the agent runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from luytre_agent import config
from luytre_agent.app import Agent
from luytre_common.errors import ConfigError
from luytre_common.sd_notify import ServiceManager

from tests.support.collector_end import Collector
from tests.support.manager import Manager
from tests.support.sources import Scripted
from tests.support.waiting import until


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
            until(lambda: len(made) >= 3)  # the thread of the new source makes it
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
