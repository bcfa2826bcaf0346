"""The folder for hosts without a network: packages, wheels, units, configuration, `install.sh`, and hashes of all."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from deploy.package import deb, sbom, site, wheels
from deploy.package.program import BUILD, ROOT, Program


def make(programs: Sequence[Program], own: Path, debs: Path, into: Path) -> Path:
    """Make the folder anew from our wheels in `own` and packages in `debs`."""
    folder = site.clear(into)
    (folder / "wheels").mkdir()
    shutil.copy(ROOT / "deploy/offline/install.sh", folder)
    for program in programs:
        _add(program, own, debs, folder)
    sums = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    (folder / "SHA256SUMS").write_text("".join(sums))
    return folder


def _add(program: Program, own: Path, debs: Path, folder: Path) -> None:
    packages, pythons = [], []
    made_on = None
    for target in deb.TARGETS[program.short]:
        order = deb.Order(program, target, own, debs)
        made_on = made_on or order.made
        path = debs / f"{program.name}_{order.version}_{deb.ARCHITECTURES[wheels.MACHINE]}.deb"
        if not path.exists():
            print(f"bundle: {path.name} is not there and is left out")
        else:
            (folder / "packages").mkdir(exist_ok=True)
            shutil.copy(path, folder / "packages")
            good_for = ["any"] if target.brings else target.pythons
            packages += [f"{python} packages/{path.name}\n" for python in good_for]
        if target.brings:
            continue
        for python in target.pythons:
            pythons.append(f"{python}\n")
            found = [*wheels.dependencies(program, python, BUILD / "wheels"), *wheels.ours(program, own)]
            for wheel in found:
                shutil.copy(wheel, folder / "wheels")
            (folder / f"{program.short}-{python}.txt").write_text("".join(map(_pin, found)))
    (folder / f"{program.short}.packages").write_text("".join(packages))
    (folder / f"{program.short}.pythons").write_text("".join(pythons))
    for source, to in (
        (ROOT / f"deploy/config/{program.short}.toml", folder / "config"),
        (ROOT / f"deploy/systemd/{program.name}.service", folder / "systemd"),
    ):
        to.mkdir(exist_ok=True)
        shutil.copy(source, to)
    assert made_on is not None
    newest = deb.TARGETS[program.short][0]
    sbom.write(program, sbom.gather(program, own, newest.pythons), made_on, folder / "sbom")


def _pin(wheel: Path) -> str:
    """A line of a requirements file: exactly this wheel."""
    name, version = wheel.name.split("-")[:2]
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"
