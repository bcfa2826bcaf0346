"""Bad input, typed at the real commands: one clear line that names the thing and the remedy, exit code 2, no traceback,
and nothing lost that was good."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
from pathlib import Path
from random import Random

import pytest
from luytre_collector import pki

from deploy.demo import make_capture
from deploy.demo.services import AGENT, COLLECTOR, Site
from tests.integration.conftest import Start, command

_LINKTYPE_USER0 = 147  # pcap-linktype(7): for private use, so never ours


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("capture") / "story.pcap"
    make_capture.make(path, 1_764_000_000.0, Random(3))
    return path


def complaint(done: subprocess.CompletedProcess[str], *words: str, lines: int = 1) -> None:
    """It ended with 2 and said `lines` lines, with all of these words in them."""
    said = [line for line in done.stderr.splitlines() if line]
    assert done.returncode == 2, (done.returncode, said)
    assert "Traceback" not in done.stderr
    assert len(said) == lines, said
    for word in words:
        assert word in done.stderr, (word, said)


def test_truncated_capture(capture: Path, tmp_path: Path) -> None:
    whole = capture.read_bytes()
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(whole[: len(whole) // 2])
    done = command([*AGENT, "replay", cut, "--json"])
    complaint(done, str(cut), "byte", "what came before is complete")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    every = command([*AGENT, "replay", capture, "--json"])
    assert 0 < len(rows) < len(every.stdout.splitlines())


def test_corrupt_record_in_the_middle(capture: Path, tmp_path: Path) -> None:
    content = bytearray(capture.read_bytes())
    first_length = struct.unpack_from("<I", content, 24 + 8)[0]
    struct.pack_into("<I", content, 24 + 16 + first_length + 8, 0xFFFFFFF0)  # the captured length of the second record
    broken = tmp_path / "broken.pcap"
    broken.write_bytes(content)
    done = command([*AGENT, "replay", broken, "--json"])
    complaint(done, str(broken), "byte")
    assert len(done.stdout.splitlines()) == 1, "the packet before it is a row"


def test_not_a_capture(tmp_path: Path) -> None:
    noise = tmp_path / "noise.pcap"
    noise.write_bytes(Random(1).randbytes(4096))
    complaint(command([*AGENT, "replay", noise]), str(noise), "pcap")


def test_empty_and_missing_files(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pcap"
    empty.touch()
    complaint(command([*AGENT, "replay", empty]), str(empty))
    complaint(command([*AGENT, "replay", tmp_path / "none.pcap"]), "none.pcap", "No such file")


def test_unknown_link_type(capture: Path, tmp_path: Path) -> None:
    content = bytearray(capture.read_bytes())
    struct.pack_into("<I", content, 20, _LINKTYPE_USER0)
    other = tmp_path / "other.pcap"
    other.write_bytes(content)
    complaint(command([*AGENT, "replay", other]), str(other), "link type", str(_LINKTYPE_USER0))


def test_a_good_file_after_a_bad_one_is_still_read(capture: Path, tmp_path: Path) -> None:
    noise = tmp_path / "noise.pcap"
    noise.write_bytes(b"no capture at all")
    done = command([*AGENT, "replay", noise, capture, "--json"])
    complaint(done, str(noise))
    assert len(done.stdout.splitlines()) == len(command([*AGENT, "replay", capture, "--json"]).stdout.splitlines())


def test_agent_config_with_three_faults(site: Site) -> None:
    config = site.agent_toml("web-01", collector="127.0.0.1:7071")
    text = config.read_text()
    text = text.replace('collector = "127.0.0.1:7071"', 'collector = "no port"')
    text = text.replace("reconnect_seconds = 1.0", "reconect_seconds = 1.0")
    text = text.replace("interval_seconds = 1.0", 'interval_seconds = "often"')
    config.write_text(text)
    done = command([*AGENT, "run", "--config", config])
    complaint(done, "uplink.collector", "HOST:PORT", "uplink.reconect_seconds", "did you mean reconnect_seconds",
              "health.interval_seconds", "a number", str(config), lines=3)  # fmt: skip


def test_collector_config_with_three_faults(site: Site) -> None:
    text = site.collector_toml.read_text()
    text = text.replace("interval_s = 1.0", "interval_s = -1.0", 1)
    text = text.replace('internal = ["10.77.0.0/16"', 'internal = ["10.77.0.0/99"')
    text = text.replace("[quarantine]", "[quarantin]")
    site.collector_toml.write_text(text)
    done = command([*COLLECTOR, "run", "--config", site.collector_toml])
    complaint(done, "correlations.interval_s", "networks.internal", "10.77.0.0/99", "quarantin", str(site.folder),
              lines=3)  # fmt: skip


def test_config_that_is_no_toml_or_not_there(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text("[uplink\ncollector = 1\n")
    complaint(command([*AGENT, "run", "--config", config]), str(config), "line 1")
    complaint(command([*COLLECTOR, "run", "--config", tmp_path / "none.toml"]), "none.toml", "--config")


@pytest.mark.parametrize("arguments", [["run"], ["replay", "--deliver", "CAPTURE"]])
def test_certificate_of_another_authority(site: Site, capture: Path, tmp_path: Path, arguments: list[str]) -> None:
    stranger = tmp_path / "stranger"
    pki.init_authority(stranger)
    pki.issue(stranger, "web-01", "agent")
    text = site.agent_toml("web-01", collector="127.0.0.1:7071").read_text()
    config = tmp_path / "stranger.toml"
    for file in ("web-01.pem", "web-01.key"):
        text = text.replace(str(site.certificates / file), str(stranger / file))
    config.write_text(text)
    done = command([*AGENT, *(capture if one == "CAPTURE" else one for one in arguments), "--config", config])
    complaint(done, str(stranger / "web-01.pem"), "refused by authority", str(site.certificates), "pki issue")


def test_collector_with_the_certificate_of_an_agent(site: Site) -> None:
    pki.issue(site.certificates, "web-01", "agent")
    text = site.collector_toml.read_text()
    for suffix in (".pem", ".key"):
        text = text.replace(str(site.certificates / "collector") + suffix, str(site.certificates / "web-01") + suffix)
    site.collector_toml.write_text(text)
    done = command([*COLLECTOR, "run", "--config", site.collector_toml])
    complaint(done, "web-01.pem", "purpose", "pki issue NAME --collector")


def test_agent_of_another_authority_altogether(site: Site, ours: Start, tmp_path: Path) -> None:
    """Neither end talks to what its own authority has not signed; `check` says so, nothing reaches the tables."""
    ours(site.start_collector())
    stranger = tmp_path / "stranger"
    pki.init_authority(stranger)
    pki.issue(stranger, "web-01", "agent")
    config = site.agent_toml("web-01")
    config.write_text(config.read_text().replace(str(site.certificates), str(stranger)))
    done = command([*AGENT, "check", "--config", config])
    assert done.returncode == 1
    assert "not of our authority" in done.stdout, done.stdout
    assert str(stranger / "authority.pem") in done.stdout
    assert "Traceback" not in done.stderr
    assert site.query("SELECT count() AS rows FROM agent_health") == [{"rows": 0}]


def test_key_that_others_can_read(site: Site) -> None:
    config = site.agent_toml("web-01", collector="127.0.0.1:7071")
    (site.certificates / "web-01.key").chmod(0o644)
    complaint(command([*AGENT, "run", "--config", config]), "web-01.key", "chmod 600")


def test_rule_file_with_a_syntax_error(site: Site, ours: Start, tmp_path: Path) -> None:
    """It is named with its line; the collector starts with the other rules."""
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "broken.yml").write_text("title: Broken\ndetection:\n  a: [1, 2\n  condition: a\n")
    (rules / "good.yml").write_text(
        "title: Good\nid: 7f0d5b0e-6a37-4f0a-9d0c-000000000001\nlevel: low\nlogsource:\n  category: dns\n"
        "detection:\n  a:\n    query: bad.example\n  condition: a\n"
    )
    done = command([*COLLECTOR, "rules", "check", rules])
    assert done.returncode == 2, done
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    assert any("broken.yml" in line and ":" in line for line in said.splitlines()), said
    text = site.collector_toml.read_text() + f'\n[detect]\nrules = ["{rules}"]\n'
    site.collector_toml.write_text(text)
    collector = ours(site.start_collector())
    assert "broken.yml" in collector.log_text()
    assert "1 rules" in collector.log_text()


def test_port_in_use(site: Site) -> None:
    address = site.collector_toml.read_text().split('listen = "')[1].split('"')[0]
    host, _, port = address.partition(":")
    with socket.create_server((host, int(port))):
        done = command([*COLLECTOR, "run", "--config", site.collector_toml])
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert address in done.stderr.splitlines()[-1]
    assert "in use" in done.stderr.lower()


def test_store_locked_by_another_collector(site: Site, ours: Start, tmp_path: Path) -> None:
    first = ours(site.start_collector())
    second = tmp_path / "second.toml"
    second.write_text(site.collector_toml.read_text().replace(site.address, "127.0.0.1:0"))
    done = command([*COLLECTOR, "run", "--config", second])
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert str(site.folder / "store") in last
    assert str(first.pid) in last
    assert first.running
    assert site.query("SELECT count() AS rows FROM flows") == [{"rows": 0}]
