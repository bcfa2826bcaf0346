"""Other programs that watch a host, as Debian packs them: fetched, unpacked into a folder and run from there, so that
nothing is installed. Each is set up as people do who want to know as much as that program can tell."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.bench.footprint import kernel_threads

#: What file integrity rules of common guides watch (auditctl(8), -w).
_WATCHED = ("/etc/passwd", "/etc/shadow", "/etc/group", "/etc/sudoers", "/etc/ssh", "/etc/cron.d", "/etc/systemd")


class PeerError(RuntimeError):
    """The peer cannot be had or does not run here; the message says why."""


@dataclass(frozen=True)
class Running:
    """A peer that runs: its processes, and the kernel threads that do nothing but work for it."""

    pids: list[int]
    kernel_pids: list[int]


def fetch(package: str, cache: Path) -> Path:
    """The unpacked package with the libraries that this host lacks. PeerError if there is no such package."""
    root = cache / package
    if root.exists():
        return root
    archives = cache / f"{package}.debs"
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    command = ["apt-get", "-qq", "-o", f"Dir::Cache::archives={archives}", "--no-install-recommends"]
    _run([*command, "--download-only", "--reinstall", "-y", "install", package], "apt-get update, or go without it")
    packages = list(archives.glob("*.deb"))
    if not packages:
        raise PeerError(f"{package}: apt-get fetched nothing")
    for one in packages:
        _run(["dpkg-deb", "-x", str(one), str(root)], "free some space")
    return root


@contextmanager
def auditd(root: Path, work: Path) -> Iterator[Running]:
    """Every execve and changes of the watched files, to a log file; at the end, audit is as it was."""
    control = [str(root / "sbin/auditctl")]
    before = _status(root, control)
    if before.get("pid", "0") != "0" or "No rules" not in _call(root, [*control, "-l"]):
        raise PeerError("auditd: somebody uses audit on this host already")
    work.mkdir()
    (work / "auditd.conf").write_text(
        f"log_file = {work}/audit.log\nlog_format = ENRICHED\nflush = INCREMENTAL_ASYNC\nfreq = 50\n"
        "max_log_file = 8\nnum_logs = 2\nmax_log_file_action = ROTATE\nlocal_events = yes\n"
        "space_left = 75\nspace_left_action = IGNORE\nadmin_space_left = 50\nadmin_space_left_action = IGNORE\n"
        "disk_full_action = IGNORE\ndisk_error_action = IGNORE\n"
    )
    (work / "auditd.conf").chmod(0o640)
    process = subprocess.Popen(
        [root / "sbin/auditd", "-n", "-c", work, "-s", "enable"],
        env=_environment(root), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _until(lambda: _status(root, control).get("pid") == str(process.pid), "auditd")
        for bits in ("b64", "b32"):
            _call(root, [*control, "-a", "always,exit", "-F", f"arch={bits}", "-S", "execve", "-k", "exec"])
        for path in _WATCHED:
            if Path(path).exists():
                _call(root, [*control, "-w", path, "-p", "wa", "-k", "files"])
        yield Running([process.pid], kernel_threads("kauditd"))
    finally:
        for arguments in (["-D"], ["-e", before.get("enabled", "0")]):
            with suppress(PeerError):
                _call(root, [*control, *arguments])
        _end(process)


@contextmanager
def softflowd(root: Path, work: Path) -> Iterator[Running]:
    """NetFlow of all interfaces to nobody: flows as the agent has them, but for names, processes and protocols."""
    work.mkdir()
    process = subprocess.Popen(
        [root / "usr/sbin/softflowd", "-d", "-i", "any", "-n", "127.0.0.1:9", "-p", work / "pid", "-c", work / "ctl"],
        env=_environment(root), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _until(lambda: process.poll() is not None or (work / "ctl").exists(), "softflowd")
        if process.poll() is not None:
            raise PeerError(f"softflowd ended with {process.returncode}")
        yield Running([process.pid], [])
    finally:
        _end(process)


#: The peers by the name of their package.
PEERS = {"auditd": auditd, "softflowd": softflowd}


def _status(root: Path, control: list[str]) -> dict[str, str]:
    lines = [line.split() for line in _call(root, [*control, "-s"]).splitlines()]
    return {line[0]: line[1] for line in lines if len(line) == 2}


def _call(root: Path, command: list[str]) -> str:
    return _run(command, "", _environment(root))


def _environment(root: Path) -> dict[str, str]:
    libraries = {str(path.parent) for path in root.rglob("*.so.*")}
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(sorted(libraries))}


def _run(command: list[str], remedy: str, environment: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerError(f"{command[0]}: {error}; {remedy}") from None
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split())
        raise PeerError(f"{' '.join(command[-2:])}: {said[:300] or done.returncode}; {remedy}")
    return done.stdout


def _until(ready: Callable[[], bool], name: str) -> None:
    deadline = time.monotonic() + 10
    while not ready():
        if time.monotonic() > deadline:
            raise PeerError(f"{name} did not begin within 10 s")
        time.sleep(0.1)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)
