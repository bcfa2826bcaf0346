"""`query --help`: what it shows is there, and runs."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from luytre_collector.__main__ import main
from luytre_collector.store import views

ROOT = Path(__file__).parents[4]


def test_the_examples_run_and_the_views_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["query", "--help"])
    told = capsys.readouterr().out
    missing = [name for name, _, _ in views.statements("UTC") if not re.search(rf"\b{name}\b", told)]
    assert missing == []
    config = tmp_path / "collector.toml"
    config.write_text(f"[store.embedded]\ndirectory = {json.dumps(str(tmp_path / 'store'))}\n")
    examples = re.findall(r"^  luytre-collector (query .*)$", told, re.MULTILINE)
    assert len(examples) == 4
    for command in ["migrate", *examples]:
        line = f"{sys.executable} -m luytre_collector {command} --config {shlex.quote(str(config))}"
        done = subprocess.run(["sh", "-c", line], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, (command, done.stderr)
