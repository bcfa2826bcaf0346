"""The programs as services: what the service manager hears."""

from __future__ import annotations

from pathlib import Path

from tests.support.collector import CollectorProcess
from tests.support.manager import Manager


def test_the_collector_is_ready_when_agents_can_come_alive_meanwhile_and_stopping_at_the_end(tmp_path: Path) -> None:
    collector = CollectorProcess(tmp_path)
    with Manager(str(tmp_path / "notify")) as manager:
        collector.start(NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="900000")
        try:
            heard = manager.wait(lambda all_: all_.count({"WATCHDOG": "1"}) >= 3)
            assert heard[0]["READY"] == "1"
            assert f"listens on {collector.address}" in heard[0]["STATUS"]
            assert collector.stop() == 0, collector.log()
        finally:
            collector.close()
        assert sum("STOPPING" in one for one in manager.wait(lambda all_: "STOPPING" in all_[-1])) == 1
