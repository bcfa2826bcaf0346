"""Who may import whom. The contracts between packages and stages are in the root pyproject; here they are run, and the
doorkeepers are held: each outside thing is imported in one place only."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "luytre_common": ROOT / "proto/luytre_common",
    "luytre_agent": ROOT / "agent/luytre_agent",
    "luytre_collector": ROOT / "collector/luytre_collector",
    "luytre_rules": ROOT / "rules/luytre_rules",
}

#: Module, and the files (or folders, ending in /) that alone may import it.
DOORKEEPERS = {
    "luytre_agent._core": (
        "luytre_agent/sources/packets.py",
        "luytre_agent/sources/replay.py",
        "luytre_agent/sources/processes.py",
        "luytre_agent/sources/sockets.py",
        "luytre_agent/sources/redaction.py",
        "luytre_agent/sources/rows.py",
        "luytre_agent/sources/host/ports.py",
        "luytre_agent/sources/watch/who.py",
        "luytre_agent/policy/judge.py",
        "luytre_agent/health.py",
        "luytre_agent/balance.py",
        "luytre_agent/limits/governor.py",
        "luytre_agent/signing.py",
        "luytre_agent/spool/gaps.py",
    ),
    "chdb": ("luytre_collector/store/embedded.py",),
    "clickhouse_driver": ("luytre_collector/store/driver.py",),
    "re2": ("luytre_collector/detect/leaves.py",),
    "sigma": ("luytre_collector/detect/sigmatree.py",),
    "hyperscan": ("luytre_collector/detect/stream.py",),
    "zstandard": ("luytre_collector/ingest/",),
    "pyroute2": (),  # 25 MB: tests hold our reading of netlink against it
    "scapy": (),  # GPL, and slow: tests and the demo make traffic with it, nothing that we ship imports it
}

#: What luytre_common may import besides the standard library.
COMMON_ALLOWED = {"google", "grpc", "luytre_common"}


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, `importlib.import_module` of a literal name included."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                yield module
                yield from (f"{module}.{name.name}" for name in names)
            case ast.Call(
                func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield name


def sources() -> list[Path]:
    return [path for folder in PACKAGES.values() for path in sorted(folder.rglob("*.py"))]


def test_contracts() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("module", DOORKEEPERS)
def test_doorkeepers(module: str) -> None:
    users = {
        str(path.relative_to(PACKAGES[path.relative_to(ROOT).parts[1]].parent))
        for path in sources()
        if any(name == module or name.startswith(f"{module}.") for name in imports(path))
    }
    allowed = DOORKEEPERS[module]
    strangers = {
        user for user in users if not any(user == one or (one[-1] == "/" and user.startswith(one)) for one in allowed)
    }
    assert not strangers, f"{module} is imported outside {allowed}"
    assert users or not allowed, f"nobody imports {module} any more: drop its doorkeeper"


def test_common_stands_on_little() -> None:
    for path in PACKAGES["luytre_common"].rglob("*.py"):
        for name in imports(path):
            top = name.partition(".")[0]
            assert top in COMMON_ALLOWED or top in sys.stdlib_module_names, f"{path}: imports {name}"


def test_nothing_shipped_imports_tests_or_the_demo() -> None:
    for path in sources():
        tops = {name.partition(".")[0] for name in imports(path)}
        assert not tops & {"tests", "deploy", "pytest", "hypothesis"}, path
