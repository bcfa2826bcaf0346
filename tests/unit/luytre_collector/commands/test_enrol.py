"""`enrol token`, `list` and `revoke`, as an admin runs them."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from luytre_collector import pki
from luytre_collector.__main__ import main


@pytest.fixture
def config(tmp_path: Path) -> Path:
    pki.init_authority(tmp_path)
    path = tmp_path / "collector.toml"
    path.write_text(f"""
[ingest.tls]
authority = "{tmp_path}/authority.pem"
certificate = "{tmp_path}/soc.pem"
key = "{tmp_path}/soc.key"
[enrol]
tokens = "{tmp_path}/tokens"
""")
    return path


def run(config: Path, *arguments: str) -> int:
    return main(["enrol", arguments[0], "--config", str(config), *arguments[1:]])


def test_made_listed_and_revoked(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(config, "token", "--names", "web-*", "--uses", "3", "--hours", "8") == 0
    out, err = capsys.readouterr()
    token = out.strip()
    head, name, secret, pin = token.split(".")
    authority = x509.load_pem_x509_certificate((config.parent / "authority.pem").read_bytes())
    assert base64.urlsafe_b64decode(pin + "=") == authority.fingerprint(hashes.SHA256())
    assert "good 3 times for web-*" in err
    assert "[enrol] listen is not set" in err
    assert "luytre-agent enrol --collector HOST:PORT --token ..." in err
    assert secret not in err
    assert head == "lt1"

    assert run(config, "list") == 0
    assert capsys.readouterr().out.split() == [name, "web-*", "0", "of", "3", _until(config), "good"]
    assert run(config, "list", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["id"], shown["names"], shown["uses"], shown["state"]) == (name, "web-*", 3, "good")
    assert "hashed" not in shown
    assert secret not in json.dumps(shown)

    assert run(config, "revoke", name) == 0
    assert "good no more; it was used 0 times" in capsys.readouterr().out
    assert run(config, "list") == 0
    assert "revoked" in capsys.readouterr().out
    assert run(config, "revoke", "ffffffff") == 2
    assert "no such token" in capsys.readouterr().err


def _until(config: Path) -> str:
    return str(json.loads((config.parent / "tokens").read_text())["expires"])[:16]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--name", "web-*"], "is a pattern; give patterns with --names"),
        (["--name", "WEB"], "cannot be a name or pattern"),
        (["--uses", "0"], "0 uses: give 1 to 10000"),
        (["--hours", "0"], "0 hours: give more than 0"),
    ],
)
def test_mistakes(config: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str) -> None:
    assert run(config, "token", *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert reason in err
    assert err.count("\n") == 1


def test_no_authority(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (config.parent / "authority.pem").write_text("nonsense")
    assert run(config, "token") == 2
    assert "is not a certificate" in capsys.readouterr().err
    (config.parent / "authority.pem").unlink()
    assert run(config, "token") == 2
    assert "pki init" in capsys.readouterr().err
