"""`pki sign`, `list` and `revoke`, as an admin runs them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from luytre_collector import pki
from luytre_collector.__main__ import main
from luytre_collector.pki.books import Books

from tests.support.requests import signing_request


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pki.init_authority(tmp_path / "pki")
    pki.issue(tmp_path / "pki", "web-01", "agent")
    pki.issue(tmp_path / "pki", "web-02", "agent")
    return tmp_path / "pki"


def run(folder: Path, *arguments: str) -> int:
    return main(["pki", arguments[0], "--dir", str(folder), *arguments[1:]])


def test_a_request_is_signed(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    request, out = folder / "a.csr", folder / "a.pem"
    request.write_bytes(signing_request("db-01", greedy=True))
    assert run(folder, "sign", str(request), "--name", "db-01", "--days", "30", "--out", str(out)) == 0
    assert "name         db-01" in capsys.readouterr().out
    signed = x509.load_pem_x509_certificate(out.read_bytes())
    assert signed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert [one.by for one in Books(folder).issued()] == ["issue", "issue", "sign"]
    assert run(folder, "sign", str(request), "--out", str(out)) == 2
    assert "exists" in capsys.readouterr().err
    stdin = io.TextIOWrapper(io.BytesIO(request.read_bytes()))
    monkeypatch.setattr("sys.stdin", stdin)
    assert run(folder, "sign", "-") == 0
    assert capsys.readouterr().out.startswith("-----BEGIN CERTIFICATE-----")


def test_what_is_not_signed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    request = folder / "a.csr"
    for data, arguments, reason in (
        (signing_request("db-01"), ["--name", "db-02"], "asks for 'db-01', not for 'db-02'"),
        (b"nonsense", [], "not a signing request"),
        (signing_request("db-01"), ["--days", "0"], "0 days"),
    ):
        request.write_bytes(data)
        assert run(folder, "sign", str(request), *arguments) == 2
        assert reason in capsys.readouterr().err
    assert run(folder, "sign", str(folder / "none")) == 2
    assert "No such file" in capsys.readouterr().err
    assert len(Books(folder).issued()) == 2


def test_listed_and_revoked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "revoke", "web-01", "--reason", "thẻ 4711") == 0
    out = capsys.readouterr().out
    assert out.startswith("revoked  web-01")
    assert str(folder / "revoked.jsonl") in out
    assert run(folder, "revoke", "ab:" * 31 + "ab") == 0
    capsys.readouterr()
    assert run(folder, "list") == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()] == ["web-02", "2"]
    assert run(folder, "list", "--all") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["web-01", "web-02", "?"]
    assert lines[0].endswith("thẻ 4711")
    assert run(folder, "list", "--all", "--json") == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["name"], one["state"], one["reason"]) for one in found] == [
        ("web-01", "revoked", "thẻ 4711"),
        ("web-02", "good", ""),
        ("", "revoked", ""),
    ]
    assert found[0].keys() == found[2].keys()


def test_mistakes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "revoke", "web-09") == 2
    assert "is no certificate of these books" in capsys.readouterr().err
    assert run(folder / "none", "revoke", "web-01") == 2
    assert "there is no such folder" in capsys.readouterr().err
    assert run(folder / "none", "list") == 2
    assert "there is no such folder" in capsys.readouterr().err
