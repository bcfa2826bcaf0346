"""A counter that no test moves does not exist: a test asks for every name that the Python code counts under."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = Path(__file__)


def counted(path: Path) -> Iterator[str]:
    """The names in calls like `self._counters.add("name", ...)` and `.set("name", ...)`."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        match node:
            case ast.Call(
                func=ast.Attribute(attr="add" | "set", value=ast.Attribute(attr=owner) | ast.Name(id=owner)),
                args=[ast.Constant(value=str(name)), *_],
            ) if owner.endswith("counters"):
                yield name


def test_every_counter_is_moved_by_a_test() -> None:
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py") if path != HERE)
    names = {
        name: path.relative_to(ROOT)
        for folder in ("agent/luytre_agent", "collector/luytre_collector", "proto/luytre_common")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for name in counted(path)
    }
    assert names
    untested = [f"{name} ({path})" for name, path in names.items() if f'"{name}"' not in tests]
    assert not untested, f"no test asks for: {', '.join(untested)}"
