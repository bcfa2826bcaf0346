"""Which way of watching there is, by rights and limits."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from luytre_agent.sources import files
from luytre_agent.sources.files import Config, Files
from luytre_common.errors import Unavailable


def _opened_by(command: list[str], config: str) -> dict[str, Any]:
    """What comes of opening a source in a Python process that `command` starts."""
    code = (
        "import json\n"
        "from luytre_agent.sources.files import *\n"
        f"source, error = Files(Config({config})), ''\n"
        "try: source.open()\n"
        "except Unavailable as unavailable: error = str(unavailable)\n"
        "samples = [(one.name, one.label) for one in source.samples()]\n"
        "print(json.dumps({'error': error, 'rung': source.rung, 'refused': source.refused, 'samples': samples}))"
    )
    done = subprocess.run([*command, sys.executable, "-c", code], check=True, capture_output=True, text=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


NO_RIGHTS = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]


@pytest.mark.root
def test_without_rights_the_next_rung_is_taken_and_the_refusal_told() -> None:
    told = _opened_by(NO_RIGHTS, "homes=False")
    assert told["rung"] == "inotify"
    assert told["refused"] == [["fanotify", "fanotify_init: Operation not permitted"]]
    assert ["refused", "fanotify"] in told["samples"]
    error = _opened_by(NO_RIGHTS, "rung='fanotify'")["error"]
    assert error.startswith("changes of files: fanotify: fanotify_init: Operation not permitted; run the agent as root")


@pytest.mark.root
def test_a_full_inotify_limit_names_the_sysctl(folder: Path) -> None:
    """In a user namespace of its own the limit can be set to nothing."""
    script = 'echo 0 > /proc/sys/user/max_inotify_watches; exec "$@"'
    told = _opened_by(
        ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh"],
        f"rung='inotify', defaults=False, homes=False, paths=[{str(folder)!r}]",
    )
    assert "No space left on device; raise the sysctl fs.inotify.max_user_watches" in told["error"]
    assert ["directories_refused", "inotify"] in told["samples"]


def test_a_rung_that_is_none_and_places_that_are_none() -> None:
    with pytest.raises(Unavailable, match="there is no such rung; give fanotify or inotify"):
        Files(Config(rung="kprobe")).open()  # type: ignore[arg-type]
    assert files.build(Config(enabled=False)) == {}
    with pytest.raises(Unavailable, match="none of the directories"):
        Files(Config(defaults=False, homes=False)).open()


@pytest.mark.root
def test_the_defaults_of_this_machine_open_and_close() -> None:
    source = Files(Config())
    source.open()
    assert (source.rung, source.refused) == ("fanotify", [])
    assert {sample.name: sample.value for sample in source.samples()}["directories_watched"] > 10
    source.close()
    assert source.poll(0.0) == ()
