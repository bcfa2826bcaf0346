from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from luytre_agent.__main__ import main
from luytre_agent.commands.check import certificate
from luytre_common import tls

from tests.support.collector_end import Authority, Collector

CAPTURE = Path(__file__).parents[3] / "golden/capture/tcp.pcap"


def write_config(folder: Path, identity: tls.Config, port: int, capture: Path = CAPTURE) -> Path:
    path = folder / "agent.toml"
    path.write_text(
        f'[tls]\nauthority = "{identity.authority}"\ncertificate = "{identity.certificate}"\nkey = "{identity.key}"\n'
        f'[uplink]\ncollector = "127.0.0.1:{port}"\n[spool]\ndirectory = "{folder / "spool"}"\n'
        f'[sources]\nstate_directory = "{folder / "state"}"\n'
        f"[sources.packets]\nenabled = false\n[sources.processes]\nenabled = false\n"
        f'[sources.replay]\nfiles = ["{capture}"]\n'
    )
    return path


def check(config: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, dict[str, Any]]]:
    code = main(["check", "--config", str(config), "--json", "--timeout", "5"])
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] == (code == 0)
    return code, {one["name"]: one for one in found["checks"]}


def test_all_is_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    authority, collector = Authority(tmp_path / "pki"), Collector()
    collector.start(authority.issue("collector"))
    try:
        config = write_config(tmp_path, authority.issue("web-01", days=90), collector.port)
        code, found = check(config, capsys)
        assert code == 0
        assert found["certificate"]["detail"].startswith("web-01, good until")
        assert found["collector"]["detail"] == f"127.0.0.1:{collector.port} takes us as web-01"
        assert "will be made" in found["spool"]["detail"]
        assert not (tmp_path / "spool").exists(), "a check leaves nothing behind"
        assert found[f"replay:{CAPTURE}"]["detail"] == "available"
        assert main(["check", "--config", str(config)]) == 0
        assert "ok    collector" in capsys.readouterr().out
    finally:
        collector.stop()


def test_everything_that_fails_is_named_with_its_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    authority, other = Authority(tmp_path / "pki"), Authority(tmp_path / "other", "other")
    collector = Collector()
    collector.start(other.issue("collector"))
    (tmp_path / "spool").write_text("in the way")
    try:
        config = write_config(tmp_path, authority.issue("web-01", days=-1), collector.port, tmp_path / "none.pcap")
        code, found = check(config, capsys)
    finally:
        collector.stop()
    assert code == 1
    failed = {name: one["remedy"] for name, one in found.items() if not one["ok"]}
    assert failed.keys() == {"certificate", "collector", "spool", f"replay:{tmp_path / 'none.pcap'}"}
    assert all(failed.values())
    assert "not of our authority" in found["collector"]["detail"]
    assert found["certificate"]["detail"].endswith("expired")


def test_a_collector_that_refuses_us(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    authority = Authority(tmp_path / "pki")
    collector = Collector(refuse_with=(grpc.StatusCode.PERMISSION_DENIED, "revoked"))
    collector.start(authority.issue("collector"))
    try:
        code, found = check(write_config(tmp_path, authority.issue("web-01"), collector.port), capsys)
    finally:
        collector.stop()
    assert code == 1
    assert found["collector"]["detail"].endswith("refused our identity: revoked")


def test_a_key_that_others_can_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    identity = Authority(tmp_path / "pki").issue("web-01")
    identity.key.chmod(0o644)
    code, found = check(write_config(tmp_path, identity, 1), capsys)
    assert code == 1
    assert found["certificate"]["remedy"].startswith("run: chmod 600")
    assert "collector" not in found


def test_a_certificate_that_ends_soon_or_begins_later(tmp_path: Path) -> None:
    identity = tls.read(Authority(tmp_path).issue("web-01", days=60), "agent")
    now = datetime.now(UTC)
    assert certificate(identity, now).remedy == ""
    soon = certificate(identity, now + timedelta(days=50))
    assert soon.ok
    assert soon.remedy.startswith("it should have been renewed")
    assert not certificate(identity, now - timedelta(days=10)).ok


def test_files_alone_ask_nobody_and_open_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path, Authority(tmp_path / "pki").issue("web-01", days=90), 1)
    assert main(["check", "--files", "--config", str(config)]) == 0
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["ok", "config"],
        ["ok", "certificate"],
    ]
    (tmp_path / "pki/web-01.key").chmod(0o644)
    assert main(["check", "--files", "--config", str(config)]) == 1
    assert "readable by others" in capsys.readouterr().out
    config.write_text("nonsense")
    assert main(["check", "--files", "--config", str(config)]) == 2
