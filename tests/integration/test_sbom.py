"""Bills of materials: valid by CycloneDX's own schema, and complete by the locks and by what is linked in."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deploy.package import components, sbom
from deploy.package.components import Component
from deploy.package.program import AGENT, COLLECTOR, ROOT
from tests.support import packages

MADE = datetime(2026, 11, 30, tzinfo=UTC)


def bill(parts: list[Component]) -> dict[str, Any]:
    made = sbom.bill(AGENT, parts, MADE)
    validator = pytest.importorskip("cyclonedx.validation.json", reason="cyclonedx-python-lib is not installed")
    schema = pytest.importorskip("cyclonedx.schema")
    errors = validator.JsonStrictValidator(schema.SchemaVersion.V1_6).validate_str(json.dumps(made))
    assert errors is None, errors
    return made


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_agents_bill() -> None:
    parts = sbom.gather(AGENT, packages.own_wheels(), ["3.11", "3.12"])
    made = bill(parts)
    assert made["metadata"]["component"]["name"] == "luytre-agent"
    there = {one["purl"]: one for one in made["components"]}
    for pin in re.findall(r"^([\w.-]+)==([^ \\;]+)", AGENT.lock.read_text(), re.MULTILINE):
        assert there[f"pkg:pypi/{pin[0]}@{pin[1]}"]["hashes"][0]["content"] in AGENT.lock.read_text(), (
            "by the lock's hash"
        )
    crates = [purl for purl in there if purl.startswith("pkg:cargo/")]
    assert {"pkg:cargo/pyo3", "pkg:cargo/aya", "pkg:cargo/zstd-sys"} <= {purl.partition("@")[0] for purl in crates}
    assert not [purl for purl in crates if "proc-macro2" in purl], "what works in the compiler only is not in it"
    for purl in crates:
        if not purl.startswith("pkg:cargo/luytre-core"):
            assert there[purl]["hashes"], purl
            assert there[purl]["licenses"], purl
    needs = {one["ref"]: one["dependsOn"] for one in made["dependencies"]}
    root = made["metadata"]["component"]["bom-ref"]
    assert any(purl.startswith("pkg:pypi/luytre-common@") for purl in needs[root])
    assert any(purl.startswith("pkg:cargo/luytre-core@") for purl in needs[root])
    assert {purl for needed in needs.values() for purl in needed} <= {*there, root}
    assert sbom.bill(AGENT, parts, MADE) == made, "the same parts, the same bill"


def test_every_locked_crate_that_is_linked_has_its_checksum() -> None:
    if not shutil.which("cargo"):
        pytest.skip("needs cargo")
    lock = (ROOT / "agent/core/Cargo.lock").read_text()
    for one in components.crates():
        if one.name != "luytre-core":
            assert f'checksum = "{one.sha256}"' in lock, one.name
            assert one.licence not in ("", "unknown"), one.name


def test_what_a_wheel_says_of_itself(tmp_path: Path) -> None:
    import zipfile

    wheel = tmp_path / "Odd_Name-1.5-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as made:
        made.writestr(
            "Odd_Name-1.5.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: Odd_Name\nVersion: 1.5\nLicense: BSD License\nAuthor: Lan\n"
            "Requires-Dist: other-thing>=2\nRequires-Dist: extra-thing; extra == 'x'\n\n",
        )
        made.writestr("Odd_Name-1.5.dist-info/licenses/LICENSE", "Copyright (c) 2026 Lan Nguyen\nRedistribution ...")
        made.writestr("odd/__init__.py", "")
    one = components.of_wheel(wheel)
    assert (one.purl, one.licence, one.holders) == ("pkg:pypi/odd-name@1.5", "BSD-3-Clause", ("2026 Lan Nguyen",))
    assert one.needs == ("other-thing",)
    assert one.files == ("odd", "Odd_Name-1.5.dist-info")
    assert COLLECTOR.lock.exists()
