"""Groups as kernel trees of files, and those of this very process."""

from __future__ import annotations

from pathlib import Path

from luytre_agent.limits.cgroup import Allowance, Cgroup


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_version_two_takes_the_least_of_all_groups_above(tmp_path: Path) -> None:
    root = tmp_path / "cg"
    write(root)
    write(root / "system.slice", cpu__max="50000 100000\n", memory__max="268435456\n")
    write(
        root / "system.slice/luytre-agent.service",
        cpu__max="max 100000\n",
        memory__max="536870912\n",
        memory__high="201326592\n",
        memory__events="low 9\nhigh 1\nmax 2\noom 3\noom_kill 3\n",
        cpu__stat="usage_usec 5\nnr_throttled 4\nthrottled_usec 1234\n",
    )
    write(tmp_path / "proc", cgroup="0::/system.slice/luytre-agent.service\n")
    found = Cgroup(tmp_path / "proc", root).read()
    assert found == Allowance(cores=0.5, memory_bytes=201326592, throttled_us=1234, ooms=3)


def test_version_one_has_a_tree_for_each_controller(tmp_path: Path) -> None:
    root = tmp_path / "cg"
    write(
        root / "cpu,cpuacct/agent",
        cpu__cfs_quota_us="25000\n",
        cpu__cfs_period_us="100000\n",
        cpu__stat="nr_periods 1\nthrottled_time 5000000\n",
    )
    write(root / "cpu,cpuacct", cpu__cfs_quota_us="-1\n", cpu__cfs_period_us="100000\n")
    write(root / "memory/agent", memory__limit_in_bytes="104857600\n", memory__failcnt="7\n")
    write(root / "memory", memory__limit_in_bytes="9223372036854771712\n")
    write(tmp_path / "proc", cgroup="4:memory:/agent\n3:cpu,cpuacct:/agent\n1:name=systemd:/agent\n")
    found = Cgroup(tmp_path / "proc", root).read()
    assert found == Allowance(cores=0.25, memory_bytes=104857600, throttled_us=5000)


def test_no_groups_no_limits(tmp_path: Path) -> None:
    assert Cgroup(tmp_path, tmp_path).read() == Allowance()
    write(tmp_path / "proc", cgroup="0::/../../elsewhere\n")
    write(tmp_path / "cg", cpu__max="max 100000\n")
    assert Cgroup(tmp_path / "proc", tmp_path / "cg").read() == Allowance()


def test_garbage_does_not_limit(tmp_path: Path) -> None:
    write(tmp_path / "proc", cgroup="0::/a\n")
    write(tmp_path / "cg/a", cpu__max="0x5 \n", memory__max="-3\n", memory__events="a b c\nhigh x\n", cpu__stat="\0\n")
    assert Cgroup(tmp_path / "proc", tmp_path / "cg").read() == Allowance()


def test_of_this_process() -> None:
    found = Cgroup().read()
    assert found.cores is None or found.cores > 0
    assert found.memory_bytes is None or found.memory_bytes > 1 << 20
