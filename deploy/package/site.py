"""Wheels unpacked into one folder from which a program runs, for one Python or for several at once."""

from __future__ import annotations

import configparser
import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from deploy.package.components import Component, of_wheel

#: What tells which wheel it was: these may differ between the wheels of one distribution.
_OF_THE_WHEEL = {"RECORD", "WHEEL"}
#: Parts of distributions that no program needs. What a test run left compiled in a source tree is not the wheel's.
_NEEDLESS = {"tests", "test"}


def unpack(wheels: Iterable[Path], into: Path) -> None:
    """Unpack into `into`. Wheels of one distribution for several Pythons share their files; their compiled modules,
    whose names tell the Python, lie side by side. Where two distributions have a file of one name, it is that of the
    one that needs the other, as pip has it, which installs what is needed first. SystemExit if wheels disagree
    otherwise."""
    into.mkdir(parents=True, exist_ok=True)
    owners: dict[Path, Component] = {}
    for wheel in dict.fromkeys(wheels):
        maker = of_wheel(wheel)
        with zipfile.ZipFile(wheel) as opened:
            for item in opened.infolist():
                if not item.is_dir():
                    _one(opened, item, into, maker, owners)


def _one(
    opened: zipfile.ZipFile, item: zipfile.ZipInfo, into: Path, maker: Component, owners: dict[Path, Component]
) -> None:
    parts = PurePosixPath(item.filename).parts
    if ".." in parts or PurePosixPath(item.filename).is_absolute():
        raise SystemExit(f"package: {maker.name} has {item.filename}")
    if parts[0].endswith(".data"):
        if parts[1] not in ("purelib", "platlib"):
            return  # scripts and headers: the launchers are ours
        parts = parts[2:]
    if "__pycache__" in parts or (len(parts) > 2 and parts[1] in _NEEDLESS):
        return
    path = into.joinpath(*parts)
    content = opened.read(item)
    if path.exists() and not _replaces(path, content, maker, owners[path]):
        return
    owners[path] = maker
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o644)


def _replaces(path: Path, content: bytes, maker: Component, owner: Component) -> bool:
    """Whether a file takes the place of the one that lies there."""
    if path.name in _OF_THE_WHEEL or path.read_bytes() == content:
        return False
    if _called(owner) in maker.needs:
        return True
    if _called(maker) in owner.needs:
        return False
    raise SystemExit(f"package: {maker.name} has another {path.name} than {owner.name}")


def _called(one: Component) -> str:
    return one.purl.removeprefix("pkg:pypi/").partition("@")[0]


def entry_point(site: Path, program: str) -> tuple[str, str]:
    """Module and function behind the command `program`."""
    for file in sorted(site.glob("*.dist-info/entry_points.txt")):
        parsed = configparser.ConfigParser(delimiters=("=",))
        parsed.read(file)
        if parsed.has_option("console_scripts", program):
            module, _, function = parsed.get("console_scripts", program).partition(":")
            return module, function
    raise SystemExit(f"package: no distribution in {site} has the command {program}")


def launcher(site: Path, program: str, python: str, where: str) -> str:
    """The text of the command: `python` with nothing but the standard library and the folder `where`, so that no
    variable, no folder of the user's and no package of the system's can change what runs."""
    module, function = entry_point(site, program)
    return f"""#!{python} -IS
import sys

sys.path.insert(0, "{where}")

from {module} import {function}

if __name__ == "__main__":
    sys.exit({function}())
"""


def size(folder: Path) -> int:
    """Bytes of all files below."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def clear(folder: Path) -> Path:
    """The folder, new and empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
