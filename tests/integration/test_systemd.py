"""The services as systemd sees them: their files, the rights they name, and their life under a real systemd."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from luytre_collector import pki

from deploy.demo.services import AGENT, Site
from tests.support import debian, packages
from tests.support.debian import Booted, Folder

SYSTEMD = Path(__file__).parents[2] / "deploy/systemd"
UNITS = sorted(SYSTEMD.glob("*.service"))
NOBODY = 65534


def analyze(*words: str | Path) -> subprocess.CompletedProcess[str]:
    if not shutil.which("systemd-analyze"):
        pytest.skip("needs systemd-analyze (package systemd)")
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_little_is_exposed(unit: Path) -> None:
    told = analyze("security", "--offline=true", "--threshold=30", unit)
    assert told.returncode == 0, told.stdout[-400:]
    found = re.search(rf"Overall exposure level for {unit.name}: ([0-9.]+)", told.stdout)
    assert found
    assert f"`{unit.name}` **{found[1]}**" in (SYSTEMD / "README.md").read_text(), found[1]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_the_unit_has_no_fault(unit: Path, tmp_path: Path) -> None:
    """With the drop-ins too; the programs are not installed here, so others stand in for them."""
    copy = tmp_path / unit.name
    copy.write_text(re.sub(r"/usr/bin/luytre-\w+", "/bin/true", unit.read_text()))
    if unit.stem == "luytre-agent":
        folder = tmp_path / f"{unit.name}.d"
        folder.mkdir()
        for drop_in in SYSTEMD.glob("*.conf"):
            shutil.copy(drop_in, folder)
    told = analyze("verify", "--man=no", copy)
    assert (told.returncode, told.stderr) == (0, "")


def rows() -> list[tuple[str, tuple[str, ...], str, str]]:
    """The table of rights in the README: source, capabilities, what is shown with them, what without one."""
    table = (SYSTEMD / "README.md").read_text().partition("| source | capabilities |")[2].partition("\n\n")[0]
    found = []
    for line in table.splitlines()[2:]:
        cells = [re.findall(r"`([^`]*)`", cell) for cell in line.strip("|").split(" | ")]
        found.append((cells[0][0], tuple(cells[1]), cells[2][0], cells[3][0]))
    return found


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """In a folder that nobody can reach and owns."""
    with tempfile.TemporaryDirectory(prefix="luytre-", ignore_cleanup_errors=True) as made:
        folder = Path(made)
        folder.chmod(0o755)
        site = Site(folder)
        site.make()
        yield site


def as_unit(capabilities: tuple[str, ...], *command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run as the unit does: nobody, with these ambient capabilities and no others, ever."""
    names = "-all" + "".join(f",+{name.removeprefix('CAP_').lower()}" for name in capabilities)
    words = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", f"--inh-caps={names}",
             f"--ambient-caps={names}", f"--bounding-set={names}", "--no-new-privs"]  # fmt: skip
    return subprocess.run([*words, *command], capture_output=True, text=True, timeout=90, check=False, cwd="/")


def checked(site: Site, capabilities: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    config = site.agent_toml("edge", '[sources.packets]\ninterfaces = ["lo"]\n', "127.0.0.1:1")
    for path in (site.folder, *site.folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    done = as_unit(capabilities, *AGENT, "check", "--config", config, "--json", "--timeout", "1")
    assert "Traceback" not in done.stderr, done.stderr
    return {one["name"]: one for one in json.loads(done.stdout)["checks"]}


@pytest.mark.root
@pytest.mark.parametrize(("source", "capabilities", "shows", "without"), rows(), ids=lambda one: str(one)[:30])
def test_each_source_works_with_exactly_these_capabilities(
    site: Site, source: str, capabilities: tuple[str, ...], shows: str, without: str
) -> None:
    found = checked(site, capabilities)[source]
    if "ebpf" in shows and "(ebpf)" not in found["detail"] and "Operation not permitted" not in found["detail"]:
        pytest.skip(f"this kernel: {found['detail']}")
    detail = found["detail"]
    assert shows in detail.partition(";")[0], detail
    assert without not in detail
    for missing in capabilities:
        less = checked(site, tuple(one for one in capabilities if one != missing))[source]
        assert without in less["detail"], f"without {missing}"
        assert shows not in less["detail"].partition(";")[0], f"without {missing}"


@pytest.mark.root
def test_executables_and_descriptors_of_others_need_ptrace() -> None:
    exe = "import os, sys; print(os.readlink(f'/proc/{sys.argv[1]}/exe'))"
    descriptors = "import os, sys; print(os.readlink(f'/proc/{sys.argv[1]}/fd/0'))"
    both = ("CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH")
    with subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL) as other:
        try:
            for code, wanted, needed in ((exe, "sleep", both[:1]), (descriptors, "/dev/null", both)):
                done = as_unit(needed, "/usr/bin/env", "python3", "-c", code, str(other.pid))
                assert (done.returncode, wanted in done.stdout) == (0, True), done.stderr
                for missing in needed:
                    less = tuple(one for one in needed if one != missing)
                    assert as_unit(less, "/usr/bin/env", "python3", "-c", code, str(other.pid)).returncode == 1
        finally:
            other.kill()


def certify(folder: Folder, name: str, role: str) -> None:
    """Give the service a certificate where its configuration looks for it, owned as its README says."""
    short = name.removeprefix("luytre-")
    with tempfile.TemporaryDirectory() as made:
        made_in = Path(made)
        pki.init_authority(made_in)
        pki.issue(made_in, "edge", role, ["localhost", "127.0.0.1"])
        for source, to in (
            ("authority.pem", "authority.pem"),
            ("edge.pem", f"{short}.pem"),
            ("edge.key", f"{short}.key"),
        ):
            shutil.copy(made_in / source, folder.at(f"/var/lib/{name}/pki/{to}"))
    folder.well("chown", "--recursive", f"{name}:{name}", f"/var/lib/{name}/pki")
    folder.well("chmod", "600", f"/var/lib/{name}/pki/{short}.key")


def drop_in(machine: Booted, unit: str, text: str) -> None:
    folder = f"/run/systemd/system/{unit}.service.d"
    machine.well("mkdir", "-p", folder)
    machine.well("sh", "-c", f"printf '%s\\n' '{text}' > {folder}/test.conf")
    machine.well("systemctl", "daemon-reload")


#: In the unit's own sandbox: what sources ask the kernel for may be asked, and what nobody needs may not.
_INSIDE = """
import ctypes, errno, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
def bpf(command, *words):
    made = (ctypes.c_uint32 * 32)(*words)
    return libc.syscall(321, command, made, ctypes.sizeof(made))
assert bpf(0, 2, 4, 4, 1) >= 0, os.strerror(ctypes.get_errno())  # BPF_MAP_CREATE: an array
socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()
socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12).close()
os.listdir("/proc/1/fd"), os.listdir("/root"), open("/etc/shadow").close()
def refused(what, *kinds):
    try:
        what()
    except OSError as error:
        assert error.errno in kinds, error
    else:
        raise SystemExit("not refused")
refused(lambda: open("/etc/luytre/new", "w"), errno.EROFS)
refused(lambda: open("/root/new", "w"), errno.EROFS, errno.EACCES)
refused(lambda: open("/proc/sys/kernel/hostname", "w"), errno.EROFS, errno.EACCES)
refused(lambda: os.setuid(0), errno.EPERM)
refused(lambda: os.chown("/var/lib/luytre-agent", 0, 0), errno.EPERM)
refused(lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM), errno.EAFNOSUPPORT)
assert libc.unshare(0x10000000) == -1 and ctypes.get_errno() == errno.EPERM  # a user namespace
assert libc.setns(os.open("/proc/self/ns/net", os.O_RDONLY), 0) == -1
open("/var/lib/luytre-agent/own", "w").close(), os.unlink("/var/lib/luytre-agent/own")
import subprocess  # as for the journal
assert subprocess.run(["journalctl", "--version"], capture_output=True, check=True).stdout
print("inside: as it should be")
"""


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_agents_life_under_systemd() -> None:
    unit = "luytre-agent"
    with debian.fresh() as folder:
        folder.well("dpkg", "-i", folder.put(packages.package("agent")))
        with debian.booted(folder) as machine:
            assert machine.shown(unit, "ConditionResult") == "no"
            assert machine.shown(unit, "Result") == "success", "no certificate is no failure"
        certify(folder, unit, "agent")
        folder.at("/root/inside.py").write_text(_INSIDE)
        with debian.booted(folder) as machine:
            machine.until(unit, "SubState", "running")
            assert machine.shown(unit, "StatusText").endswith("to collector.example:7071")
            pid = machine.shown(unit, "MainPID")
            status = machine.well("cat", f"/proc/{pid}/status")
            named = re.findall(r"^Cap(?:Prm|Amb|Bnd):\s+(\w+)$", status, re.MULTILINE)
            wanted = sum(1 << bit for bit in (2, 12, 13, 19, 38, 39))
            assert [int(one, 16) for one in named] == [wanted] * 3
            assert re.search(r"^Seccomp:\s+2$", status, re.MULTILINE)
            assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
            user = machine.well("stat", "-c", "%U", f"/proc/{pid}").strip()
            assert user == unit

            # One that hangs (here: all of it) is ended by the watchdog, says where it was, and is started again.
            drop_in(machine, unit, "[Service]\nWatchdogSec=2\nRestartSec=0")
            machine.well("systemctl", "restart", unit)
            machine.until(unit, "SubState", "running")
            pid = machine.shown(unit, "MainPID")
            machine.well("kill", "-STOP", pid)
            machine.until(unit, "NRestarts", "1")
            machine.until(unit, "SubState", "running")
            assert "Watchdog timeout" in machine.log(unit)
            assert machine.shown(unit, "MainPID") != pid

            # A mistake in the configuration stays in the log, and is not tried again and again.
            machine.well("systemctl", "stop", unit)
            assert machine.shown(unit, "Result") == "success"
            config = folder.at("/etc/luytre/agent.toml")
            good = config.read_text()
            config.write_text(good.replace("[uplink]", "[uplink]\ncolector = 1"))
            assert machine.run("systemctl", "start", unit).returncode == 1
            assert "colector" in machine.log(unit)
            time.sleep(1)
            assert machine.shown(unit, "SubState") == "failed"
            config.write_text(good)
            machine.well("systemctl", "reset-failed", unit)

            drop_in(
                machine,
                unit,
                "[Service]\nType=oneshot\nRestart=no\nExecStart=\nExecStart=/usr/bin/python3 -IS /root/inside.py",
            )
            tried = machine.run("systemctl", "start", unit)
            assert tried.returncode == 0, machine.log(unit)
            assert "inside: as it should be" in machine.log(unit)
