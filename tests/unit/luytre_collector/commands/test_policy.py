"""`policy` as its users call it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from luytre_collector.__main__ import main
from luytre_collector.policy.control import Heard
from luytre_collector.policy.reports import report_rows
from luytre_collector.store import embedded, readonly
from luytre_common.policy import ALLOWED

DOCUMENT = """version = 12
group = "portals"
agents = ["web-*", "db-01"]
expires = 2099-01-01T00:00:00Z
reason = "r"
[settings.sources.files]
web_roots = ["/var/www"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "collector.toml").write_text(
        f"""
        [ingest.tls]
        authority = "/a"
        certificate = "/b"
        key = "/c"
        [store.embedded]
        directory = "{tmp_path}/store"
        [policy]
        directory = "{tmp_path}/policies"
        key = "{tmp_path}/keys/policy.pub"
        """
    )
    (tmp_path / "a.toml").write_text(DOCUMENT)
    assert main(["policy", "key", "init", "--dir", str(tmp_path / "keys")]) == 0
    return tmp_path


def run(folder: Path, *arguments: str, config: bool = False) -> int:
    given = [str(folder / one) if "." in one and (folder / one).exists() else one for one in arguments]
    return main(["policy", *given, *(["--config", str(folder / "collector.toml")] if config else [])])


def published(folder: Path) -> None:
    assert run(folder, "sign", "a.toml", "--key", "keys/policy.key", "-o", str(folder / "a.policy")) == 0
    assert run(folder, "publish", "a.policy", config=True) == 0


def test_from_key_to_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "key", "show", "keys/policy.pub") == 0
    key_id = capsys.readouterr().out.strip()
    assert main(["policy", "key", "init", "--dir", str(folder / "another")]) == 0
    assert capsys.readouterr().out.split()[-1] != key_id
    assert run(folder, "check", "a.toml") == 0
    assert capsys.readouterr().out == f"{folder}/a.toml: good: version 12, 1 settings, not signed\n"
    published(folder)
    out = capsys.readouterr().out
    assert f"a.policy: version 12 for web-*, db-01, signed by {key_id}\n" in out
    assert f"{folder}/policies/portals-12.policy: version 12 for web-*, db-01\n" in out
    assert run(folder, "check", "a.policy", "--key", "keys/policy.pub") == 0
    assert "1 settings, signed\n" in capsys.readouterr().out
    assert run(folder, "check", "a.policy") == 0
    assert "signed (by whom: --key policy.pub)" in capsys.readouterr().out
    assert run(folder, "list", config=True) == 0
    assert capsys.readouterr().out == (
        "    12  portals          web-*, db-01: 1 settings, until 2099-01-01T00:00:00+00:00\n"
    )
    assert run(folder, "list", "--json", config=True) == 0
    assert json.loads(capsys.readouterr().out)["version"] == 12
    assert run(folder, "publish", "a.policy", "--dir", str(folder / "elsewhere")) == 0
    assert (folder / "elsewhere/portals-12.policy").exists()


def test_show(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(folder, "show", "a.toml") == 0
    assert capsys.readouterr().out == (
        "version     12\ngroup       portals\nagents      web-*, db-01\nexpires     2099-01-01T00:00:00+00:00\n"
        'reason      r\nsets        sources.files.web_roots = ["/var/www"]\n'
    )
    assert run(folder, "show", "a.toml", "--json") == 0
    assert json.loads(capsys.readouterr().out)["settings"] == {"sources.files.web_roots": ["/var/www"]}
    (folder / "a.toml").write_text("version = 1\nagents = ['a']")
    assert run(folder, "show", "a.toml") == 0
    assert "sets        nothing" in capsys.readouterr().out


def test_mistakes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    published(folder)
    capsys.readouterr()

    def said(*arguments: str, config: bool = False) -> str:
        assert run(folder, *arguments, config=config) == 2
        return capsys.readouterr().err

    (folder / "bad.toml").write_text("version = 0\nagents = []\n[settings]\nuplink.collector = 'evil:1'")
    assert said("check", "bad.toml").count("bad.toml: ") == 3
    assert "settings.uplink: no policy may set that" in said("show", "bad.toml")
    assert "settings.uplink" in said("sign", "bad.toml", "--key", "keys/policy.key", "-o", str(folder / "b"))
    assert "not a signed policy" in said("publish", "a.toml", config=True)
    assert main(["policy", "key", "init", "--dir", str(folder / "other")]) == 0
    capsys.readouterr()
    assert "not signed by a key of" in said("check", "a.policy", "--key", "other/policy.pub")
    assert run(folder, "sign", "a.toml", "--key", "other/policy.key", "-o", str(folder / "b.policy")) == 0
    capsys.readouterr()
    assert "not signed by a key of policy.key" in said("publish", "b.policy", config=True)
    (folder / "policies/b.policy").write_text("?")
    assert "b.policy: not a signed policy" in said("list", config=True)


def test_keys(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(folder, "keys") == 0
    out = capsys.readouterr().out
    assert all(f"`{key}`" in out for key in ALLOWED)
    assert run(folder, "keys", "--json") == 0
    assert json.loads(capsys.readouterr().out)["additionalProperties"] is False


def test_status(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    published(folder)
    store = embedded.EmbeddedStore(embedded.Config(folder / "store"), readonly.Config())
    store.open()
    store.migrate()

    def heard(agent: str, at: int, version: int, state: str, message: str = "") -> Heard:
        return Heard(agent, f"{agent}.example", 1_800_000_000_000_000 + at, version, state, message)

    said = [heard("web-01", 1, 11, "applied"), heard("web-01", 2, 12, "trying"), heard("web-01", 3, 12, "applied")]
    store.insert("policy_reports", report_rows(said, "boot", 0), "a")
    store.close()
    capsys.readouterr()
    assert run(folder, "status", config=True) == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split() == ["agent", "in", "force", "due", "group", "verdict", "heard", "(UTC)", "message"]
    assert line.split() == ["web-01", "12", "12", "portals", "current", "2027-01-15", "08:00:00"]
    store.open()
    more = [heard("db-01", 4, 12, "rolled_back", "files is gone\x1b[2J"), heard("mail-01", 5, 3, "applied")]
    more += [heard("web-01", 6, 9, "refused", "old")]
    store.insert("policy_reports", report_rows(more, "boot", 3), "b")
    store.close()
    assert run(folder, "status", "--json", config=True) == 1
    found = {one["agent_id"]: one for one in map(json.loads, capsys.readouterr().out.splitlines())}
    assert {name: (one["verdict"], one["in_force"], one["due"]) for name, one in found.items()} == {
        "db-01": ("rolled back", 0, 12),
        "mail-01": ("older one goes on", 3, 0),
        "web-01": ("current", 12, 12),
    }
    assert run(folder, "status", config=True) == 1
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "(version 9) old" in out
    assert run(folder, "status", "--agent", "web-01", config=True) == 0
    assert "db-01" not in capsys.readouterr().out
