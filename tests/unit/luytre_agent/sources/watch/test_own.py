from __future__ import annotations

import sys
from pathlib import Path

import luytre_agent
import luytre_common
import pytest
from luytre_agent.sources.watch.own import own_parts


def test_what_the_agent_consists_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/luytre-agent", "run"])
    found = own_parts(Path("spool"), [Path("/etc/luytre/agent.toml"), Path("pki/agent.key")])
    assert found.spool == str(Path.cwd() / "spool")
    assert set(found.places) == {
        "/etc/luytre/agent.toml",
        str(Path.cwd() / "pki/agent.key"),
        str(Path(str(luytre_agent.__file__)).parent),
        str(Path(str(luytre_common.__file__)).parent),
        "/usr/bin/luytre-agent",
    }


def test_another_program_that_runs_it_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/python3"])
    assert "/usr/bin/python3" not in own_parts(Path("/s"), []).places
    monkeypatch.setattr(sys, "argv", ["luytre-agent"])
    assert "luytre-agent" not in own_parts(Path("/s"), []).places
