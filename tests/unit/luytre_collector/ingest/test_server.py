"""What the server does before there is a stream; the rest is in tests/integration/test_collector_delivery.py."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

import grpc
import pytest
from luytre_collector import pki
from luytre_collector.ingest.control import Control, EndedError, Peer, Stream
from luytre_collector.ingest.quarantine import Config as QuarantineConfig
from luytre_collector.ingest.quarantine import Quarantine
from luytre_collector.ingest.revocation import Revocation
from luytre_collector.ingest.server import Config, IngestServer, Renew, probe
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


def serving(folder: Path, control: Control, counters: Counters, renew: Renew | None = None) -> IngestServer:
    tls_config = tls.Config(folder / "authority.pem", folder / "localhost.pem", folder / "localhost.key")
    quarantine = Quarantine(QuarantineConfig(directory=folder / "aside"), Counters("quarantine"), lambda: 0.0)
    return IngestServer(
        Config(tls=tls_config, listen="127.0.0.1:0"),
        identity(folder, "localhost", "collector"),
        "c1",
        lambda batch, done: done(None),
        quarantine,
        counters,
        lambda: 1_800_000_000.0,
        [control],
        renew,
    )


async def converse(folder: Path, control: Control, counters: Counters) -> tuple[list[pb.CollectorMessage], str]:
    """A real agent's end says hello and a heartbeat: what it is told, and why the stream ends."""
    server = serving(folder, control, counters)
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


async def test_a_certificate_that_a_brought_list_revokes_is_not_renewed(folder: Path) -> None:
    """The books of an authority in another folder may know nothing of that list."""
    asked: list[Peer] = []

    async def sign(peer: Peer, request: pb.RenewRequest) -> pb.Certificate:
        asked.append(peer)
        return pb.Certificate(certificate=b"next")

    counters, brought = Counters("ingest"), folder / "brought.jsonl"
    control = Revocation([brought], counters, lambda: 1_800_000_000.0)
    control.load()
    server = serving(folder, control, counters, sign)
    address = await server.start()
    try:
        credentials = tls.channel_credentials(identity(folder, "web-01", "agent"))
        async with grpc.aio.secure_channel(address, credentials, options=service.OPTIONS) as channel:
            request = pb.RenewRequest(signing_request=b"x")
            assert (await service.renew(channel, request, 30)).certificate == b"next"
            fields = {"name": "", "revoked": "2026-11-30T00:00:00.000+00:00", "reason": "stolen"}
            line = {"serial": f"{asked[0].serial:x}", "fingerprint": "", **fields}
            brought.write_text(json.dumps(line) + "\n")
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await service.renew(channel, request, 30)
    finally:
        await server.stop(0)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert refused.value.details() == "this certificate was revoked on 2026-11-30"
    assert len(asked) == 1
    assert counters.get("turned_away", "revoked") == 1


class Doorkeeper(Control):
    """Takes its time."""

    def __init__(self) -> None:
        self.asked, self.open = asyncio.Event(), asyncio.Event()

    async def enter(self, peer: Peer, hello: pb.Hello) -> None:
        self.asked.set()
        await self.open.wait()


async def test_who_is_at_the_door_when_the_collector_stops_does_not_come_in(folder: Path) -> None:
    control, counters = Doorkeeper(), Counters("ingest")
    server = serving(folder, control, counters)
    address = await server.start()
    try:
        credentials = tls.channel_credentials(identity(folder, "web-01", "agent"))
        async with grpc.aio.secure_channel(address, credentials, options=service.OPTIONS) as channel:
            call = service.converse(channel)
            await call.write(pb.AgentMessage(hello=pb.Hello(protocol=1)))
            async with asyncio.timeout(30):
                await control.asked.wait()
                assert await server.drain(30)
                control.open.set()
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await call.read()
    finally:
        await server.stop(0)
    assert refused.value.details() == "the collector is stopping"
    assert counters.get("streams_opened") == 0


@pytest.mark.parametrize(("welcomed", "counter"), [(False, "turned_away"), (True, "unreadable_message")])
async def test_what_is_no_message_ends_the_stream_and_says_so(folder: Path, welcomed: bool, counter: str) -> None:
    counters = Counters("ingest")
    server = serving(folder, Control(), counters)
    address = await server.start()
    try:
        credentials = tls.channel_credentials(identity(folder, "web-01", "agent"))
        async with grpc.aio.secure_channel(address, credentials, options=service.OPTIONS) as channel:
            call: grpc.aio.StreamStreamCall[bytes, bytes] = channel.stream_stream(service.DELIVER)()
            if welcomed:
                await call.write(pb.AgentMessage(hello=pb.Hello(protocol=1)).SerializeToString())
                await call.read()
            await call.write(b"\xff\xff\xff\xff")
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                await call.read()
    finally:
        await server.stop(0)
    assert ended.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert counters.get(counter, "" if welcomed else "no_hello") == 1
