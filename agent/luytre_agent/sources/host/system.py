"""Operating system, kernel and its settings, modules, mounts: small files of /etc and /proc."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from luytre_agent.sources.host.files import content
from luytre_agent.sources.host.things import Facts, text

_SMALL = 1 << 20
_OS_KEYS = {"NAME": "name", "VERSION_ID": "version", "VERSION": "release", "ID": "id", "BUILD_ID": "build"}


def os_release(data: bytes) -> dict[str, Facts]:
    """os-release(5): one thing."""
    facts: dict[str, str] = {}
    for line in text(data).split("\n"):
        key, _, value = line.partition("=")
        if key in _OS_KEYS:
            try:
                facts[_OS_KEYS[key]] = " ".join(shlex.split(value))
            except ValueError:  # a quote without its end
                facts[_OS_KEYS[key]] = value.strip()
    return {"operating system": facts}


def modules(data: bytes) -> dict[str, Facts]:
    """proc_modules(5): name, size, uses, users, state, address, taints. Uses come and go; what stays is kept."""
    found: dict[str, Facts] = {}
    for line in text(data).splitlines():
        parts = line.split()
        if len(parts) >= 3 and parts[1].isdigit():
            found[parts[0]] = {"size": parts[1], "taints": parts[-1].strip("()") if parts[-1].startswith("(") else ""}
    return found


def mounts(data: bytes) -> dict[str, Facts]:
    """proc_pid_mountinfo(5), by mount point; the last one mounted there counts. Namespaces (nsfs) are no files."""
    found: dict[str, Facts] = {}
    for line in text(data).split("\n"):
        before, separator, after = line.partition(" - ")
        left, right = before.split(" "), after.split(" ")
        if not separator or len(left) < 6 or len(right) < 2 or right[0] == "nsfs":
            continue
        found[_unescaped(left[4])] = {
            "type": right[0],
            "source": _unescaped(right[1]),
            "inside": "" if left[3] == "/" else _unescaped(left[3]),
            "options": left[5],
        }
    return found


def _unescaped(word: str) -> str:
    for code, letter in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        word = word.replace(code, letter)
    return word


def read_os(root: Path) -> dict[str, Facts]:
    """The operating system now."""
    try:
        data = content(root / "etc/os-release", _SMALL)
    except FileNotFoundError:
        data = content(root / "usr/lib/os-release", _SMALL)
    return os_release(data)


def read_kernel(root: Path) -> dict[str, Facts]:
    """The kernel that runs, and how it was started."""
    facts = {
        key: _line(root / "proc/sys/kernel" / name) for key, name in (("release", "osrelease"), ("build", "version"))
    }
    return {"linux": {**facts, "command_line": _line(root / "proc/cmdline")}}


def read_modules(root: Path) -> dict[str, Facts]:
    """The modules now. FileNotFoundError if the kernel has none."""
    return dict(modules(content(root / "proc/modules")))


def read_mounts(root: Path) -> dict[str, Facts]:
    """The mounts of the host's first process; ours if we may not see those."""
    try:
        return mounts(content(root / "proc/1/mountinfo"))
    except OSError:
        return mounts(content(root / "proc/self/mountinfo"))


def read_sysctls(root: Path, names: Sequence[str]) -> dict[str, Facts]:
    """The settings of these names (`net.ipv4.ip_forward`); those that this kernel has not are left out."""
    found: dict[str, Facts] = {}
    for name in names:
        parts = name.split(".")
        if not all(parts) or "/" in name:
            continue
        try:
            found[name] = {"value": _line(root.joinpath("proc", "sys", *parts))}
        except OSError:
            continue
    return found


def _line(path: Path) -> str:
    return " ".join(text(content(path, _SMALL)).replace("\0", " ").split())
