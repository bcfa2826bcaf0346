"""Wheels: our own, and what the locks name, by hash, for a Python and a C library that need not be this machine's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from packaging.markers import Marker

from deploy.package.program import BUILD, ROOT, Program

#: The oldest C library of the targets: RHEL 8 (2.28); 2.31 is Debian 11 and Ubuntu 20.04. What is older is fine too.
GLIBC = 28
MACHINE = os.uname().machine


def platforms() -> list[str]:
    """The wheel tags that run on every target, best first."""
    tags = [f"manylinux_2_{minor}_{MACHINE}" for minor in range(GLIBC, 16, -1)]
    return [*tags, f"manylinux2014_{MACHINE}"]


def pins(lock: Path, python: str) -> Iterator[str]:
    """The lock's entries that hold for `python` (`3.12`) on Linux, each `NAME==VERSION --hash=...`.

    pip itself would ask the markers about the Python that it runs on.
    """
    there = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "platform_machine": MACHINE,
    }
    for entry in re.split(r"\n(?=\S)", lock.read_text().strip()):
        head, _, hashes = entry.replace("\\\n", " ").partition(" --hash")
        pin, _, marker = head.partition(";")
        if not marker.strip() or Marker(marker.strip()).evaluate(there):
            yield f"{pin.strip()} --hash{hashes}"


def dependencies(program: Program, python: str, into: Path) -> list[Path]:
    """Download what `program` needs, for `python`; the wheels. Nothing is asked for that lies there already."""
    wanted = into / f"{program.short}-{python}.txt"
    names = into / f"{program.short}-{python}.wheels"
    text = "\n".join(pins(program.lock, python)) + "\n"
    if names.exists() and wanted.read_text() == text:
        found = [into / name for name in names.read_text().split()]
        if all(path.exists() for path in found):
            return found
    into.mkdir(parents=True, exist_ok=True)
    wanted.write_text(text)
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--require-hashes", "--only-binary", ":all:", "--implementation", "cp", "--python-version", python,
        "--abi", f"cp{python.replace('.', '')}", "--abi", "abi3", "--abi", "none",
        *(word for tag in platforms() for word in ("--platform", tag)),
        "-r", wanted, "--dest", into,
    ]  # fmt: skip
    subprocess.run(command, check=True, cwd=into)
    found = [_of(pin, python, into) for pin in pins(program.lock, python)]
    names.write_text("\n".join(path.name for path in found) + "\n")
    return found


def _of(pin: str, python: str, folder: Path) -> Path:
    """The wheel of `pin` in `folder` that `python` would take."""
    name, version = pin.split(" ", 1)[0].split("==")
    stem = re.sub(r"[-_.]+", "_", name).lower()
    flat = python.replace(".", "")
    fits = [
        path
        for path in folder.glob("*.whl")
        if re.sub(r"[-_.]+", "_", path.name.split("-")[0]).lower() == stem
        and path.name.split("-")[1] == version
        and _fits(path.name.split("-")[-3], path.name.split("-")[-2], int(flat[1:]))
    ]
    if not fits:
        raise SystemExit(f"package: no wheel of {name} {version} for Python {python} on {MACHINE}")
    return max(fits, key=lambda path: f"cp{flat}" in path.name)


def _fits(tags: str, abi: str, minor: int) -> bool:
    for tag in tags.split("."):
        if tag in ("py3", f"py3{minor}") or tag == f"cp3{minor}":
            return True
        if abi == "abi3" and tag.startswith("cp3") and int(tag[3:]) <= minor:
            return True
    return False


def ours(program: Program, folder: Path) -> list[Path]:
    """Our own wheels of `program` in `folder`."""
    found = []
    for member in program.members:
        stem = {"proto": "luytre_common"}.get(member, f"luytre_{member}")
        wheels = sorted(folder.glob(f"{stem}-*.whl"))
        if not wheels:
            raise SystemExit(f"package: no wheel of {stem} in {folder}; make them with: make wheels")
        found.append(wheels[-1])
    return found


def build_ours(into: Path, portable: bool) -> None:
    """Build the four wheels.

    portable: the core's for every glibc from 2.17 on, by zig as the linker; else for this machine's, which is quick.
    """
    into.mkdir(parents=True, exist_ok=True)
    for old in into.glob("luytre_*.whl"):
        old.unlink()
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    members = ["proto", "rules", "collector"] + ([] if portable else ["agent"])
    here = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}  # maturin is in the venv
    subprocess.run(
        [*pip, "--no-build-isolation", "-w", into, *(f"./{member}" for member in members)],
        check=True, cwd=ROOT, env=os.environ | here,
    )  # fmt: skip
    if not portable:
        return
    zig = BUILD / "zig"
    if not (zig / "bin/python").exists():
        subprocess.run([sys.executable, "-m", "venv", zig], check=True)
    subprocess.run(
        [zig / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes",
         "-r", ROOT / "requirements/zig.txt"],
        check=True,
    )  # fmt: skip
    path = f"{zig / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run(
        ["maturin", "build", "--quiet", "--release", "--zig", "--compatibility", "manylinux_2_17",
         "--manifest-path", "agent/core/Cargo.toml", "--target-dir", BUILD / "target-zig", "--out", into],
        check=True, cwd=ROOT, env=os.environ | {"PATH": path},
    )  # fmt: skip
