"""The real agent in a container without any capability, as nobody, in namespaces of its own: every source that cannot
run says what it lacks, and the others make rows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from deploy.demo.services import AGENT, Service, Site
from tests.integration.conftest import Start
from tests.support.spooled import bodies

pytestmark = pytest.mark.root

NOBODY = 65534
#: Own network, processes and /proc; then no capability is left, and none can be had again.
CONTAINER = (
    "unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc",
    "sh", "-c", 'ip link set lo up && exec "$@"', "sh",
    "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
    "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all", "--no-new-privs",
)  # fmt: skip
DEADLINE_S = 60.0


@pytest.fixture
def site() -> Iterator[Site]:
    """In a folder that nobody can reach and owns."""
    with tempfile.TemporaryDirectory(prefix="luytre-", ignore_cleanup_errors=True) as made:
        folder = Path(made)
        folder.chmod(0o755)
        site = Site(folder)
        site.make()
        yield site


@pytest.fixture
def config(site: Site) -> Path:
    """All sources, on small ground; the collector is out of reach."""
    (site.folder / "watched").mkdir()
    (site.folder / "auth.log").touch()
    settings = f"""
[sources.packets]
interfaces = ["lo"]
[sources.files]
defaults = false
homes = false
fold_seconds = 0.05
paths = [{json.dumps(str(site.folder / "watched"))}]
[sources.logins]
auth_logs = [{json.dumps(str(site.folder / "auth.log"))}]
"""
    made = site.agent_toml("edge", settings, "127.0.0.1:1")
    for path in (site.folder, *site.folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    return made


def test_check_says_what_each_source_lacks(config: Path) -> None:
    command = [*CONTAINER, *AGENT, "check", "--config", str(config), "--json", "--timeout", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd="/")
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    checks: dict[str, dict[str, Any]] = {one["name"]: one for one in json.loads(done.stdout)["checks"]}
    packets, processes, sockets = checks["packets:lo"], checks["processes"], checks["sockets"]
    assert not packets["ok"]
    assert packets["detail"].startswith("interface lo: packets may not be captured; run as root or with CAP_NET_RAW")
    for one in (processes, sockets):
        assert "ebpf: the agent is not in the host's pid namespace" in one["detail"]
        assert one["ok"] or "host's pid namespace" in one["remedy"]
    files, logins = checks["files"], checks["logins"]
    assert (files["ok"], files["detail"]) == (
        True,
        "available (inotify); not by fanotify: fanotify_init: Operation not permitted",
    )
    assert logins["ok"]
    assert "auth_log" in logins["detail"].partition(";")[0]
    assert "not by btmp: /var/log/btmp: " in logins["detail"]
    assert checks["network"]["ok"]
    assert checks["inventory"]["ok"]


def test_what_can_run_runs(site: Site, config: Path, ours: Start) -> None:
    command = [*CONTAINER, *AGENT, "run", "--config", str(config)]
    agent = ours(Service("agent without rights", command, site.folder / "edge.log"))
    agent.start()
    try:
        _watch(site, agent)
    finally:
        _end(agent)
    said = agent.log_text()
    assert "Traceback" not in said
    assert "interface lo: packets may not be captured; run as root or with CAP_NET_RAW" in said
    assert "no firewall rule sets: Operation not permitted; the rest runs" in said
    assert "inventory: bpf_program cannot be read" in said


def _end(agent: Service) -> None:
    """Who gives up rights is not told any more when its parent ends, so the first process in there is ended itself."""
    for child in Path(f"/proc/{agent.pid}/task/{agent.pid}/children").read_text().split():
        os.kill(int(child), signal.SIGKILL)
    agent.kill()


def _watch(site: Site, agent: Service) -> None:
    """Wait for rows of every source that can run."""
    wanted = {"files", "logins", "network_changes", "inventory", "agent_health"}
    deadline = time.monotonic() + DEADLINE_S
    while missing := wanted - set(bodies(site.folder / "spool-edge")):
        assert time.monotonic() < deadline, f"no rows of {missing}: {agent.last_words()}"
        assert agent.running, agent.last_words()
        (site.folder / "watched/file").write_text(str(time.monotonic()))
        with (site.folder / "auth.log").open("a") as log:
            log.write(f"{datetime.now().astimezone().isoformat()} web-01 su: (to root) lan on pts/0\n")
        time.sleep(0.5)
