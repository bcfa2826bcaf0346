"""What the server does before there is a stream; the rest is in tests/integration/test_collector_delivery.py."""

from __future__ import annotations

import socket
from pathlib import Path

import grpc
import pytest
from luytre_collector import pki
from luytre_collector.ingest.control import Control, EndedError, Peer, Stream
from luytre_collector.ingest.quarantine import Config as QuarantineConfig
from luytre_collector.ingest.quarantine import Quarantine
from luytre_collector.ingest.server import Config, IngestServer, probe
from luytre_common import tls
from luytre_common.errors import UserError
from luytre_common.telemetry import Counters
from luytre_common.wire.v1 import ingest_pb2 as pb
from luytre_common.wire.v1 import service


def test_a_port_in_use_says_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UserError, match=rf"^{address}: Address already in use; .*ingest\.listen"):
            probe(address)
    probe(address)


def test_an_address_that_is_not_ours() -> None:
    with pytest.raises(UserError, match="Cannot assign requested address"):
        probe("192.0.2.1:7071")


def test_a_name_that_does_not_resolve() -> None:
    with pytest.raises(UserError, match=r"nowhere\.invalid:7071: "):
        probe("nowhere.invalid:7071")


def test_ipv6() -> None:
    probe("[::1]:0")


class Recorder(Control):
    """Lets everybody in but those that it was told not to, and remembers."""

    def __init__(self, banned: str = "") -> None:
        self.banned = banned
        self.events: list[str] = []

    async def enter(self, peer: Peer, hello: pb.Hello) -> None:
        if peer.agent_id == self.banned:
            raise EndedError(grpc.StatusCode.PERMISSION_DENIED, f"{hello.host_name} is banned")

    def entered(self, stream: Stream) -> None:
        self.events.append(f"entered {stream.peer.agent_id} {stream.hello.host_name}")
        stream.tell(pb.CollectorMessage(policy=pb.Policy(version=9)))

    def heard(self, stream: Stream, message: pb.AgentMessage) -> None:
        self.events.append(f"heard {message.WhichOneof('kind')}")
        stream.cut(grpc.StatusCode.ABORTED, "that is enough")

    def left(self, stream: Stream) -> None:
        self.events.append(f"left {stream.peer.agent_id}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pki.init_authority(tmp_path)
    pki.issue(tmp_path, "web-01", "agent")
    pki.issue(tmp_path, "localhost", "collector", ["localhost", "127.0.0.1"])
    return tmp_path


def identity(folder: Path, name: str, end: tls.End) -> tls.Identity:
    return tls.read(tls.Config(folder / "authority.pem", folder / f"{name}.pem", folder / f"{name}.key"), end)


async def converse(folder: Path, control: Control, counters: Counters) -> tuple[list[pb.CollectorMessage], str]:
    """A real agent's end says hello and a heartbeat: what it is told, and why the stream ends."""
    tls_config = tls.Config(folder / "authority.pem", folder / "localhost.pem", folder / "localhost.key")
    quarantine = Quarantine(QuarantineConfig(directory=folder / "aside"), Counters("quarantine"), lambda: 0.0)
    server = IngestServer(
        Config(tls=tls_config, listen="127.0.0.1:0"),
        identity(folder, "localhost", "collector"),
        "c1",
        lambda batch, done: done(None),
        quarantine,
        counters,
        lambda: 1_800_000_000.0,
        [control],
    )
    address = await server.start()
    told: list[pb.CollectorMessage] = []
    reason = ""
    try:
        credentials = tls.channel_credentials(identity(folder, "web-01", "agent"))
        async with grpc.aio.secure_channel(address, credentials, options=service.OPTIONS) as channel:
            call = service.converse(channel)
            try:
                await call.write(pb.AgentMessage(hello=pb.Hello(protocol=1, host_name="máy-1")))
                told.append(message) if isinstance(message := await call.read(), pb.CollectorMessage) else None
                told.append(message) if isinstance(message := await call.read(), pb.CollectorMessage) else None
                await call.write(pb.AgentMessage(heartbeat=pb.Heartbeat()))
                await call.read()
            except grpc.RpcError as error:
                reason = f"{error.code().name}: {error.details()}"
    finally:
        await server.stop(0)
    return told, reason


async def test_controls_hear_of_a_stream_and_have_their_say(folder: Path) -> None:
    control, counters = Recorder(), Counters("ingest")
    told, reason = await converse(folder, control, counters)
    assert [one.WhichOneof("kind") for one in told] == ["welcome", "policy"]
    assert reason == "ABORTED: that is enough"
    assert control.events == ["entered web-01 máy-1", "heard heartbeat", "left web-01"]
    assert counters.get("messages_heard", "heartbeat") == 1
    assert counters.get("policies_sent") == 1
    assert counters.get("agents_connected") == 0


async def test_a_control_can_turn_away(folder: Path) -> None:
    control, counters = Recorder(banned="web-01"), Counters("ingest")
    told, reason = await converse(folder, control, counters)
    assert told == []
    assert reason == "PERMISSION_DENIED: máy-1 is banned"
    assert control.events == []
