from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from luytre_common.sd_notify import ServiceManager, Watchdog

from tests.support.manager import Manager


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    name = str(tmp_path / "notify") if request.param == "path" else f"@luytre-test-{os.getpid()}"
    with Manager(name) as made:
        yield made


def test_every_message_arrives(manager: Manager) -> None:
    ours = ServiceManager(manager.address, 30.0, clock=lambda: 12.5)
    ours.ready("listens")
    ours.status("3 sources")
    ours.alive()
    ours.reloading()
    ours.stopping("ends")
    assert manager.heard(5) == [
        {"READY": "1", "STATUS": "listens"},
        {"STATUS": "3 sources"},
        {"WATCHDOG": "1"},
        {"RELOADING": "1", "MONOTONIC_USEC": "12500000"},
        {"STOPPING": "1", "STATUS": "ends"},
    ]
    assert ours.counters.get("notify_failures") == 0


def test_a_status_says_nothing_but_itself(manager: Manager) -> None:
    ServiceManager(manager.address).status("rule\nMAINPID=1\x00")
    assert manager.heard(1) == [{"STATUS": "rule\\u000aMAINPID=1\\u0000"}]


def test_without_a_watchdog_nobody_is_told_that_we_live(manager: Manager) -> None:
    ours = ServiceManager(manager.address)
    ours.alive()
    ours.status("after it")
    assert manager.heard(1) == [{"STATUS": "after it"}]
    assert ours.turn_s == float("inf")


def test_the_environment_says_all_and_is_cleared() -> None:
    environment = {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "77", "PATH": "/bin"}
    ours = ServiceManager.of(environment, pid=77)
    assert environment == {"PATH": "/bin"}
    assert (ours.watchdog_s, ours.turn_s) == (30.0, 10.0)


@pytest.mark.parametrize(
    "environment",
    [
        {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "78"},  # meant for another process
        {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "soon"},
        {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "0"},
        {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "-5"},
        {"WATCHDOG_USEC": "30000000"},  # nobody to tell
        {},
    ],
)
def test_no_watchdog(environment: dict[str, str]) -> None:
    assert ServiceManager.of(environment, pid=77).watchdog_s is None


def test_an_address_of_another_kind_is_said(caplog: pytest.LogCaptureFixture) -> None:
    ours = ServiceManager.of({"NOTIFY_SOCKET": "vsock:2:1234"})
    ours.ready("fine")
    assert "NOTIFY_SOCKET=vsock:2:1234" in caplog.text
    assert ours.counters.get("notify_failures") == 0


@pytest.mark.parametrize("address", ["/no/such/socket", "/" + "long" * 100])
def test_a_manager_that_is_gone_is_counted_and_said_once(address: str, caplog: pytest.LogCaptureFixture) -> None:
    ours = ServiceManager(address)
    ours.ready("fine")
    ours.stopping("ends")
    assert ours.counters.get("notify_failures") == 2
    assert caplog.text.count("the service manager cannot be told") == 1


def test_it_is_what_systemd_itself_says(manager: Manager) -> None:
    """The reference: systemd's own program, where it is installed."""
    try:
        subprocess.run(
            ["systemd-notify", "--ready", "--status=fine", "--no-block"],
            env=os.environ | {"NOTIFY_SOCKET": manager.address},
            check=True,
            timeout=30,
        )
    except FileNotFoundError:
        pytest.skip("no systemd-notify here")
    theirs = {key: value for message in manager.heard(1) for key, value in message.items() if key != "MAINPID"}
    ServiceManager(manager.address).ready("fine")
    [ours] = manager.heard(1)
    assert ours == theirs


def test_the_real_environment_of_a_process(manager: Manager) -> None:
    code = (
        "import os; from luytre_common.sd_notify import ServiceManager\n"
        "ServiceManager.of(os.environ).ready('child'); assert 'NOTIFY_SOCKET' not in os.environ"
    )
    subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"NOTIFY_SOCKET": manager.address}, check=True, timeout=60
    )
    assert manager.heard(1) == [{"READY": "1", "STATUS": "child"}]


def test_no_descriptor_stays_open(manager: Manager) -> None:
    ours = ServiceManager(manager.address, 1.0)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        ours.alive()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert len(manager.heard(20)) == 20


def test_a_manager_that_does_not_read_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("luytre_common.sd_notify._SEND_S", 0.01)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(tmp_path / "deaf"))
        ours = ServiceManager(str(tmp_path / "deaf"))
        for _ in range(5000):  # until the kernel's queue (net.unix.max_dgram_qlen, or the sender's buffer) is full
            ours.status("x")
            if ours.counters.get("notify_failures"):
                break
        assert ours.counters.get("notify_failures") == 1


def test_the_watchdog_is_fed_while_nothing_hangs(manager: Manager, caplog: pytest.LogCaptureFixture) -> None:
    ours = ServiceManager(manager.address, 6.0)
    hanging: list[str] = []
    asked: list[float] = []
    watchdog = Watchdog(ours, lambda limit_s: asked.append(limit_s) or hanging)  # type: ignore[func-returns-value]
    watchdog.look()
    assert manager.heard(1) == [{"WATCHDOG": "1"}]
    hanging += ["packets eth0", "uplink"]
    watchdog.look()
    watchdog.look()
    hanging.clear()
    watchdog.look()
    assert manager.heard(1) == [{"WATCHDOG": "1"}]
    assert ours.counters.get("watchdog_withheld", "uplink") == 2
    assert "packets eth0, uplink: no step for 6 s" in caplog.text
    assert asked == [6.0] * 4


def test_without_a_watchdog_nobody_is_asked() -> None:
    def asked(limit_s: float) -> list[str]:
        raise AssertionError

    Watchdog(ServiceManager(), asked).look()
