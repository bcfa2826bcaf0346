"""The command line: exit codes and one-line errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from luytre_collector.__main__ import main, parser


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
    for word in (
        "run",
        "check",
        "dump",
        "migrate",
        "query",
        "backup",
        "restore",
        "rules",
        "plan",
        "pki",
        "completion",
        "examples:",
        "exit codes",
    ):
        assert word in text


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
    code, out, err = run(capsys, "rules", "check", str(tmp_path))
    assert (code, out) == (2, "")
    assert (
        err
        == f"luytre-collector: {tmp_path}: no rules in this folder (*.yml, *.yaml); give a file or folder of rules\n"
    )
    code, out, _ = run(capsys, "rules", "fields")
    assert code == 0
    assert "process_args  a0..." in out


def test_pki_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "pki", "init", "--dir", str(tmp_path))[0] == 0
    code, _, err = run(capsys, "pki", "init", "--dir", str(tmp_path))
    assert code == 2
    assert len(err.splitlines()) == 1


def test_query_cares_for_the_store_alone(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "migrate", "--config", str(config))[0] == 0
    config.write_text(config.read_text().replace("[ingest.tls]", "[detect]\nrules = 7\n[ingest.tls]"))
    assert run(capsys, "query", "SELECT 1 AS one", "--csv", "--config", str(config))[1] == '"one"\n1\n'
    config.write_text("[store]\nengine = 'x'\n")
    code, _, err = run(capsys, "query", "SELECT 1", "--config", str(config))
    assert (code, err.startswith(f"luytre-collector: {config}: store.engine")) == (2, True)


@pytest.mark.parametrize(
    ("given", "sent", "code", "out", "err"),
    [
        ("-", b"SELECT 'tre' AS x", 0, b'{"x":"tre"}\n', b""),
        ("-", b"SELECT '\xff'", 2, b"", b"the statement is not UTF-8 at byte 8"),
        (b"SELECT '\xff'", b"", 2, b"", b"the statement is not UTF-8 at byte 8"),
        ("SELECT throwIf(1, unhex('1b5b33316d'))", b"", 2, b"", b"\\u001b[31m"),
    ],
)
def test_statements_from_outside(
    config: Path, capsys: pytest.CaptureFixture[str], given: str | bytes, sent: bytes, code: int, out: bytes, err: bytes
) -> None:
    assert run(capsys, "migrate", "--config", str(config))[0] == 0
    command = [sys.executable, "-m", "luytre_collector", "query", given, "--json", "--config", str(config)]
    done = subprocess.run(command, input=sent, capture_output=True, check=False, timeout=60)  # type: ignore[arg-type]
    assert (done.returncode, done.stdout) == (code, out), done.stderr
    assert err in done.stderr
    assert done.stderr.count(b"\n") == (1 if err else 0)


def test_little_is_imported_for_little() -> None:
    code = (
        "import sys; from luytre_collector.__main__ import parser; parser(); import luytre_collector.query;"
        " print([one for one in ('grpc', 'clickhouse_driver', 'hyperscan', 'cryptography') if one in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_check_looks_at_the_channels(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hook = '[[notify.webhook]]\nname = "a"\nurl = "http://127.0.0.1:1/"\n'
    config.write_text(config.read_text() + hook + hook)
    code, _, err = run(capsys, "check", "--config", str(config))
    assert (code, "two channels are called webhook:a" in err) == (2, True)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "completion", shell)
    assert code == 0
    for word in ("query", "rules", "issue", "host", "csv"):
        assert word in out


def test_bash_completes(capsys: pytest.CaptureFixture[str]) -> None:
    script = run(capsys, "completion", "bash")[1]
    ask = 'COMP_WORDS=(luytre-collector pki issue --ho); COMP_CWORD=3; _luytre_collector; echo "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", script + ask], capture_output=True, text=True, check=True)
    assert done.stdout == "--host\n"


def test_as_many_agents_as_the_system_allows() -> None:
    code = (
        "import resource as r; from luytre_collector.commands import running; r.setrlimit(r.RLIMIT_NOFILE, (99, 512));"
        " running._many_descriptors(); print(r.getrlimit(r.RLIMIT_NOFILE))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "(512, 512)\n"
