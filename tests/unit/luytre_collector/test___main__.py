"""The command line: exit codes and one-line errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from luytre_collector.__main__ import COMMANDS, main, parser


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    out = capsys.readouterr()
    return code, out.out, out.err


@pytest.fixture
def config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    pki = str(tmp_path / "pki")
    assert main(["pki", "init", "--dir", pki]) == 0
    assert main(["pki", "issue", "c", "--collector", "--host", "127.0.0.1", "--dir", pki]) == 0
    capsys.readouterr()
    path = tmp_path / "collector.toml"
    path.write_text(f"""
[ingest.tls]
authority = "{pki}/authority.pem"
certificate = "{pki}/c.pem"
key = "{pki}/c.key"
[store.embedded]
directory = "{tmp_path}/store"
""")
    return path


def test_help_has_examples_of_every_group(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parser().parse_args(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for word in ("run", "check", "dump", "migrate", "query", "rules", "pki", "examples:", "exit codes"):
        assert word in text
    assert len(COMMANDS) == 4


@pytest.mark.parametrize(
    "arguments", [[], ["fly"], ["query"], ["pki", "issue", "x"], ["query", "x", "--json", "--csv"]]
)
def test_wrong_use_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_check_dump_migrate_query(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "check", "--config", str(config))
    assert (code, err) == (0, "")
    assert "fine" in out
    code, out, _ = run(capsys, "dump", "--config", str(config))
    assert code == 0
    assert "[ingest.tls]" in out
    code, out, _ = run(capsys, "query", "SELECT 1 AS one", "--config", str(config))
    assert code == 2  # nothing there yet
    code, out, _ = run(capsys, "migrate", "--config", str(config))
    assert code == 0
    assert "flows" in out
    assert run(capsys, "migrate", "--config", str(config))[1] == "nothing to do\n"
    code, out, _ = run(capsys, "query", "SELECT count() AS n FROM flows", "--json", "--config", str(config))
    assert (code, json.loads(out)) == (0, {"n": 0})
    code, out, _ = run(capsys, "query", "SELECT 1 AS one", "--csv", "--config", str(config))
    assert (code, out) == (0, '"one"\n1\n')
    code, out, err = run(capsys, "query", "DROP TABLE flows", "--config", str(config))
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1


def test_errors_are_lines_that_name_the_thing(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "check", "--config", str(tmp_path / "none.toml"))
    assert (code, out) == (2, "")
    assert err.startswith(f"luytre-collector: {tmp_path}/none.toml: No such file or directory")
    config.write_text("[ingest]\nlisten = 7\n[store]\nengine = 'x'\n")
    code, out, err = run(capsys, "check", "--config", str(config))
    assert code == 2
    assert len(err.splitlines()) == 5  # listen, engine, and three files of TLS
    assert all(line.startswith("luytre-collector: ") for line in err.splitlines())


def test_check_reads_the_certificates(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pki/c.key").chmod(0o644)
    code, _, err = run(capsys, "check", "--config", str(config))
    assert code == 2
    assert "chmod 600" in err


def test_a_bad_rule_is_one_bad_rule(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.yml").write_text("title: [\n")
    config.write_text(f'[detect]\nrules = ["{tmp_path}/bad.yml"]\n{config.read_text()}')
    code, out, err = run(capsys, "check", "--config", str(config))
    assert code == 2
    assert "bad.yml" in err
    assert "1 faults" in out


def test_rules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "rules", "list", "--json")
    assert code == 0
    assert json.loads(out)["faults"] == []
    assert len(json.loads(out)["rules"]) > 5
    code, out, _ = run(capsys, "rules", "check")
    assert code == 0, out
    assert "0 faults, 0 failed examples" in out
    assert "not run" not in out
    code, _, err = run(capsys, "rules", "check", str(tmp_path / "none"))
    assert code == 2
    assert "no such file" in err


def test_pki_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "pki", "init", "--dir", str(tmp_path))[0] == 0
    code, _, err = run(capsys, "pki", "init", "--dir", str(tmp_path))
    assert code == 2
    assert len(err.splitlines()) == 1
