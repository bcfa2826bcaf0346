"""The Debian packages in a Debian: installed without a network, upgraded, downgraded, removed, purged."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from luytre_collector import pki

from tests.support import debian, packages
from tests.support.debian import Folder

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def folder() -> Iterator[Folder]:
    with debian.fresh() as made:
        yield made


def state(folder: Folder, name: str) -> str:
    return folder.run("dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Version}", name).stdout.strip()


def left_behind(folder: Folder) -> list[str]:
    """Files with our name, anywhere."""
    found = folder.run(
        "find", "/", "-xdev", "-iname", "*luytre*", "-not", "-path", "/proc/*", "-not", "-path", "/root/*"
    )
    return found.stdout.split()


def test_the_agents_life(folder: Folder) -> None:
    older = folder.put(packages.package("agent", "0.0.9-1"))
    newer = folder.put(packages.package("agent"))
    version = re.search(r"_([^_]*)_", newer)
    assert version

    installed = folder.well("dpkg", "-i", older)
    assert "not started before there is a certificate" in installed
    assert state(folder, "luytre-agent") == "ii  0.0.9-1"
    assert folder.well("luytre-agent", "--version").startswith("luytre-agent ")
    owned = ("/var/lib/luytre-agent", "/var/lib/luytre-agent/pki", "/etc/luytre/agent.toml")
    assert folder.well("stat", "-c", "%U %G %a", *owned).splitlines() == [
        "luytre-agent luytre-agent 750",
        "luytre-agent luytre-agent 700",
        "root luytre-agent 640",
    ]
    shell = folder.well("getent", "passwd", "luytre-agent").rpartition(":")[2].strip()
    assert shell in ("/usr/sbin/nologin", "/bin/false")
    assert folder.at("/etc/systemd/system/multi-user.target.wants/luytre-agent.service").is_symlink(), "enabled"

    checked = folder.run("luytre-agent", "check")
    assert checked.returncode == 1
    assert "ok    config" in checked.stdout
    assert "FAIL  certificate" in checked.stdout
    assert "Traceback" not in checked.stderr

    # Nothing of the system's Python, no variable and no folder can change what runs.
    folder.at("/usr/lib/python3/dist-packages/grpc.py").write_text("raise SystemExit('taken over')")
    folder.at("/root/google.py").write_text("raise SystemExit('taken over')")
    assert (
        folder.run("env", "PYTHONPATH=/root", "PYTHONSTARTUP=/root/google.py", "luytre-agent", "--version").returncode
        == 0
    )

    # Compiled for this Python, and complete: what was installed is what the package says.
    assert list(folder.at("/usr/lib/luytre-agent/site/luytre_agent").rglob("*.cpython-311.pyc"))
    assert folder.well("dpkg", "--verify", "luytre-agent") == ""

    words = "COMP_WORDS=(luytre-agent che); COMP_CWORD=1; . /usr/share/bash-completion/completions/luytre-agent; "
    words += "$(complete -p luytre-agent | sed 's/.*-F \\([^ ]*\\).*/\\1/'); echo ${COMPREPLY[@]}"
    assert folder.well("bash", "-c", words).strip() == "check"

    config = folder.at("/etc/luytre/agent.toml")
    config.write_text(config.read_text().replace("collector.example", "collector.hue.example"))
    spooled = folder.at("/var/lib/luytre-agent/spool/0.seg")
    spooled.parent.mkdir()
    spooled.write_bytes(b"rows")

    folder.well("dpkg", "-i", newer)
    assert state(folder, "luytre-agent") == f"ii  {version[1]}"
    assert "collector.hue.example" in config.read_text()
    folder.well("dpkg", "-i", older)
    assert state(folder, "luytre-agent") == "ii  0.0.9-1", "a downgrade"
    assert "collector.hue.example" in config.read_text()
    assert folder.well("luytre-agent", "--version")

    folder.well("dpkg", "-r", "luytre-agent")
    assert state(folder, "luytre-agent").startswith("rc")
    assert not folder.at("/usr/lib/luytre-agent").exists(), "what was compiled is gone too"
    assert config.exists()
    assert spooled.exists()

    folder.well("dpkg", "-i", newer)
    assert spooled.read_bytes() == b"rows", "back, with what waited"
    folder.well("dpkg", "--purge", "luytre-agent")
    assert folder.run("getent", "passwd", "luytre-agent").returncode == 2
    assert folder.run("getent", "group", "luytre-agent").returncode == 2
    assert left_behind(folder) == []


def test_a_purge_of_one_leaves_the_others_certificates(folder: Folder) -> None:
    folder.well("dpkg", "-i", folder.put(packages.package("agent")))
    for name in ("authority.pem", "agent.pem", "agent.key", "collector.key"):
        folder.at(f"/etc/luytre/pki/{name}").write_text("secret")
    folder.well("dpkg", "--purge", "luytre-agent")
    assert sorted(path.name for path in folder.at("/etc/luytre/pki").iterdir()) == ["authority.pem", "collector.key"]


def test_the_manual_page_has_every_command() -> None:
    tree = packages.package("agent").parent / "page"
    shutil.rmtree(tree, ignore_errors=True)
    subprocess.run(["dpkg-deb", "-x", packages.package("agent"), tree], check=True, timeout=120)
    page = tree / "usr/share/man/man1/luytre-agent.1.gz"
    if not shutil.which("man"):
        pytest.skip("no man here")
    said = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", page], capture_output=True, text=True, timeout=60, check=True,
        env={"MANWIDTH": "100", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert said.stderr == ""
    for words in (
        "luytre-agent run",
        "luytre-agent replay",
        "--deliver",
        "exit codes".upper(),
        "/etc/luytre/agent.toml",
    ):
        assert words in said.stdout


def asked_for() -> None:
    """What takes minutes, or needs what `make deb` has made."""
    if not os.environ.get("LUYTRE_TEST_PACKAGES"):
        pytest.skip("takes minutes; LUYTRE_TEST_PACKAGES=1 runs it")


def test_the_collectors_life_under_systemd(folder: Folder) -> None:
    asked_for()
    folder.well("dpkg", "-i", folder.put(packages.package("collector")))
    assert "linux" in folder.well("ls", "/usr/share/luytre/rules/").split()
    with tempfile.TemporaryDirectory() as made:
        pki.init_authority(Path(made))
        pki.issue(Path(made), "collector", "collector", ["localhost", "127.0.0.1"])
        for name in ("authority.pem", "collector.pem", "collector.key"):
            shutil.copy(Path(made) / name, folder.at(f"/etc/luytre/pki/{name}"))
    folder.well("chown", "luytre-collector", "/etc/luytre/pki/collector.key")
    folder.well("chmod", "600", "/etc/luytre/pki/collector.key")
    unit = "luytre-collector"
    with debian.booted(folder) as machine:
        machine.until(unit, "SubState", "running", 120)
        assert "listens on 0.0.0.0:7071" in machine.shown(unit, "StatusText")
        pid = machine.shown(unit, "MainPID")
        status = machine.well("cat", f"/proc/{pid}/status")
        assert re.findall(r"^Cap(?:Prm|Bnd|Amb):\s+(\w+)$", status, re.MULTILINE) == ["0" * 16] * 3
        sql = "SELECT count() AS rows FROM collector_health"
        asked = f"cd / && runuser -u {unit} -- luytre-collector query --json '{sql}'"
        assert '"rows"' in machine.well("sh", "-c", asked)
        machine.well("systemctl", "reload", unit)
        machine.until(unit, "ActiveState", "active")
        assert machine.shown(unit, "MainPID") == pid
        assert "reload: " in machine.log(unit)
        config = folder.at("/etc/luytre/collector.toml")
        good = config.read_text()
        config.write_text(good + "\n[nonsense]\n")
        assert machine.run("systemctl", "reload", unit).returncode == 1
        config.write_text(good)
        machine.well("systemctl", "stop", unit)
        assert machine.shown(unit, "Result") == "success"
        assert "stopped" in machine.log(unit)
    folder.well("dpkg", "--purge", unit)
    assert left_behind(folder) == []


def test_the_agent_with_its_own_python_in_an_older_debian() -> None:
    asked_for()
    package = packages.package("agent", target="older")
    with debian.fresh(11) as older:
        assert older.run("python3", "--version").stdout.startswith("Python 3.9")
        older.well("dpkg", "-i", older.put(package))
        assert older.well("luytre-agent", "--version").startswith("luytre-agent ")
        checked = older.run("luytre-agent", "check")
        assert "ok    config" in checked.stdout, checked.stderr
        assert "Traceback" not in checked.stderr
        older.well("luytre-agent", "completion", "bash")
        bill = older.at("/usr/share/doc/luytre-agent/sbom.cdx.json").read_text()
        assert "pkg:generic/cpython@3.13" in bill
        assert "pkg:generic/openssl@3." in bill
        older.well("dpkg", "--purge", "luytre-agent")
        assert left_behind(older) == []


@pytest.mark.parametrize("name", ["agent", "collector"])
def test_lintian_has_nothing_to_say(name: str) -> None:
    if not shutil.which("lintian"):
        pytest.skip("needs lintian; deploy/setup.sh --packages installs it")
    if name == "collector":
        asked_for()
    said = subprocess.run(
        ["lintian", "--fail-on", "error,warning", "--allow-root", packages.package(name)],
        capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert (said.returncode, said.stdout) == (0, ""), said.stdout + said.stderr
