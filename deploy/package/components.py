"""What a program consists of: distributions from its lock, crates of its core; with licences, hashes and origins."""

from __future__ import annotations

import email.message
import email.parser
import hashlib
import json
import os
import re
import subprocess
import tomllib
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import quote

from deploy.package.program import ROOT

_LICENCE_FILE = re.compile(r"^(licen[cs]e|copying|notice|copyright|unlicense)", re.IGNORECASE)


@dataclass(frozen=True)
class Component:
    """One thing that somebody made. `licence` is an SPDX expression if the maker gave one, else what the maker wrote;
    `sha256` of what was downloaded; `texts` its licence files; `needs` the purls of what it needs."""

    purl: str
    name: str
    version: str
    licence: str = ""
    holders: tuple[str, ...] = ()
    sha256: str = ""
    summary: str = ""
    website: str = ""
    texts: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)
    needs: tuple[str, ...] = ()
    files: tuple[str, ...] = field(default=(), repr=False)


#: Licences as makers of Python distributions wrote them before there was a field for it, in SPDX terms.
_WORDS = {
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache-2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "bsd license": "BSD-3-Clause",
    "bsd": "BSD-3-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "mit license": "MIT",
    "mit": "MIT",
    "dual license": "Apache-2.0 OR BSD-3-Clause",
    "lgpl-2.1": "LGPL-2.1-only",
    "gnu lesser general public license v2 (lgplv2)": "LGPL-2.1-only",
    "mpl-2.0": "MPL-2.0",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
}


def of_wheel(wheel: Path) -> Component:
    """What a wheel says of itself."""
    with zipfile.ZipFile(wheel) as opened:
        names = [item.filename for item in opened.infolist() if not item.is_dir()]
        place = next(name for name in names if name.count("/") == 1 and name.endswith(".dist-info/METADATA"))
        told = email.parser.BytesParser().parsebytes(opened.read(place))
        folder = place.rpartition("/")[0]
        inside = [name for name in names if name.startswith(folder) and _LICENCE_FILE.match(Path(name).name)]
        texts = tuple((name.removeprefix(f"{folder}/"), opened.read(name)) for name in inside)
    name = re.sub(r"[-_.]+", "-", told["Name"]).lower()
    tops = sorted({one.split("/")[0] for one in names if "/" in one and ".data/" not in one} - {folder, "google"})
    return Component(
        purl=f"pkg:pypi/{name}@{told['Version']}",
        name=str(told["Name"]),
        version=str(told["Version"]),
        licence=_licence(told),
        holders=_holders(texts) or tuple(filter(None, [str(told["Author"] or told["Author-email"] or "").strip()])),
        sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        summary=str(told["Summary"] or ""),
        website=_website(told),
        texts=texts,
        needs=tuple(_needs(told)),
        files=(*tops, folder),
    )


def _licence(told: email.message.Message) -> str:
    if given := told["License-Expression"]:
        return str(given)
    said = str(told["License"] or "").strip()
    classes = [
        str(text).rpartition(" :: ")[2] for text in told.get_all("Classifier", []) if text.startswith("License ::")
    ]
    for text in (said, *classes):
        if found := _WORDS.get(text.strip().lower()):
            return found
    if "\n" in said or len(said) > 60:
        said = ""
    return said or ", ".join(classes) or "unknown"


def _website(told: email.message.Message) -> str:
    pages = [str(text).partition(",")[2].strip() for text in told.get_all("Project-URL", [])]
    return next((page for page in [str(told["Home-page"] or ""), *pages] if page.startswith("http")), "")


def _needs(told: email.message.Message) -> Iterator[str]:
    """Names only: the lock has one version of each."""
    for text in told.get_all("Requires-Dist", []):
        if "extra ==" not in text:
            yield re.sub(r"[-_.]+", "-", re.split(r"[^A-Za-z0-9._-]", text, maxsplit=1)[0]).lower()


def _holders(texts: Iterable[tuple[str, bytes]]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for _, content in texts:
        for line in content.decode(errors="replace").splitlines():
            told = re.match(r"^\W*copyright[\s:]*(?:\(c\)|©)?\s*(.*\d{4}.*)$", line, re.IGNORECASE)
            if told and len(told[1]) < 200 and "{" not in told[1] and "[" not in told[1]:
                found[" ".join(told[1].split())] = None
    return tuple(found)


def link(components: list[Component]) -> list[Component]:
    """Needs by name become needs by purl, of those that are there."""
    purls = {one.purl.rpartition("/")[2].partition("@")[0]: one.purl for one in components}
    return [
        Component(**(vars(one) | {"needs": tuple(sorted({purls[name] for name in one.needs if name in purls}))}))
        for one in components
    ]


@cache
def crates() -> tuple[Component, ...]:
    """The crates that are linked into the core, its own first; those for building and testing only are not."""
    manifest = ROOT / "agent/core/Cargo.toml"
    answer = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--locked", "--features", "extension-module",
         "--filter-platform", f"{os.uname().machine}-unknown-linux-gnu", "--manifest-path", manifest],
        capture_output=True, check=True, cwd=ROOT,
    )  # fmt: skip
    told = json.loads(answer.stdout)
    locked = {
        (one["name"], one["version"]): one.get("checksum", "")
        for one in tomllib.loads((ROOT / "agent/core/Cargo.lock").read_text())["package"]
    }
    nodes = {
        node["id"]: [
            dependency["pkg"]
            for dependency in node["deps"]
            if any(kind["kind"] is None for kind in dependency["dep_kinds"])
        ]
        for node in told["resolve"]["nodes"]
    }
    packages = {one["id"]: one for one in told["packages"]}
    reached: dict[str, None] = {}
    waiting = [told["resolve"]["root"]]
    while waiting:
        one = waiting.pop(0)
        if one not in reached and not _is_macro(packages[one]):
            reached[one] = None
            waiting += nodes[one]

    def purl(one: str) -> str:
        return f"pkg:cargo/{packages[one]['name']}@{quote(packages[one]['version'])}"

    made = []
    for one in reached:
        package = packages[one]
        texts = _crate_texts(Path(package["manifest_path"]).parent)
        made.append(
            Component(
                purl=purl(one),
                name=package["name"],
                version=package["version"],
                licence=(package["license"] or "unknown").replace("/", " OR "),
                holders=_holders(texts) or tuple(package["authors"]),
                sha256=locked.get((package["name"], package["version"]), ""),
                summary=" ".join((package["description"] or "").split()),
                website=package["repository"] or "",
                texts=texts,
                needs=tuple(sorted({purl(other) for other in nodes[one] if other in reached})),
            )
        )
    return tuple(made)


def _is_macro(package: dict[str, list[dict[str, list[str]]]]) -> bool:
    """Whether it runs in the compiler and is not in what that makes."""
    return any("proc-macro" in target["kind"] for target in package["targets"])


def _crate_texts(folder: Path) -> tuple[tuple[str, bytes], ...]:
    found = [path for path in sorted(folder.iterdir()) if path.is_file() and _LICENCE_FILE.match(path.name)]
    return tuple((path.name, path.read_bytes()) for path in found)


def interpreter(program: Path) -> tuple[Component, ...]:
    """What the Python that a package brings along is made of."""
    code = "import platform, ssl; print(platform.python_version(), ssl.OPENSSL_VERSION.split()[1])"
    told = subprocess.run([program, "-B", "-IS", "-c", code], capture_output=True, text=True, check=True, timeout=60)
    python, openssl = told.stdout.split()
    return (
        Component(f"pkg:generic/cpython@{python}", "cpython", python, "PSF-2.0", website="https://www.python.org"),
        Component(
            f"pkg:generic/openssl@{openssl}", "openssl", openssl, "Apache-2.0", website="https://www.openssl.org"
        ),
        Component("pkg:generic/libffi@3.3", "libffi", "3.3", "MIT", website="https://sourceware.org/libffi"),
    )
