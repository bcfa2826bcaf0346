from __future__ import annotations

import shutil
import subprocess

import pytest
from luytre_agent.__main__ import main


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_it_names_every_command_and_the_shell_can_read_it(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("run", "replay", "check", "dump", "completion", "deliver", "json", "config"):
        assert word in script
    if shutil.which(shell):
        done = subprocess.run([shell, "-n"], input=script, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_bash_completes(capsys: pytest.CaptureFixture[str]) -> None:
    main(["completion", "bash"])
    script = capsys.readouterr().out
    ask = 'COMP_WORDS=(luytre-agent replay --js); COMP_CWORD=2; _luytre_agent; echo "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", script + ask], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "--json"
