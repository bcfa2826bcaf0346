"""Alerts about certificates: once a day, in two languages, and not lost while the store is away."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from luytre_collector import pki
from luytre_collector.detect.alert import Alert
from luytre_collector.identity_alerts import IdentityAlerts
from luytre_collector.ingest.clones import Clone
from luytre_collector.ingest.control import Peer
from luytre_collector.store.base import StoreUnavailableError
from luytre_common.telemetry import Counters
from luytre_common.wire.v1 import ingest_pb2 as pb

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


class Scene:
    def __init__(self, folder: Path, failures: int = 0, error: Exception | None = None) -> None:
        self.error = error or StoreUnavailableError("gone")
        pki.init_authority(folder, clock=lambda: NOW)
        self.issued = pki.issue(folder, "soc", "collector", days=30, clock=lambda: NOW)
        self.time = NOW.timestamp()
        self.failures = failures
        self.alerts: list[Alert] = []
        self.counters = Counters("identity")
        pem = self.issued.certificate.read_bytes()
        self.made = IdentityAlerts("c1", pem, self.take, lambda: self.time, self.counters, wait_s=0.0)

    def take(self, alerts: Sequence[Alert]) -> None:
        if self.failures:
            self.failures -= 1
            raise self.error
        self.alerts.extend(alerts)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def clone(address: str = "ipv4:198.51.100.9:5", boot: str = "2") -> Clone:
    inside = Peer("web-01", 1, "aa", 0, "ipv4:192.0.2.7:1")
    refused = Peer("web-01", 1, "aa", 0, address)
    return Clone("web-01", inside, pb.Hello(kernel_boot_id="1"), refused, pb.Hello(kernel_boot_id=boot, host_name="b"))


async def test_a_clone_is_told_of_once_a_day(scene: Scene) -> None:
    for _ in range(3):
        scene.made.cloned(clone())
    await scene.made.settled()
    (alert,) = scene.alerts
    assert (alert.rule_level, alert.agent_id, alert.host_name) == ("high", "web-01", "b")
    assert alert.rule_name == "Agent Certificate Used From Two Hosts"
    assert alert.rule_name_vi.startswith("Chứng thư")
    assert alert.source_ip == bytes(10) + b"\xff\xff" + bytes([198, 51, 100, 9])
    assert alert.evidence["inside_kernel_boot_id"] == "1"
    assert alert.evidence["refused_kernel_boot_id"] == "2"
    scene.made.cloned(clone(boot="3"))
    scene.time += 86_400
    scene.made.cloned(clone("ipv6:%5B2001:db8::1%5D:5"))
    await scene.made.settled()
    assert len({one.alert_id for one in scene.alerts}) == 3
    assert scene.alerts[-1].source_ip.hex() == "20010db8" + "0" * 23 + "1"
    assert scene.counters.get("clones") == 5


async def test_it_waits_for_the_store(tmp_path: Path) -> None:
    scene = Scene(tmp_path, failures=5)
    scene.made.cloned(clone("unix:"))
    await scene.made.settled()
    assert len(scene.alerts) == 1


@pytest.mark.parametrize("error", [StoreUnavailableError("gone"), MemoryError(), RuntimeError("a fault")])
async def test_and_is_given_up_in_the_end(tmp_path: Path, error: Exception) -> None:
    scene = Scene(tmp_path, 1000, error)
    scene.made.cloned(clone())
    await scene.made.settled()
    assert scene.alerts == []
    assert scene.counters.get("alerts_lost") == 1


async def test_the_collectors_own_certificate(scene: Scene) -> None:
    scene.made.look()
    assert scene.counters.get("certificate_expires_in_seconds") == 30 * 86_400
    await scene.made.settled()
    assert scene.alerts == []
    scene.time += 17 * 86_400
    scene.made.look()
    scene.made.look()
    await scene.made.settled()
    (alert,) = scene.alerts
    assert alert.rule_name.startswith("Certificate of the Collector Ends Soon")
    assert alert.evidence["left_hours"] == 13 * 24
    scene.time += 100 * 86_400
    scene.made.look()
    assert scene.counters.get("certificate_expires_in_seconds") == 0
    await scene.made.close()


async def test_who_says_something_else_each_time_makes_so_many_alerts_a_day(scene: Scene) -> None:
    for number in range(100):
        scene.made.cloned(clone(boot=str(number)))
    await scene.made.settled()
    assert len(scene.alerts) == 20
    assert scene.counters.get("alerts_left_out") == 80
    assert scene.counters.get("clones") == 100
    scene.time += 86_400
    scene.made.cloned(clone())
    await scene.made.settled()
    assert len(scene.alerts) == 21
