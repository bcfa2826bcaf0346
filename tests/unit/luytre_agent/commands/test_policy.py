"""What `luytre-agent policy show`, `dump` and `check` say of policies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from luytre_agent.__main__ import main
from luytre_agent.policy.model import Given, Report
from luytre_agent.policy.state import File, Known

from tests.support.collector_end import Authority
from tests.support.policies import Signer


@pytest.fixture
def signer() -> Signer:
    return Signer()


@pytest.fixture
def configured(tmp_path: Path, signer: Signer) -> Path:
    identity = Authority(tmp_path / "pki").issue("web-01")
    signer.write_key(tmp_path / "policy.pub")
    path = tmp_path / "agent.toml"
    path.write_text(
        f"""
        [tls]
        authority = "{identity.authority}"
        certificate = "{identity.certificate}"
        key = "{identity.key}"
        [uplink]
        collector = "127.0.0.1:9"
        [spool]
        directory = "{tmp_path}/spool"
        [policy]
        key = "{tmp_path}/policy.pub"
        locked = ["redact"]
        [sources]
        state_directory = "{tmp_path}/state"
        """
    )
    return path


def keep(configured: Path, given: Given, known: Known | None = None) -> None:
    File(configured.parent / "spool-policy").write(
        known or Known(given.version, given, None, Report(given.version, "applied"))
    )


SETTINGS = 'sources.files.web_roots = ["/var/www"]\nredact.patterns = ["x"]'


def test_show_before_any_came(configured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "show", "--config", str(configured)]) == 0
    assert capsys.readouterr().out.startswith("policy    none came so far\nagent     web-01\nkey       ")


def test_show_what_is_in_force(configured: Path, signer: Signer, capsys: pytest.CaptureFixture[str]) -> None:
    keep(configured, signer.given(4, SETTINGS, more='group = "portals"\nreason = "r"\nexpires = 2099-01-01T00:00:00Z'))
    assert main(["policy", "show", "--config", str(configured)]) == 0
    out = capsys.readouterr().out
    assert "policy    version 4 (portals) is in force, 1 settings\n" in out
    assert "reason    r\nexpires   2099-01-01T00:00:00+00:00\n" in out
    assert 'sets      sources.files.web_roots = ["/var/www"]\nleaves    redact.patterns (locked on this host)\n' in out
    assert main(["policy", "show", "--json", "--config", str(configured)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["version"], found["settings"]) == (4, {"sources.files.web_roots": ["/var/www"]})
    assert (found["kept"], found["report"]["state"]) == (["redact.patterns"], "applied")


def test_show_why_none_is(configured: Path, signer: Signer, capsys: pytest.CaptureFixture[str]) -> None:
    def shown() -> str:
        assert main(["policy", "show", "--config", str(configured)]) == 0
        return capsys.readouterr().out.splitlines()[0]

    keep(configured, signer.given(4, SETTINGS, agents="db-*"))
    assert shown() == "policy    version 4 is not in force: it is not for web-01"
    keep(configured, signer.given(4, SETTINGS, more="expires = 2026-01-01T00:00:00Z"))
    assert shown() == "policy    version 4 is over: the host's own configuration counts"
    new = signer.given(5, SETTINGS)
    keep(configured, new, Known(5, None, new, Report(5, "trying")))
    assert shown() == "policy    none is in force; version 5 is being tried"
    keep(configured, new, Known(5, None, None, Report(5, "rolled_back", "files is gone")))
    assert shown() == "policy    none is in force; version 5 was taken back: files is gone"
    text = configured.read_text()
    configured.write_text(text.replace("[policy]\n", "[policy]\nenabled = false\n"))
    assert shown() == "policy    turned off on this host"
    configured.write_text(text.replace("key = " + f'"{configured.parent}/policy.pub"', ""))
    assert shown() == "policy    none: this host has no key for policies ([policy] key)"


def test_mistakes_are_one_line(configured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = configured.parent / "spool-policy"
    folder.mkdir()
    (folder / "state.json").write_text("{")
    assert main(["policy", "show", "--config", str(configured)]) == 2
    assert "damaged" in capsys.readouterr().err
    (folder / "state.json").unlink()
    (configured.parent / "pki/web-01.pem").unlink()
    assert main(["policy", "show", "--config", str(configured)]) == 2
    assert capsys.readouterr().err.endswith(
        "web-01.pem: No such file or directory; it says for which agent a policy is\n"
    )
    (configured.parent / "pki/web-01.pem").write_text("")
    assert main(["policy", "show", "--config", str(configured)]) == 2
    assert "no PEM certificate" in capsys.readouterr().err


def test_dump_shows_what_counts(configured: Path, signer: Signer, capsys: pytest.CaptureFixture[str]) -> None:
    def dumped(*options: str) -> str:
        assert main(["dump", "--config", str(configured), *options]) == 0
        return capsys.readouterr().out

    assert dumped() == dumped("--own")
    own = dumped()
    keep(configured, signer.given(4, SETTINGS))
    assert dumped("--own") == own
    found = dumped()
    assert found.startswith("# policy 4 sets sources.files.web_roots\n\n")
    assert 'web_roots = ["/var/www"]' in found
    (configured.parent / "policy.pub").unlink()
    assert dumped().startswith("# without policy: ")


def test_check_of_files_looks_at_the_key(configured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["check", "--config", str(configured), "--files", "--json"]
    assert main(command) == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)["checks"]] == [
        "config",
        "certificate",
        "policy key",
    ]
    (configured.parent / "policy.pub").write_text("none")
    assert main(command) == 1
    (last,) = json.loads(capsys.readouterr().out)["checks"][-1:]
    assert (last["ok"], last["remedy"]) == (False, "copy policy.pub there, from luytre-collector policy key init")


def test_check_says_what_policy_does(configured: Path, signer: Signer, capsys: pytest.CaptureFixture[str]) -> None:
    off = "\n".join(
        f"sources.{kind}.enabled = false" for kind in ("packets", "processes", "sockets", "logins", "files")
    )
    keep(configured, signer.given(4, off))
    main(["check", "--config", str(configured), "--timeout", "0.1", "--json"])
    checks = {one["name"]: one for one in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["policy"]["detail"] == "version 4 is in force, 5 settings"
    assert set(checks) == {"config", "certificate", "collector", "spool", "policy", "network", "inventory"}
