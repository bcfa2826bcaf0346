"""A bill of materials for a program, as CycloneDX 1.6 JSON: what is in it, from whom, under which licence, by hash."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.package import components, wheels
from deploy.package.components import Component
from deploy.package.program import BUILD, Program

#: Names our bills: the same content has the same serial number.
_NAMESPACE = uuid.UUID("b9a5c1de-5a3b-4b7a-9e0c-6c2f7a1d4e88")
_SPDX_OPERATORS = {"OR", "AND", "WITH", "(", ")"}


def gather(program: Program, own: Path, pythons: Sequence[str]) -> list[Component]:
    """Everything in `program` for these Pythons: our wheels from `own`, what the lock names, and the core's crates."""
    found = [components.of_wheel(wheel) for wheel in wheels.ours(program, own)]
    for python in pythons:
        found += [components.of_wheel(wheel) for wheel in wheels.dependencies(program, python, BUILD / "wheels")]
    once = list({one.purl: one for one in reversed(found)}.values())[::-1]
    linked = components.link(once)
    return [*linked, *components.crates()] if program.rust else linked


def bill(program: Program, parts: Sequence[Component], made: datetime) -> dict[str, Any]:
    """The bill; `made` in UTC."""
    root = next(one for one in parts if one.purl.startswith(f"pkg:pypi/{program.name}@"))
    others = [one for one in parts if one is not root]
    core = [one.purl for one in parts if one.purl.startswith("pkg:cargo/")][:1]
    needs = {one.purl: list(one.needs) for one in others}
    needs[root.purl] = sorted({*root.needs, *core})
    content = json.dumps([(one.purl, one.sha256) for one in parts])
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, content)}",
        "version": 1,
        "metadata": {
            "timestamp": made.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "lifecycles": [{"phase": "build"}],
            "tools": {
                "components": [{"type": "application", "name": "luytre deploy.package", "version": root.version}]
            },
            "component": _component(root, "application"),
        },
        "components": [_component(one, "library") for one in others],
        "dependencies": [{"ref": purl, "dependsOn": needed} for purl, needed in sorted(needs.items())],
    }


def _component(one: Component, kind: str) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": kind,
        "bom-ref": one.purl,
        "name": one.name,
        "version": one.version,
        "purl": one.purl,
    }
    if one.summary:
        made["description"] = one.summary
    if one.licence and one.licence != "unknown":
        made["licenses"] = [_licence(one.licence)]
    if one.holders:
        made["copyright"] = "\n".join(one.holders)
    if one.sha256:
        made["hashes"] = [{"alg": "SHA-256", "content": one.sha256}]
    if one.website:
        made["externalReferences"] = [{"type": "website", "url": one.website}]
    return made


def _licence(text: str) -> dict[str, Any]:
    """An SPDX expression as one; other words as a name."""
    words = text.replace("(", " ( ").replace(")", " ) ").split()
    if any(word in _SPDX_OPERATORS for word in words) and "," not in text:
        return {"expression": text}
    if len(words) == 1:
        return {"expression": text}
    return {"license": {"name": text}}


def write(program: Program, parts: Sequence[Component], made: datetime, into: Path) -> Path:
    """Write `NAME-VERSION.cdx.json` into the folder."""
    into.mkdir(parents=True, exist_ok=True)
    path = into / f"{program.name}-{program.version}.cdx.json"
    path.write_text(json.dumps(bill(program, parts, made), ensure_ascii=False, indent=2) + "\n")
    return path
