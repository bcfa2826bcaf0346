from __future__ import annotations

from pathlib import Path

from luytre_agent.sources.watch.places import DEFAULT, Plan, entries, resolve


def test_what_is_wanted() -> None:
    plan = Plan(["/etc/passwd", "/etc/cron.d"], ["/etc/cron.d/noise/"])
    wanted = ["/etc/passwd", "/etc/cron.d", "/etc/cron.d/x", "/etc/cron.d/a/b"]
    others = ["/etc", "/", "/etc/passwd-", "/etc/cron.daily/x", "/etc/cron.d/noise", "/etc/cron.d/noise/x"]
    assert all(map(plan.wanted, wanted))
    assert not any(map(plan.wanted, others))
    assert plan.leads("/etc")
    assert not plan.leads("/var")


def test_folders_above_and_in_a_place(tmp_path: Path) -> None:
    (tmp_path / "a/b/c").mkdir(parents=True)
    (tmp_path / "a/file").touch()
    (tmp_path / "a/link").symlink_to(tmp_path)
    plan = Plan([f"{tmp_path}/a", f"{tmp_path}/not/there"], [f"{tmp_path}/a/b/c"])
    folders = list(plan.folders("/"))
    assert folders == [*map(str, reversed(tmp_path.parents)), str(tmp_path), f"{tmp_path}/a", f"{tmp_path}/a/b"]
    assert list(plan.folders(f"{tmp_path}/a/b")) == [f"{tmp_path}/a/b"]
    assert list(plan.folders("/var/none")) == []


def test_links_of_the_system_are_resolved_and_those_of_users_are_not(tmp_path: Path) -> None:
    real, home = tmp_path / "real", tmp_path / "home"
    real.mkdir()
    home.mkdir()
    (tmp_path / "link").symlink_to(real)
    (home / ".ssh").symlink_to(real)
    places = resolve([f"{tmp_path}/link", f"{tmp_path}/link/file"], [str(home), "/nonexistent"])
    assert {f"{tmp_path}/link", str(real), f"{real}/file", f"{home}/.ssh", f"{home}/.bashrc"} <= places
    assert not any(place.startswith("/nonexistent") for place in places)
    assert f"{home}/.ssh" not in list(Plan(places).folders("/")), "a link is watched, not followed"


def test_entries(tmp_path: Path) -> None:
    (tmp_path / "b").touch()
    (tmp_path / "a").mkdir()
    (tmp_path / "c").symlink_to(tmp_path)
    assert entries(str(tmp_path)) == [("a", True), ("b", False), ("c", False)]
    assert entries(str(tmp_path / "b")) == entries(str(tmp_path / "c")) == entries("/none") == []


def test_the_defaults_are_whole_paths() -> None:
    assert len(DEFAULT) == len(set(DEFAULT))
    assert all(path.startswith("/") and not path.endswith("/") for path in DEFAULT)
    assert {"/etc/passwd", "/etc/sudoers.d", "/etc/ld.so.preload", "/etc/pam.d"} <= set(DEFAULT)
