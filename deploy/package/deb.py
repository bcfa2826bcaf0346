"""Debian packages: a tree with everything in it, and dpkg-deb. Nothing is fetched when they are installed."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from deploy.package import components, copyright_file, manpage, sbom, site, wheels
from deploy.package.program import BUILD, ROOT, Program

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
MAINTAINER = "Luy Tre developers <developers@luytre.example>"
DEBIAN = ROOT / "deploy/debian"
SYSTEMD = ROOT / "deploy/systemd"


@dataclass(frozen=True)
class Target:
    """What a package is made for: the Pythons of its distributions, or one that it brings along (`brings`)."""

    name: str
    pythons: tuple[str, ...]
    suffix: str
    brings: bool = False

    @property
    def python(self) -> str:
        """What runs the program; `{name}` is the package."""
        return f"/usr/lib/{{name}}/python/bin/python{self.pythons[0]}" if self.brings else "/usr/bin/python3"

    @property
    def depends(self) -> list[str]:
        """Besides adduser."""
        if self.brings:
            return ["libc6 (>= 2.31)", "libgcc-s1", "libstdc++6", "zlib1g"]
        last = int(self.pythons[-1].partition(".")[2]) + 1
        return ["libc6 (>= 2.28)", "libgcc-s1", "libstdc++6",
                f"python3 (>= {self.pythons[0]})", f"python3 (<< 3.{last}~)"]  # fmt: skip


#: For the agent one package does for all Pythons; the collector's libraries are too large to be there several times.
TARGETS = {
    "agent": [
        Target("any", ("3.11", "3.12", "3.13", "3.14"), ""),
        Target("older", ("3.13",), "~older", brings=True),
    ],
    "collector": [
        Target("debian12", ("3.11",), "+deb12"),
        Target("ubuntu24.04", ("3.12",), "+ubuntu24.04"),
        Target("debian13", ("3.13",), "+deb13"),
    ],
}


@dataclass(frozen=True)
class Order:
    """One package to make. `revision` replaces the version (`0.0.9-1`); `compression` is dpkg-deb's, with its level."""

    program: Program
    target: Target
    own: Path
    into: Path
    revision: str = ""
    compression: tuple[str, str] = ("xz", "6")

    @property
    def version(self) -> str:
        """Version with Debian's revision."""
        return (self.revision or f"{self.program.version}-1") + self.target.suffix

    @property
    def made(self) -> datetime:
        """When the sources were committed: the same sources make the same package."""
        given = os.environ.get("SOURCE_DATE_EPOCH")
        if given is None:
            answer = subprocess.run(
                ["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=False
            )
            given = answer.stdout.strip() or "0"
        return datetime.fromtimestamp(int(given), UTC)


def build(order: Order) -> Path:
    """Make the package; its path."""
    program, target = order.program, order.target
    architecture = ARCHITECTURES[wheels.MACHINE]
    tree = site.clear(BUILD / "deb" / f"{program.name}-{target.name}")
    fill(tree, order)
    control(tree, order, architecture)
    for path in [tree, *tree.rglob("*")]:
        if not path.is_symlink():
            path.chmod(_mode(path))
            os.utime(path, (order.made.timestamp(),) * 2)
    order.into.mkdir(parents=True, exist_ok=True)
    made = order.into / f"{program.name}_{order.version}_{architecture}.deb"
    kind, level = order.compression
    command = ["dpkg-deb", "--root-owner-group", f"-Z{kind}", f"-z{level}", "--build", tree, made]
    environment = os.environ | {"SOURCE_DATE_EPOCH": str(int(order.made.timestamp()))}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return made


def _mode(path: Path) -> int:
    if path.is_dir():
        return 0o755
    runs = path.parent.name in ("bin", "DEBIAN") and path.name not in ("control", "conffiles", "md5sums")
    return 0o755 if runs else 0o644


def fill(tree: Path, order: Order) -> None:
    """Everything that is installed."""
    program, target = order.program, order.target
    home = tree / "usr/lib" / program.name
    found = list(wheels.ours(program, order.own))
    for python in target.pythons:
        found += wheels.dependencies(program, python, BUILD / "wheels")
    site.unpack(found, home / "site")
    if target.brings:
        subprocess.run([DEBIAN / "interpreter.sh", BUILD / "interpreter"], check=True)
        needless = shutil.ignore_patterns("__pycache__", "macholib")
        shutil.copytree(
            BUILD / "interpreter/usr/lib/luytre-agent/python", home / "python", symlinks=True, ignore=needless
        )
    python = target.python.format(name=program.name)
    _write(
        tree / "usr/bin" / program.name,
        site.launcher(home / "site", program.name, python, f"/usr/lib/{program.name}/site"),
    )
    _copy(ROOT / f"deploy/config/{program.short}.toml", tree / f"etc/luytre/{program.short}.toml")
    (tree / "etc/luytre/pki").mkdir()
    _copy(SYSTEMD / f"{program.name}.service", tree / f"lib/systemd/system/{program.name}.service")
    _said_by_the_program(tree, order)
    _documents(tree, order, found)
    if program.short == "collector":
        _copy_tree(ROOT / "deploy/clickhouse/queries", tree / "usr/share/luytre/queries")
        rules = f"../../lib/{program.name}/site/luytre_rules"
        (tree / "usr/share/luytre/rules").symlink_to(rules)
    _overrides(tree, order)


def _said_by_the_program(tree: Path, order: Order) -> None:
    """Manual page and completions, made by the program itself from what it takes."""
    program = order.program
    module = __import__(f"{program.module}.__main__", fromlist=["parser"])
    files = {
        f"/etc/luytre/{program.short}.toml": "the configuration",
        "/etc/luytre/pki/": "certificates and keys",
        f"/var/lib/{program.name}/": "state",
    }
    page = manpage.page(module.parser(), program.version, f"{order.made:%Y-%m-%d}", program.summary, files)
    _write_packed(tree / f"usr/share/man/man1/{program.name}.1.gz", page)
    places = {
        "bash": f"usr/share/bash-completion/completions/{program.name}",
        "zsh": f"usr/share/zsh/vendor-completions/_{program.name}",
        "fish": f"usr/share/fish/vendor_completions.d/{program.name}.fish",
    }
    for shell, place in places.items():
        command = [sys.executable, "-m", program.module, "completion", shell]
        _write(tree / place, subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout)


def _documents(tree: Path, order: Order, found: Sequence[Path]) -> None:
    program = order.program
    folder = tree / "usr/share/doc" / program.name
    _write_packed(folder / "changelog.gz", (ROOT / "CHANGELOG.md").read_text())
    entry = f"""{program.name} ({order.version}) unstable; urgency=medium

  * Version {program.version}. What is new for operators: changelog.gz.

 -- {MAINTAINER}  {format_datetime(order.made)}
"""
    _write_packed(folder / "changelog.Debian.gz", entry)
    _copy(DEBIAN / f"README.Debian.{program.short}", folder / "README.Debian")
    _copy(SYSTEMD / "README.md", folder / "systemd.md")
    _copy(ROOT / "deploy/pki.md", folder / "pki.md")
    _copy(SYSTEMD.parent / "pki.md", folder / "pki.md")
    _copy(ROOT / f"deploy/config/{program.short}.toml", folder / f"examples/{program.short}.toml")
    if program.short == "agent":
        for path in sorted(SYSTEMD.glob("*.conf")):
            _copy(path, folder / "examples" / path.name)
    else:
        for part in ("server", "cluster"):
            _copy_tree(ROOT / "deploy/clickhouse" / part, folder / "examples/clickhouse" / part)
        _copy(ROOT / "deploy/clickhouse/users.sql", folder / "examples/clickhouse/users.sql")
    parts = sbom.gather(program, order.own, order.target.pythons)
    if order.target.brings:
        python = tree / f"usr/lib/{program.name}/python/bin/python{order.target.pythons[0]}"
        parts += components.interpreter(python)
    bill = sbom.write(program, parts, order.made, BUILD / "sbom" / order.target.name)
    _copy(bill, folder / "sbom.cdx.json")
    _write(folder / "copyright", copyright_file.dep5(program, parts, order.target.brings))
    if program.rust:
        _write_packed(folder / "rust-licences.txt.gz", copyright_file.texts(parts))


def _overrides(tree: Path, order: Order) -> None:
    text = (DEBIAN / "lintian-overrides").read_text().replace("@NAME@", order.program.name)
    _write(tree / f"usr/share/lintian/overrides/{order.program.name}", text)


def control(tree: Path, order: Order, architecture: str) -> None:
    """The folder DEBIAN."""
    program, target = order.program, order.target
    folder = tree / "DEBIAN"
    installed = (site.size(tree) + 1023) // 1024
    description = "".join(f" {line}\n" for line in program.description.splitlines())
    _write(
        folder / "control",
        f"""Package: {program.name}
Version: {order.version}
Architecture: {architecture}
Maintainer: {MAINTAINER}
Installed-Size: {installed}
Pre-Depends: init-system-helpers (>= 1.54~)
Depends: adduser, {", ".join(target.depends)}
Section: admin
Priority: optional
Description: {program.summary}
{description}""",
    )
    _write(folder / "conffiles", f"/etc/luytre/{program.short}.toml\n")
    for name in ("postinst", "prerm", "postrm"):
        text = (DEBIAN / name).read_text()
        for mark, value in {
            "@NAME@": program.name,
            "@SHORT@": program.short,
            "@PYTHON@": target.python.format(name=program.name).removeprefix("/usr/bin/"),
        }.items():
            text = text.replace(mark, value)
        _write(folder / name, text)
    sums = [
        f"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}  {path.relative_to(tree)}\n"
        for path in sorted(tree.rglob("*"))
        if path.is_file() and not path.is_symlink() and folder not in path.parents
        and path.relative_to(tree).parts[0] != "etc"
    ]  # fmt: skip
    _write(folder / "md5sums", "".join(sums))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _write_packed(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def _copy(source: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, to)


def _copy_tree(source: Path, to: Path) -> None:
    shutil.copytree(source, to, ignore=shutil.ignore_patterns("__pycache__"))
