"""Tokens: their secret is not kept, and they are good for what they were made for, as often and as long."""

from __future__ import annotations

import hashlib
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from luytre_collector.enrol import tokens
from luytre_collector.enrol.tokens import Token, Tokens, Use
from luytre_common.errors import UserError

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
PIN = hashlib.sha256(b"authority").hexdigest()


def made(names: str = "web-*", uses: int = 2, hours: float = 24.0) -> tuple[str, Token]:
    return tokens.make(names, uses, hours, PIN, NOW, os.urandom)


def test_the_secret_is_not_kept(tmp_path: Path) -> None:
    text, token = made()
    store = Tokens(tmp_path / "tokens")
    store.add(token, NOW)
    kept = (tmp_path / "tokens").read_text()
    secret = text.split(".")[2]
    assert len(text) <= tokens.MAX_LENGTH
    assert secret not in kept
    assert hashlib.sha256(secret.encode()).hexdigest() in kept
    assert (tmp_path / "tokens").stat().st_mode & 0o777 == 0o600
    assert store.find(text) == token


def test_only_the_whole_token_is_found(tmp_path: Path) -> None:
    text, token = made()
    store = Tokens(tmp_path / "tokens")
    store.add(token, NOW)
    head, name, secret, pin = text.split(".")
    other = secret[:-1] + ("A" if secret[-1] != "A" else "B")
    for wrong in (
        "", text[:-1], text + "x", text * 2, f"{head}.{name}.{other}.{pin}", f"{head}.00000000.{secret}.{pin}", "é" * 90
    ):  # fmt: skip
        assert store.find(wrong) is None, wrong


def test_states() -> None:
    _, token = made(uses=1, hours=1.0)
    assert token.state(NOW) == "good"
    assert token.state(NOW + timedelta(hours=1)) == "expired"
    assert Token(**{**vars(token), "used": (Use("web-01", "k", ""),)}).state(NOW) == "used up"
    assert Token(**{**vars(token), "revoked": True}).state(NOW) == "revoked"


@pytest.mark.parametrize(
    ("names", "name", "allowed", "only_one"),
    [
        ("web-01", "web-01", True, True),
        ("web-01", "web-011", False, True),
        ("web-*", "web-01", True, False),
        ("web-?", "web-01", False, False),
        ("*", "anything", True, False),
    ],
)
def test_names(names: str, name: str, allowed: bool, only_one: bool) -> None:
    _, token = made(names)
    assert (token.allows(name), token.only_one) == (allowed, only_one)


@pytest.mark.parametrize(
    ("names", "uses", "hours"),
    [
        ("", 1, 1),
        ("Web", 1, 1),
        ("[ab]", 1, 1),
        ("a", 0, 1),
        ("a", 10_001, 1),
        ("a", 1, 0),
        ("a", 1, 9000),
        ("a", 1, float("nan")),
    ],
)
def test_what_no_token_can_be(names: str, uses: int, hours: float) -> None:
    with pytest.raises(UserError):
        made(names, uses, hours)


def test_uses_and_revocation_are_seen_by_others(tmp_path: Path) -> None:
    text, token = made()
    ours, theirs = Tokens(tmp_path / "tokens"), Tokens(tmp_path / "tokens")
    ours.add(token, NOW)
    with ours.open():
        ours.used(token, Use("web-01", "key", "now"))
    found = theirs.find(text)
    assert found is not None
    assert found.has_enrolled("web-01", "key")
    assert not found.has_enrolled("web-01", "other")
    assert theirs.revoke(token.id).revoked
    assert ours.read()[token.id].state(NOW) == "revoked"
    with pytest.raises(UserError, match=r"ffffffff: no such token; see: luytre-collector enrol list"):
        ours.revoke("ffffffff")


def test_old_ones_are_dropped_when_another_is_made(tmp_path: Path) -> None:
    store = Tokens(tmp_path / "tokens")
    _, old = made()
    store.add(old, NOW)
    _, new = tokens.make("a", 1, 1.0, PIN, NOW + timedelta(days=100), os.urandom)
    store.add(new, NOW + timedelta(days=100))
    assert list(store.read()) == [new.id]


def test_faults_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    store = Tokens(path)
    assert store.read() == {}
    path.write_text("{}\n")
    path.chmod(0o644)
    with pytest.raises(UserError, match=f"chmod 600 {re.escape(str(path))}"):
        store.read()
    path.chmod(0o600)
    with pytest.raises(UserError, match="line 1 is not a token"):
        store.read()
    with pytest.raises(UserError, match=r"no such folder; .*\[enrol\] tokens"), Tokens(tmp_path / "no/tokens").open():
        pass
