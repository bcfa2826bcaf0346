from __future__ import annotations

import stat
from pathlib import Path

import pytest
from luytre_agent.policy.judge import judge
from luytre_agent.policy.model import Given
from luytre_collector.policy import signing
from luytre_common.errors import UserError
from luytre_common.policy import load_keys, unpack

DOCUMENT = b'version = 3\nagents = ["web-*"]\n[settings]\nsources.files.enabled = false\n'


def test_what_the_operator_signs_the_agent_takes(tmp_path: Path) -> None:
    private, public, key = signing.init(tmp_path / "keys")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert load_keys(public) == (key,) == (signing.public_of(signing.load(private)),)
    source, target = tmp_path / "a.toml", tmp_path / "a.policy"
    source.write_bytes(DOCUMENT)
    assert signing.sign(source, signing.load(private), target).version == 3
    signed = unpack(target.read_bytes())
    assert signed.document == DOCUMENT
    assert judge(Given(3, signed.document, signed.signature), (key,), "web-01").version == 3


def test_no_key_is_overwritten(tmp_path: Path) -> None:
    signing.init(tmp_path)
    before = (tmp_path / "policy.key").read_bytes()
    with pytest.raises(UserError, match=r"policy.key: is there already"):
        signing.init(tmp_path)
    (tmp_path / "policy.key").unlink()
    with pytest.raises(UserError, match=r"policy.pub: is there already"):
        signing.init(tmp_path)
    assert before


def test_mistakes(tmp_path: Path) -> None:
    private, public, _ = signing.init(tmp_path / "keys")
    path = tmp_path / "other"
    path.write_bytes(public.read_bytes())
    path.chmod(0o600)
    with pytest.raises(UserError, match="not an Ed25519 private key"):
        signing.load(path)
    with pytest.raises(UserError, match="not an Ed25519 private key"):  # and not that the public half is too public
        signing.load(public)
    private.chmod(0o644)
    with pytest.raises(UserError, match="readable by others; run: chmod 600"):
        signing.load(private)
    private.chmod(0o600)
    key = signing.load(private)
    with pytest.raises(UserError, match="none: No such file or directory"):
        signing.load(tmp_path / "none")
    source = tmp_path / "a.toml"
    with pytest.raises(UserError, match=r"a.toml: No such file"):
        signing.sign(source, key, tmp_path / "a.policy")
    source.write_text("version = 0\nagents = ['a']\n[settings]\ntls.key = '/k'")
    with pytest.raises(UserError) as raised:
        signing.sign(source, key, tmp_path / "a.policy")
    assert [line.split(": ")[1] for line in str(raised.value).splitlines()] == ["version", "settings.tls"]
    assert not (tmp_path / "a.policy").exists()
    source.write_bytes(DOCUMENT)
    with pytest.raises(UserError, match="give another file with -o"):
        signing.sign(source, key, tmp_path / "no/such/a.policy")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="give a folder that you may write to"):
        signing.init(tmp_path / "file/keys")
