"""A small Debian in a folder: for packages as they are installed, and with systemd as its first process.

The folder is made by debootstrap once and kept in build/; every use has a layer of its own above it. There is no
network inside but loopback.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODENAMES = {11: "bullseye", 12: "bookworm", 13: "trixie"}
#: Empty: the one that debootstrap takes by itself.
MIRROR = os.environ.get("LUYTRE_DEBIAN_MIRROR", "")
#: What a server has that the packages stand on, and systemd to run them.
INCLUDED = "adduser,bash-completion,dbus,iproute2,procps,python3,python3-venv,systemd,systemd-sysv"
CGROUPS = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))


def base(release: int = 12) -> Path:
    """The folder of a release; made if it is not there. Skips where that cannot be."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if not shutil.which("debootstrap"):
        pytest.skip("needs debootstrap; deploy/setup.sh --packages installs it")
    made = ROOT / f"build/debian-{release}"
    done_with = made / ".made-with"
    if not done_with.exists() or done_with.read_text() != INCLUDED:
        shutil.rmtree(made, ignore_errors=True)
        made.parent.mkdir(exist_ok=True)
        options = ["--variant=minbase", f"--include={INCLUDED}"]
        done = subprocess.run(
            ["debootstrap", *options, CODENAMES[release], str(made), *([MIRROR] if MIRROR else [])],
            capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        for archive in (made / "var/cache/apt/archives").glob("*.deb"):
            archive.unlink()
        done_with.write_text(INCLUDED)
    return made


class Folder:
    """One Debian to do with as one likes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, *command: str, network: bool = False, timeout: float = 170) -> subprocess.CompletedProcess[str]:
        """Run in it, as root, without a network; whatever the exit code."""
        apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child", *(() if network else ("--net",))]
        inside = 'mount -t proc proc "$0/proc" && exec chroot "$0" env -i LC_ALL=C.UTF-8 HOME=/root TERM=dumb \
          DEBIAN_FRONTEND=noninteractive PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"'
        return subprocess.run(
            [*apart, "sh", "-c", inside, str(self.path), *command],
            capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip

    def well(self, *command: str) -> str:
        """Run in it; the output, if that went well."""
        done = self.run(*command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def put(self, source: Path, at: str = "/root") -> str:
        """Copy a file into it; where it is inside."""
        shutil.copy(source, self.path / at.lstrip("/"))
        return f"{at}/{source.name}"

    def at(self, path: str) -> Path:
        """A path inside, from outside."""
        return self.path / path.lstrip("/")


@contextmanager
def fresh(release: int = 12) -> Iterator[Folder]:
    """A new layer above the base; gone afterwards."""
    lower = base(release)
    with tempfile.TemporaryDirectory(prefix="luytre-debian-", dir=ROOT / "build") as made:
        top = Path(made)
        for name in ("upper", "work", "root"):
            (top / name).mkdir()
        options = f"lowerdir={lower},upperdir={top / 'upper'},workdir={top / 'work'}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, top / "root"], check=True, timeout=30)
        try:
            yield Folder(top / "root")
        finally:
            subprocess.run(["umount", "--lazy", top / "root"], check=True, timeout=30)


_FIRST = """
set -e
cd "$0"
mount --bind "$0" "$0"; cd "$0"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs tmpfs sys/fs/cgroup
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for one in null zero full random urandom tty; do : > dev/$one; mount --bind /dev/$one dev/$one; done
mkdir dev/pts dev/shm run/systemd
mount -t devpts devpts dev/pts -o newinstance,ptmxmode=0666
ln -s pts/ptmx dev/ptmx
mount -t tmpfs tmpfs dev/shm
pivot_root . mnt
umount -l /mnt
ip link set lo up
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=luytre /sbin/init --show-status=0
"""


class Booted:
    """A Debian whose first process is systemd."""

    def __init__(self, folder: Folder, first: int) -> None:
        self.folder = folder
        self.first = first

    def run(self, *command: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run in it, as root; whatever the exit code."""
        enter = ["nsenter", "--target", str(self.first), "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup",
                 "--root"]  # fmt: skip
        clean = ["env", "-i", "LC_ALL=C.UTF-8", "HOME=/root", "TERM=dumb", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
        return subprocess.run([*enter, *clean, *command], capture_output=True, text=True, timeout=timeout, check=False)

    def well(self, *command: str) -> str:
        """Run in it; the output, if that went well."""
        done = self.run(*command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def shown(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.well("systemctl", "show", "--value", "-p", name, unit).strip()

    def until(self, unit: str, name: str, wanted: str, timeout_s: float = 60) -> None:
        """Wait until a unit's property has that value."""
        deadline = time.monotonic() + timeout_s
        while (found := self.shown(unit, name)) != wanted:
            assert time.monotonic() < deadline, f"{unit} {name} is {found}, not {wanted}:\n{self.log(unit)}"
            time.sleep(0.1)

    def log(self, unit: str) -> str:
        """What the unit has written."""
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit).stdout


@contextmanager
def booted(folder: Folder) -> Iterator[Booted]:
    """Start systemd as the first process in `folder`. Skips where cgroup v2 cannot be had."""
    home = next(
        (path for path in CGROUPS if (path / "cgroup.procs").exists() and (path / "cgroup.controllers").exists()), None
    )
    if home is None:
        pytest.skip("needs cgroup v2")
    group = home / f"luytre-test-{os.getpid()}"
    group.mkdir()
    apart = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--uts", "--ipc", "--net", "--cgroup"]
    enter = f'echo $$ > {group}/cgroup.procs && exec "$@"'
    command = ["sh", "-c", enter, "sh", *apart, "--propagation", "private", "bash", "-c", _FIRST, str(folder.path)]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        yield _wait_for_it(folder, process)
    finally:
        process.kill()  # and with it, by --kill-child, everything in there
        process.communicate(timeout=30)
        _empty(group)


def _wait_for_it(folder: Folder, process: subprocess.Popen[bytes]) -> Booted:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < deadline, "systemd did not start"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        if children:
            one = Booted(folder, int(children[0]))
            if one.run("systemctl", "is-system-running").stdout.strip() in ("running", "degraded"):
                return one
        time.sleep(0.2)


def _empty(group: Path) -> None:
    """Remove the group and those below; its processes have been ended."""
    deadline = time.monotonic() + 30
    while group.exists():
        for path in sorted(group.rglob("*"), reverse=True):
            if path.is_dir():
                try:
                    path.rmdir()
                except OSError:
                    continue
        try:
            group.rmdir()
        except OSError:
            assert time.monotonic() < deadline, f"{group} is not empty"
            time.sleep(0.1)
