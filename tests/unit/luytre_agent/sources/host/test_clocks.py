from __future__ import annotations

from pathlib import Path

from luytre_agent.sources.host.clocks import Steps, read, synchronised


def test_the_kernel_says_whether() -> None:
    assert synchronised() in (True, False)


def test_the_zone_is_where_the_link_leads(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/localtime").symlink_to("/usr/share/zoneinfo/Asia/Ho_Chi_Minh")
    assert read(tmp_path)["system clock"]["zone"] == "Asia/Ho_Chi_Minh"
    assert read(tmp_path)["system clock"]["source"] == ""


def test_steps_count_and_drift_does_not() -> None:
    now = {"real": 1_700_000_000.0, "boot": 50.0}
    steps = Steps(lambda: now["real"], lambda: now["boot"], 1.0)
    assert steps.look() is None
    for _ in range(100):
        now["boot"] += 0.5
        now["real"] += 0.5 + 0.0005
        assert steps.look() is None
    now["real"] -= 3.0
    step = steps.look()
    assert step is not None
    assert step.after["seconds"] == "-3.000"
    assert steps.look() is None
    now["real"] = 1e30
    assert steps.look() is not None, "years that no calendar has"
