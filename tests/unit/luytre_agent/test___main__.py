from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from luytre_agent import __version__
from luytre_agent.__main__ import main

CAPTURE = Path(__file__).parents[2] / "golden/capture/tcp.pcap"


def test_help_of_every_command_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ([], ["run"], ["replay"], ["check"], ["dump"], ["completion"]):
        with pytest.raises(SystemExit) as end:
            main([*command, "--help"])
        assert end.value.code == 0
        assert "examples:\n  luytre-agent" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"luytre-agent {__version__}\n"


@pytest.mark.parametrize(
    "command", [[], ["fly"], ["run", "--for", "-1"], ["run", "--for", "soon"], ["replay"], ["completion", "tcsh"]]
)
def test_wrong_options_end_with_two(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(command)
    assert end.value.code == 2
    assert "luytre-agent" in capsys.readouterr().err


def test_a_users_mistake_is_one_line_and_two(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for command in ("run", "check", "dump"):
        assert main([command, "--config", str(tmp_path / "none.toml")]) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.count("\n") == 1
        assert shown.err.startswith(f"luytre-agent: {tmp_path}/none.toml: No such file")


def test_a_reader_that_has_enough_is_no_error() -> None:
    command = f"{sys.executable} -m luytre_agent replay {' '.join([str(CAPTURE)] * 200)} --json | head -1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
    assert done.returncode == 0
