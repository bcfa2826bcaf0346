"""debian/copyright in the machine-readable format (DEP-5), and the licence texts of what is linked in."""

from __future__ import annotations

import re
from collections.abc import Sequence

from deploy.package.components import Component
from deploy.package.program import ROOT, Program

#: In /usr/share/common-licenses of every Debian.
_COMMON = {
    "Apache-2.0": "Apache-2.0",
    "LGPL-2.1-only": "LGPL-2.1",
    "MPL-2.0": "MPL-2.0",
    "CC0-1.0": "CC0-1.0",
}


def dep5(program: Program, parts: Sequence[Component], interpreter: bool) -> str:
    """The file."""
    stanzas = [
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"
        "Upstream-Name: luytre\n"
        f"Comment: {program.name} carries the Python distributions that its lock names, unchanged, in\n"
        f" /usr/lib/{program.name}/site; their licence files lie in their *.dist-info folders. Everything in it,\n"
        " with hashes: sbom.cdx.json.\n",
        _stanza(["*"], ("the Luy Tre developers",), "Apache-2.0"),
    ]
    used = {"Apache-2.0"}
    crates = [one for one in parts if one.purl.startswith("pkg:cargo/") and one.name != "luytre-core"]
    for one in parts:
        if one.purl.startswith("pkg:pypi/") and not one.name.startswith("luytre-"):
            licence = _expression(one.licence)
            files = [f"usr/lib/{program.name}/site/{name}/*" for name in one.files]
            stanzas.append(_stanza(files, one.holders or ("its authors",), licence, f"{one.name} {one.version}"))
            used.add(licence)
    if crates:
        holders = sorted({holder for one in crates for holder in one.holders})
        licences = sorted({one.licence for one in crates})
        text = "; ".join(licences)
        comment = (
            f"Rust crates linked in: {', '.join(f'{one.name} {one.version}' for one in crates)}. Each under one of:"
        )
        stanzas.append(
            _stanza(
                [f"usr/lib/{program.name}/site/luytre_agent/_core.abi3.so"],
                ("the Luy Tre developers", *holders),
                "Apache-2.0 and rust-crates",
                f"{comment} {text}",
            )
        )
        stanzas.append("License: rust-crates\n The text of each is in rust-licences.txt.gz beside this file.\n")
    if interpreter:
        stanzas.append(
            _stanza(
                [f"usr/lib/{program.name}/python/*"],
                ("2001 Python Software Foundation", "1991-1995 Stichting Mathematisch Centrum Amsterdam"),
                "PSF-2.0",
                "CPython, and in it OpenSSL (Apache-2.0) and libffi (MIT); their licences are the LICENSE files there.",
            )
        )
        used.add("PSF-2.0")
    stanzas += [_text(licence) for licence in sorted(used)]
    return "\n".join(stanzas)


def _stanza(files: Sequence[str], holders: Sequence[str], licence: str, comment: str = "") -> str:
    lines = [f"Files: {files[0]}", *(f" {name}" for name in files[1:])]
    lines += [f"Copyright: {holders[0]}", *(f" {holder}" for holder in holders[1:])]
    lines.append(f"License: {licence}")
    if comment:
        lines.append(f"Comment: {comment}")
    return "\n".join(lines) + "\n"


def _expression(licence: str) -> str:
    """SPDX to DEP-5: `or` and `and` in small letters."""
    return re.sub(r"[()]", "", licence.replace(" OR ", " or ").replace(" AND ", " and "))


def _text(licence: str) -> str:
    names = [name for name in re.split(r" and | or ", licence) if name in _COMMON]
    where = [f" {name}: /usr/share/common-licenses/{_COMMON[name]} on Debian systems." for name in names]
    return "\n".join([f"License: {licence}", *where, " The full text lies with the files, in *.dist-info."]) + "\n"


def texts(parts: Sequence[Component]) -> str:
    """The licence files of all crates; each text once, under the names of those that have it."""
    having: dict[bytes, list[str]] = {}
    for one in parts:
        if one.purl.startswith("pkg:cargo/"):
            for name, content in one.texts:
                having.setdefault(content.strip(), []).append(f"{one.name} {one.version}: {name}")
    pieces = [
        f"{'=' * 100}\n" + "\n".join(names) + f"\n{'=' * 100}\n\n{text.decode(errors='replace')}\n"
        for text, names in having.items()
    ]
    return "\n".join(pieces) + "\nLuy Tre itself:\n\n" + (ROOT / "LICENSE").read_text()
