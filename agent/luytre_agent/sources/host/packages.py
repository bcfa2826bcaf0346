"""Installed packages: dpkg's status file (deb-control(5) paragraphs), or what rpm(8) lists."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from luytre_agent.sources.host.files import content, mark
from luytre_agent.sources.host.things import Facts, text

_STATUS = "var/lib/dpkg/status"
_RPM_FOLDERS = ("var/lib/rpm", "usr/lib/sysimage/rpm")
_RPM_FORMAT = "%{NAME}\t%{EPOCH}\t%{VERSION}-%{RELEASE}\t%{ARCH}\n"
_RPM_SECONDS = 60.0
_WANTED = (b"Package:", b"Version:", b"Architecture:", b"Status:")


def dpkg(data: bytes) -> dict[str, Facts]:
    """By name; a second architecture of the same name is `NAME:ARCHITECTURE`. What is not installed is left out."""
    found: dict[str, Facts] = {}
    for paragraph in data.split(b"\n\n"):
        fields = {}
        for line in paragraph.split(b"\n"):
            if line.startswith(_WANTED):
                key, _, value = line.partition(b":")
                fields[key] = text(value.strip())
        name, status = fields.get(b"Package"), fields.get(b"Status", "")
        if not name or status.endswith(("not-installed", "config-files")):
            continue
        architecture = fields.get(b"Architecture", "")
        facts = {
            "version": fields.get(b"Version", ""),
            "architecture": architecture,
            "status": "" if status == "install ok installed" else status,
        }
        found[f"{name}:{architecture}" if name in found else name] = facts
    return found


def rpm(data: bytes) -> dict[str, Facts]:
    """The lines of `rpm -qa` in our format. Several versions of a package (kernels) are one thing with both."""
    versions: dict[tuple[str, str], list[str]] = {}
    for line in text(data).splitlines():
        parts = line.split("\t")
        if len(parts) == 4:
            name, epoch, version, architecture = parts
            full = version if epoch in ("(none)", "0") else f"{epoch}:{version}"
            versions.setdefault((name, architecture), []).append(full)
    found: dict[str, Facts] = {}
    for (name, architecture), some in sorted(versions.items()):
        facts = {"version": ",".join(sorted(some)), "architecture": architecture}
        found[f"{name}:{architecture}" if name in found else name] = facts
    return found


def read(root: Path) -> dict[str, Facts]:
    """dpkg's packages where there is dpkg, and rpm's where there is rpm."""
    found: dict[str, Facts] = {}
    if any((root / folder).is_dir() for folder in _RPM_FOLDERS) and (tool := shutil.which("rpm")):
        done = subprocess.run(
            [tool, "--root", str(root), "-qa", "--qf", _RPM_FORMAT],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_RPM_SECONDS,
            check=False,
        )
        if done.returncode:
            raise ValueError(f"rpm: {text(done.stderr).strip()[:200]}")
        found.update(rpm(done.stdout))
    if (root / _STATUS).exists() or not found:
        found.update(dpkg(content(root / _STATUS)))
    return found


def marks(root: Path) -> object:
    """Changes when a package does."""
    names = ("rpmdb.sqlite", "Packages", "Packages.db")
    return [mark(root / _STATUS), *(mark(root / folder / name) for folder in _RPM_FOLDERS for name in names)]
