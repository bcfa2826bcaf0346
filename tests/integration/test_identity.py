"""An agent's identity from its first certificate to its last, with the real programs: enrolled by a token, renewed by
itself, refused when two hosts have it, cut off when it is revoked, and never believed in what a batch says."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pyarrow as pa
import pytest
from luytre_agent.certificate import facts
from luytre_common import tls
from luytre_common.wire.v1 import ingest_pb2 as pb

from deploy.demo.services import AGENT, COLLECTOR, Service, Site
from tests.integration.conftest import Start, command, free_port
from tests.support.batches import ipc, message, rows
from tests.support.collector import AgentStream, stream

DEADLINE_S = 90.0
#: What needs no rights and makes few rows: its own counters are rows enough.
QUIET = "".join(
    f"[sources.{kind}]\nenabled = false\n"
    for kind in ("packets", "processes", "sockets", "logins", "files", "inventory")
)


class Scene:
    """A collector that enrols, and what is done to it by its commands."""

    def __init__(self, folder: Path, start: Start, enrol: str = "") -> None:
        self.site = Site(folder)
        self.start = start
        self.port = free_port()
        tokens = json.dumps(str(folder / "tokens"))
        settings = f'\n[enrol]\nlisten = "127.0.0.1:{self.port}"\ntokens = {tokens}\n{enrol}'
        self.site.make(listen=f"127.0.0.1:{free_port()}", settings=settings)
        self.collector = start(self.site.start_collector())

    def admin(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = command([*COLLECTOR, *arguments])
        assert done.returncode == 0, done.stderr
        return done

    def token(self, *arguments: str) -> str:
        return self.admin("enrol", "token", "--config", str(self.site.collector_toml), *arguments).stdout.strip()

    def enrol(self, name: str, token: str, *more: str) -> subprocess.CompletedProcess[str]:
        address = f"127.0.0.1:{self.port}"
        arguments = ["--collector", address, "--token", token, "--name", name, "--dir", str(self.folder(name)), *more]
        return command([*AGENT, "enrol", *arguments])

    def folder(self, name: str) -> Path:
        return self.site.folder / f"agent-{name}"

    def identity(self, name: str) -> tls.Identity:
        folder = self.folder(name)
        return tls.read(tls.Config(*(folder / file for file in ("authority.pem", "agent.pem", "agent.key"))), "agent")

    def agent(self, name: str) -> Service:
        """The agent, with the certificate that it was enrolled with."""
        path = self.site.agent_toml(name, QUIET)
        text = path.read_text()
        for file, key in (("authority.pem", "authority"), ("agent.pem", "certificate"), ("agent.key", "key")):
            text = re.sub(rf"(?m)^{key} = .*$", f"{key} = {json.dumps(str(self.folder(name) / file))}", text)
        path.write_text(text)
        service = self.start(self.site.agent(path))
        service.start()
        return service

    def value(self, sql: str) -> int:
        (row,) = self.site.query(sql)
        return int(next(iter(row.values())))

    def rows(self, name: str, after: float = 0.0) -> int:
        return self.value(
            f"SELECT count() FROM agent_health WHERE agent_id = '{name}' AND event_time > toDateTime64({after}, 6)"
        )

    def counter(self, table: str, name: str, label: str = "") -> int:
        return self.value(
            f"SELECT max(value) FROM {table} WHERE counter = '{name}' AND ('{label}' = '' OR label = '{label}')"
        )

    def until(self, ready: Callable[[], bool], *services: Service) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not ready():
            assert time.monotonic() < deadline, "\n".join(one.log_text()[-3000:] for one in services)
            time.sleep(0.2)


@pytest.fixture
def scene(tmp_path: Path, ours: Start) -> Scene:
    return Scene(tmp_path, ours)


@pytest.fixture
def short(tmp_path: Path, ours: Start) -> Scene:
    return Scene(tmp_path, ours, "valid_hours = 0.01\n")  # 36 seconds: renewed with 12 to 9 of them left


def hello(agent: AgentStream, **fields: str) -> pb.Welcome:
    agent.send(pb.AgentMessage(hello=pb.Hello(protocol=1, host_name="a.example", **fields)))
    return agent.next().welcome


@pytest.mark.slow
def test_enrolled_revoked_and_enrolled_again(scene: Scene) -> None:
    token = scene.token("--name", "web-01")
    done = scene.enrol("web-01", token)
    assert done.returncode == 0, done.stderr
    assert f'collector = "{scene.site.address}"' in done.stdout
    assert scene.folder("web-01").joinpath("agent.key").stat().st_mode & 0o777 == 0o600
    used = scene.enrol("web-02", token)
    assert used.returncode == 2
    assert "is used up" in used.stderr
    assert scene.enrol("web-01", token).stdout.endswith("is there already, for web-01; --again enrols anew\n")

    agent = scene.agent("web-01")
    scene.until(lambda: scene.rows("web-01") > 0, agent, scene.collector)

    # The same certificate from another host: refused, alerted, and the first is not disturbed.
    with stream(scene.site.address, scene.identity("web-01")) as other:
        with pytest.raises(grpc.RpcError) as refused:
            hello(other, machine_id="00" * 32, kernel_boot_id="11111111-2222-4333-8444-555555555555")
        assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS
    scene.until(lambda: scene.value("SELECT count() FROM alerts WHERE rule_name LIKE 'Agent Certificate%'") > 0, agent)
    (alert,) = scene.site.query("SELECT rule_level, rule_name_vi, agent_id FROM alerts WHERE rule_name LIKE 'Agent C%'")
    assert alert == {
        "rule_level": "high",
        "rule_name_vi": "Chứng thư của một agent được dùng từ hai máy",
        "agent_id": "web-01",
    }
    assert agent.log_text().count("connected to collector") == 1

    scene.admin("pki", "revoke", "web-01", "--reason", "stolen", "--dir", str(scene.site.certificates))
    scene.until(lambda: "refused our identity: this certificate was revoked on" in agent.log_text(), agent)
    scene.until(lambda: scene.counter("collector_health", "streams_cut", "revoked") == 1, scene.collector)
    scene.until(lambda: scene.counter("collector_health", "turned_away", "revoked") > 0, scene.collector)
    listed = scene.admin("pki", "list", "--all", "--json", "--dir", str(scene.site.certificates)).stdout
    states = {(row["name"], row["state"], row["reason"]) for row in map(json.loads, listed.splitlines())}
    assert ("web-01", "revoked", "stolen") in states
    agent.kill()  # what waits in its spool is delivered under the next certificate

    cut = time.time()
    done = scene.enrol("web-01", scene.token("--name", "web-01"), "--again")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("until it is restarted: systemctl restart luytre-agent\n")
    agent = scene.agent("web-01")
    scene.until(lambda: scene.rows("web-01", cut) > 0, agent, scene.collector)
    agent.stop()
    (whole,) = scene.site.query(
        "SELECT sum(n) AS n, sum(d) AS d, sum(m) AS m FROM (SELECT count() AS n, uniqExact(sequence) AS d,"
        " max(sequence) + 1 AS m FROM agent_health GROUP BY agent_id, boot_id, stream)"
    )
    assert whole["n"] == whole["d"] == whole["m"]  # nothing lost, nothing twice, whatever was cut
    assert re.search(r"luytre\.audit: enrolled name=web-01 serial=[0-9a-f]+ ", scene.collector.log_text())


@pytest.mark.slow
def test_renewed_before_the_end_and_nothing_lost(short: Scene) -> None:
    done = short.enrol("web-01", short.token())
    assert done.returncode == 0, done.stderr
    first = short.identity("web-01")
    agent = short.agent("web-01")
    ends = facts(first.certificate).not_after.timestamp()
    short.until(lambda: short.counter("agent_health", "renewals") >= 1, agent, short.collector)
    assert short.identity("web-01").certificate != first.certificate
    short.until(lambda: short.rows("web-01", ends + 1) > 0, agent, short.collector)  # the first one has expired
    assert short.counter("collector_health", "renewed") >= 1
    assert short.counter("agent_health", "renewals_failed") == 0
    assert "certificate renewed: web-01 is good until" in agent.log_text()
    agent.stop()
    (whole,) = short.site.query(
        "SELECT count() AS n, uniqExact(sequence) AS d, max(sequence) + 1 AS m"
        " FROM agent_health WHERE agent_id = 'web-01'"
    )
    assert whole["n"] == whole["d"] == whole["m"]


def test_no_field_makes_one_agent_another(scene: Scene) -> None:
    """web-02 says in every field that it is web-01: all its rows are web-02's, and web-01's own are not touched."""
    for name in ("web-01", "web-02"):
        assert scene.enrol(name, scene.token()).returncode == 0
    boot = "0d4f6c0e-3f0b-4a5e-9d0e-0f5a1d2b3c4d"
    record = rows("flows", 5)
    forged = pa.RecordBatch.from_arrays(
        [*record.columns, *(pa.array(["web-01"] * 5) for _ in range(3))],
        names=[*record.schema.names, "agent_id", "collector_id", "organisation"],
    )
    with stream(scene.site.address, scene.identity("web-02")) as liar:
        welcome = hello(liar, boot_id=boot, machine_id="aa" * 32, kernel_boot_id=boot)
        assert welcome.agent_id == "web-02"
        answers = liar.deliver(
            message("flows", 5, boot=boot, raw=ipc(forged)),
            message("flows", 5, 5, boot=boot, stream="web-01"),
            message("agent_health", 5, boot=boot),
        )
        assert [one.WhichOneof("kind") for one in answers] == ["ack", "ack", "ack"]
    count = "SELECT agent_id, count() AS n FROM {} GROUP BY agent_id"
    assert scene.site.query(count.format("flows")) == [{"agent_id": "web-02", "n": 10}]
    # The numbers that it has used are its own: the real web-01 is stored under the same ones.
    with stream(scene.site.address, scene.identity("web-01")) as honest:
        hello(honest, boot_id=boot, machine_id="aa" * 32, kernel_boot_id=boot)
        (answer,) = honest.deliver(message("flows", 5, boot=boot))
        assert answer.ack.through_sequence == 4
    assert {row["agent_id"]: row["n"] for row in scene.site.query(count.format("flows"))} == {"web-01": 5, "web-02": 10}
    # Nor does a signing request for another's name.
    assert scene.enrol("web-01", scene.token("--names", "web-0?"), "--again").returncode == 2


def test_a_host_that_was_rebooted_comes_in_when_its_old_stream_does_not_answer(scene: Scene) -> None:
    assert scene.enrol("web-01", scene.token()).returncode == 0
    identity = scene.identity("web-01")
    with stream(scene.site.address, identity) as before, stream(scene.site.address, identity) as after:
        hello(before, machine_id="aa" * 32, kernel_boot_id="1")
        assert hello(after, machine_id="aa" * 32, kernel_boot_id="2").agent_id == "web-01"
        assert before.next().ping.nonce != 0
        with pytest.raises(grpc.RpcError) as cut:
            before.next()
        assert cut.value.code() is grpc.StatusCode.UNAVAILABLE
        (answer,) = after.deliver(message("flows", 5))
        assert answer.ack.through_sequence == 4
    assert scene.value("SELECT count() FROM alerts WHERE rule_name LIKE 'Agent Certificate%'") == 0
