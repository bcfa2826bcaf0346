"""Installing the agent alone brings little, and nothing of the collector."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
DIST = ROOT / "dist"

#: Everything that `pip install luytre-agent` installs, on Linux with Python 3.11 or newer.
AGENT_BRINGS = {"luytre-agent", "luytre-common", "grpcio", "protobuf", "typing-extensions"}


def closure(name: str) -> set[str]:
    """The distributions that come with `name`, by the metadata of what is installed; extras not asked for stay out."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        one = canonicalize_name(waiting.pop())
        if one in found:
            continue
        found.add(one)
        for text in importlib.metadata.requires(one) or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return found


def locked(path: Path) -> set[str]:
    """The distributions that a lock file names, except those for other systems."""
    lines = re.findall(r"^([A-Za-z0-9._-]+)==([^ \\;]+)(?: ; ([^\\\n]+))?", path.read_text(), re.MULTILINE)
    kept = set()
    for name, version, marker in lines:
        requirement = Requirement(f"{name}=={version}" + (f" ; {marker}" if marker else ""))
        if requirement.marker is None or requirement.marker.evaluate():
            kept.add(str(canonicalize_name(name)))
    return kept


def test_agent_metadata() -> None:
    assert closure("luytre-agent") == AGENT_BRINGS


def test_agent_lock() -> None:
    assert locked(ROOT / "requirements/agent.txt") == AGENT_BRINGS - {"luytre-agent", "luytre-common"}


def test_locks_name_no_index_and_pin_hashes() -> None:
    for path in sorted((ROOT / "requirements").glob("*.txt")):
        text = path.read_text()
        assert "--index-url" not in text, path
        assert "http" not in text, path
        pins = re.findall(r"^[A-Za-z0-9._-]+==(?:.*\\\n)*.*$", text, re.MULTILINE)
        assert pins, path
        assert all("--hash=sha256:" in pin for pin in pins), path


@pytest.mark.slow
def test_agent_wheels_in_an_empty_environment(tmp_path: Path) -> None:
    wheels = [next(DIST.glob(f"{name}-*.whl"), None) for name in ("luytre_common", "luytre_agent")]
    if None in wheels:
        pytest.skip("no wheels in dist/; `make wheels` builds them")
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True, timeout=120)
    python = environment / "bin/python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "-r", ROOT / "requirements/agent.txt"], check=True, timeout=150)
    subprocess.run([*pip, "--no-deps", *wheels], check=True, timeout=60)
    code = "import importlib.metadata as m; print(*sorted(d.name.lower().replace('_', '-') for d in m.distributions()))"
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    listed = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, timeout=30, env=clean)
    assert set(listed.stdout.split()) - {"pip", "setuptools"} == AGENT_BRINGS
    helped = subprocess.run(
        [environment / "bin/luytre-agent", "--help"], capture_output=True, text=True, timeout=30, env=clean, check=False
    )
    assert helped.returncode == 0, helped.stderr
