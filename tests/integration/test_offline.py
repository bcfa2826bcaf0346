"""The folder for hosts without a network: carried into a Debian that has none, verified, installed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.package import bundle
from deploy.package.program import AGENT, BUILD
from tests.support import debian, packages
from tests.support.debian import Folder

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def made() -> Path:
    packages.package("agent")
    return bundle.make([AGENT], packages.own_wheels(), packages.OUT, BUILD / "test-bundle")


@pytest.fixture
def folder(made: Path) -> Iterator[Folder]:
    with debian.fresh() as one:
        shutil.copytree(made, one.at("/media/luytre"))
        yield one


def test_the_package_is_installed_where_there_is_dpkg(folder: Folder) -> None:
    said = folder.well("/media/luytre/install.sh", "agent")
    assert "luytre-agent 0" in said
    assert "next: luytre-agent enrol" in said
    assert folder.well("dpkg-query", "-W", "-f", "${db:Status-Abbrev}", "luytre-agent").strip() == "ii"
    folder.well("/media/luytre/install.sh", "agent")  # once more: an upgrade to the same


def test_wheels_are_installed_elsewhere(folder: Folder) -> None:
    said = folder.well("/media/luytre/install.sh", "agent", "--wheels")
    assert "wheels for Python 3.11" in said
    assert folder.well("luytre-agent", "--version").startswith("luytre-agent ")
    checked = folder.run("luytre-agent", "check")
    assert "ok    config" in checked.stdout, checked.stderr
    assert "FAIL  certificate" in checked.stdout
    assert folder.well("stat", "-c", "%U %a", "/var/lib/luytre-agent/pki").strip() == "luytre-agent 700"
    unit = folder.at("/etc/systemd/system/luytre-agent.service").read_text()
    assert "ExecStart=/usr/local/bin/luytre-agent run" in unit
    config = folder.at("/etc/luytre/agent.toml")
    config.write_text(config.read_text() + "# ours\n")
    again = folder.well("/media/luytre/install.sh", "agent", "--wheels")
    assert "stays as it is" in again
    assert config.read_text().endswith("# ours\n")
    folder.well("luytre-agent", "--version")
    with debian.booted(folder) as machine:
        assert machine.shown("luytre-agent", "LoadState") == "loaded"
        assert machine.shown("luytre-agent", "UnitFileState") == "enabled"


def test_a_folder_that_was_changed_installs_nothing(folder: Folder) -> None:
    package = next(folder.at("/media/luytre/packages").glob("*.deb"))
    with package.open("r+b") as file:
        file.seek(1000)
        file.write(b"changed")
    done = folder.run("/media/luytre/install.sh", "agent")
    assert done.returncode == 1
    assert "the folder is damaged or was changed; copy it again, nothing was installed" in done.stderr
    assert not folder.at("/usr/bin/luytre-agent").exists()


def test_what_is_asked_in_vain_is_said(folder: Folder) -> None:
    for words, said in (
        ((), "give what to install"),
        (("server",), "server: not known"),
        (("agent", "--network"), "--network: not known"),
    ):
        done = folder.run("/media/luytre/install.sh", *words)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert folder.well("/media/luytre/install.sh", "--help").startswith("Installs Luy Tre from this folder")
    folder.at("/media/luytre/SHA256SUMS").unlink()
    assert folder.run("/media/luytre/install.sh", "agent").returncode == 2
