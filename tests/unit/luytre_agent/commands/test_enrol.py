"""`luytre-agent enrol`: what it says and what it writes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from luytre_agent import config, enrolment
from luytre_agent.__main__ import main
from luytre_agent.enrolment import Enrolled

TOKEN = f"lt1.01234567.{'s' * 32}.{'p' * 43}"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What would be asked of the collector; tests/integration/test_identity.py asks one."""
    calls: list[tuple[Any, ...]] = []

    def enrol(*arguments: Any) -> Enrolled:
        calls.append(arguments)
        return Enrolled(enrolment.files_in(arguments[3]), arguments[2], 7071, arguments[3] / "policy.pub")

    monkeypatch.setattr(enrolment, "enrol", enrol)
    return calls


def run(folder: Path, *more: str) -> int:
    return main(["enrol", "--collector", "soc.example:7072", "--dir", str(folder / "pki"), *more])


def test_the_least_that_can_be_given(
    asked: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "WEB-01")
    assert run(tmp_path, "--token", TOKEN) == 0
    assert asked == [("soc.example:7072", TOKEN, "web-01", tmp_path / "pki", 30.0, None)]
    out = capsys.readouterr().out
    assert "enrolled as web-01" in out
    assert 'collector = "soc.example:7071"' in out
    assert f"policy key   {tmp_path}/pki/policy.pub" in out


def test_a_configuration_that_is_not_there_is_made(asked: Any, tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    assert run(tmp_path, "--token", TOKEN, "--name", "web-01", "--config", str(path)) == 0
    loaded = config.load(path)
    assert loaded.uplink.collector == "soc.example:7071"
    assert loaded.tls.key == tmp_path / "pki/agent.key"
    assert loaded.policy.key == tmp_path / "pki/policy.pub"


def test_one_that_is_there_is_completed(asked: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "agent.toml"
    shipped = (Path(__file__).parents[4] / "deploy/config/agent.toml").read_text()
    path.write_text(shipped)
    path.chmod(0o640)
    assert run(tmp_path, "--token", TOKEN, "--name", "web-01", "--config", str(path)) == 0
    loaded = config.load(path)
    assert loaded.uplink.collector == "soc.example:7071"
    assert loaded.tls.certificate == tmp_path / "pki/agent.pem"
    assert loaded.policy.key == tmp_path / "pki/policy.pub"
    assert path.stat().st_mode & 0o777 == 0o640
    comments = [line for line in shipped.splitlines() if line.startswith("#")]
    assert [line for line in path.read_text().splitlines() if line.startswith("#")] == comments
    assert run(tmp_path, "--token", TOKEN, "--name", "web-01", "--config", str(path)) == 0
    assert "says so already" in capsys.readouterr().out


def test_one_that_cannot_be_completed_is_left_alone(
    asked: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "agent.toml"
    text = 'tls = { authority = "a", certificate = "b", key = "c" }\n'
    path.write_text(text)
    assert run(tmp_path, "--token", TOKEN, "--name", "web-01", "--config", str(path)) == 0
    assert path.read_text() == text
    assert f'set [tls] key = "{tmp_path}/pki/agent.key"' in capsys.readouterr().out
    path.write_text("nonsense")
    assert run(tmp_path, "--token", TOKEN, "--name", "web-01", "--config", str(path)) == 2
    assert "not TOML" in capsys.readouterr().err


def test_the_token_from_elsewhere_than_the_command_line(asked: Any, tmp_path: Path, monkeypatch: Any) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    assert run(tmp_path, "--token-file", str(file), "--name", "a") == 0
    monkeypatch.setattr("sys.stdin", io.StringIO(TOKEN + "\n"))
    assert run(tmp_path, "--token-file", "-", "--name", "a") == 0
    assert [one[1] for one in asked] == [TOKEN, TOKEN]


def test_mistakes(asked: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "--token", TOKEN, "--name", "Web_01") == 2
    assert "cannot be a name; give --name" in capsys.readouterr().err
    assert run(tmp_path, "--token-file", str(tmp_path / "none"), "--name", "a") == 2
    assert "none: No such file" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["enrol", "--collector", "soc.example", "--token", TOKEN])
    assert ended.value.code == 2
    assert "is not HOST:PORT" in capsys.readouterr().err
    assert asked == []
