from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from luytre_agent.__main__ import main
from luytre_agent.spool import Config, Spool
from luytre_agent.uplink import encode

from tests.support.collector_end import Sealed


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "agent.toml"
    path.write_text(
        '[tls]\nauthority = "a"\ncertificate = "c"\nkey = "k"\n[uplink]\ncollector = "collector.example:7071"\n'
        f'[spool]\ndirectory = "{tmp_path / "spool"}"\n'
    )
    return path


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """Ten hours of flows and logins, and no collector."""
    made = Spool(Config(directory=tmp_path / "spool"), encode, lambda: 1_700_036_000.0, "kernel")
    made.open()
    for minute in range(601):
        made.append(Sealed(), 1_700_000_000.0 + 60 * minute)
        if minute % 60 == 0:
            made.append(Sealed(table="logins"), 1_700_000_000.0 + 60 * minute)
    return made


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = main(["spool", *arguments])
    return code, capsys.readouterr().out


def test_status(config: Path, spool: Spool, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = run(capsys, "status", "--config", str(config))
    assert code == 0
    lines = text.splitlines()
    assert lines[0].startswith(f"spool    {spool.config.directory}, in use by process ")
    assert lines[1].startswith("quota    4,294,967,296 bytes, 0.0% used by ")
    row = next(line for line in lines if line.startswith("last    flows")).split()
    assert row[2:4] == ["601", "6,010"]
    assert row[-1] == "2023-11-14T22:13:20Z"
    assert "of outage until the first batch goes, at the rate of the 10.0 h that are in it" in text
    assert "until class first gives way" in text
    spool.close()
    code, text = run(capsys, "status", "--config", str(config), "--json")
    found = json.loads(text)
    assert code == 0
    assert found["holder"] is None
    assert found["tables"]["logins"]["class"] == "first"
    assert found["classes"]["first"]["waiting_rows"] == 110
    assert found["total"]["oldest_waiting"] == "2023-11-14T22:13:20Z"
    assert found["lasts_hours"]["last"] == pytest.approx(found["max_bytes"] / found["total"]["bytes"] * 10)
    assert found["left_hours"] < found["lasts_hours"]["last"]


def test_verify(config: Path, spool: Spool, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = run(capsys, "verify", "--config", str(config))
    assert code == 0
    assert text == (f"6,120 rows in 612 batches in 2 segments of {spool.config.directory}: all sound\n")
    spool.close()
    path = min(spool.config.directory.glob("*.seg"))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    code, text = run(capsys, "verify", "--config", str(config))
    assert code == 1
    assert text.splitlines()[0].startswith(f"FAIL  {path.name} at byte ")
    code, text = run(capsys, "verify", "--config", str(config), "--json")
    found = json.loads(text)
    assert code == 1
    assert not found["ok"]
    assert found["faults"][0]["file"] == path.name


def test_without_a_spool(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("status", "verify"):
        assert main(["spool", verb, "--config", str(config)]) == 2
        assert "no spool is here yet; start the agent" in capsys.readouterr().err


def test_the_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["spool"], ["spool", "status"], ["spool", "verify"]):
        with pytest.raises(SystemExit):
            main([*words, "--help"])
        assert "luytre-agent spool" in capsys.readouterr().out
