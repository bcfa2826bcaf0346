"""Every unit test sits where its module sits, so that nobody has to search for either."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "tests/unit"
MEMBERS = {
    "luytre_common": ROOT / "proto",
    "luytre_agent": ROOT / "agent",
    "luytre_collector": ROOT / "collector",
    "luytre_rules": ROOT / "rules",
}


def test_every_unit_test_mirrors_a_module() -> None:
    tests = sorted(UNIT.rglob("test_*.py"))
    assert tests
    astray = []
    for test in tests:
        path = test.relative_to(UNIT)
        member = MEMBERS.get(path.parts[0])
        module = path.parent / path.name.removeprefix("test_")
        if member is None or not (
            (member / module).exists()
            or (member / module.with_name(f"_{module.stem}.pyi")).exists()  # the core, a compiled module
            or (member / module.with_suffix("") / "__init__.py").exists()
            or (member / path.parent.with_suffix(".py")).exists()  # a module with a folder of tests
        ):
            astray.append(str(path))
    assert not astray, f"no module at the mirrored path of {', '.join(astray)}"


def test_test_files_have_test_names() -> None:
    odd = [
        path for path in UNIT.rglob("*.py") if not path.name.startswith(("test_", "conftest", "__init__", "support"))
    ]
    assert not odd, "pytest would not collect these"
