"""Who is revoked does not come in, and is cut off if it is in."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from luytre_collector import pki
from luytre_collector.ingest.control import EndedError, Peer
from luytre_collector.ingest.revocation import Revocation
from luytre_collector.pki import books
from luytre_common.errors import UserError
from luytre_common.telemetry import Counters
from luytre_common.wire.v1 import ingest_pb2 as pb

from tests.support.streams import FakeStream

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
HOUR_US = 3_600_000_000


def clock() -> datetime:
    return NOW


class Scene:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.time = NOW.timestamp()
        self.counters = Counters("ingest")
        pki.init_authority(folder, clock=clock)
        for name in ("web-01", "web-02"):
            pki.issue(folder, name, "agent", clock=clock)
        self.control = Revocation(
            [folder / "brought.jsonl", folder / "revoked.jsonl"], self.counters, lambda: self.time
        )
        self.control.load()

    def peer(self, name: str) -> Peer:
        entry = next(one for one in books.Books(self.folder).issued() if one.name == name)
        now_us = int(NOW.timestamp() * 1e6)
        return Peer(name, int(entry.serial, 16), entry.fingerprint, now_us + 6 * HOUR_US, "ipv4:192.0.2.7:1", now_us)

    def revoke(self, name: str) -> None:
        books.revoke(books.Books(self.folder), name, "stolen, ticket 4711", clock)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


async def test_refused_at_the_door_without_a_restart(scene: Scene) -> None:
    await scene.control.enter(scene.peer("web-01"), pb.Hello())
    scene.revoke("web-01")
    with pytest.raises(EndedError) as refused:
        await scene.control.enter(scene.peer("web-01"), pb.Hello())
    assert refused.value.status is grpc.StatusCode.PERMISSION_DENIED
    assert refused.value.message == "this certificate was revoked on 2026-11-30"
    await scene.control.enter(scene.peer("web-02"), pb.Hello())
    assert scene.counters.get("turned_away", "revoked") == 1
    assert scene.counters.get("certificates_revoked") == 1


async def test_a_list_that_was_brought_counts_as_well(scene: Scene) -> None:
    scene.revoke("web-01")
    (scene.folder / "revoked.jsonl").rename(scene.folder / "brought.jsonl")
    with pytest.raises(EndedError):
        await scene.control.enter(scene.peer("web-01"), pb.Hello())
    scene.revoke("web-02")
    for name in ("web-01", "web-02"):
        with pytest.raises(EndedError):
            await scene.control.enter(scene.peer(name), pb.Hello())
    assert scene.counters.get("certificates_revoked") == 2


async def test_cut_off_at_once(scene: Scene) -> None:
    good, bad = FakeStream(scene.peer("web-02")), FakeStream(scene.peer("web-01"))
    scene.control.entered(good)
    scene.control.entered(bad)
    watching = asyncio.create_task(scene.control.watch())
    try:
        scene.revoke("web-01")
        async with asyncio.timeout(30):
            while not bad.ended:
                await asyncio.sleep(0.01)
    finally:
        watching.cancel()
    assert bad.ended == [("cut", grpc.StatusCode.PERMISSION_DENIED, "this certificate was revoked on 2026-11-30")]
    assert good.ended == []
    await scene.control.look()
    assert scene.counters.get("streams_cut", "revoked") == 1
    scene.control.left(bad)


async def test_revoked_on_the_doorstep(scene: Scene) -> None:
    stream = FakeStream(scene.peer("web-01"))
    await scene.control.enter(stream.peer, pb.Hello())
    scene.revoke("web-01")
    await scene.control.look()
    scene.control.entered(stream)
    assert len(stream.ended) == 1


async def test_an_expired_certificate_ends_its_stream(scene: Scene) -> None:
    stream = FakeStream(scene.peer("web-01"))
    scene.control.entered(stream)
    scene.time += 5 * 3600 - 1
    await scene.control.look()
    assert scene.counters.get("certificates_expiring") == 0
    scene.time += 2
    await scene.control.look()
    assert scene.counters.get("certificates_expiring") == 1
    assert stream.ended == []
    scene.time += 3600
    await scene.control.look()
    assert stream.ended == [("end", grpc.StatusCode.UNAVAILABLE, "the certificate has expired")]
    assert scene.counters.get("streams_cut", "expired") == 1


async def test_what_was_revoked_stays_revoked_when_the_list_is_lost(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.revoke("web-01")
    path = scene.folder / "revoked.jsonl"
    for number, damage in enumerate((lambda: path.write_text("nonsense\n"), path.unlink), 1):
        with pytest.raises(EndedError):
            await scene.control.enter(scene.peer("web-01"), pb.Hello())
        damage()
        with pytest.raises(EndedError):
            await scene.control.enter(scene.peer("web-01"), pb.Hello())
        assert scene.counters.get("revocations_unreadable") == number
    assert "what was revoked stays revoked" in caplog.text


def test_a_faulty_list_stops_the_start(scene: Scene) -> None:
    (scene.folder / "revoked.jsonl").write_text("nonsense\n")
    with pytest.raises(UserError, match="line 1 is not a revocation"):
        scene.control.load()
    if os.geteuid() == 0:
        return
    (scene.folder / "revoked.jsonl").chmod(0)
    with pytest.raises(UserError, match="Permission denied"):
        scene.control.load()
