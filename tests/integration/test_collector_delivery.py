"""A real collector and a real gRPC client: every row in the tables once, whatever is cut, killed or repeated."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from luytre_collector import pki
from luytre_common.errors import UserError
from luytre_common.wire.v1 import ingest_pb2 as pb

from tests.support.batches import ipc, message, rows
from tests.support.collector import CollectorProcess, issue_client, stream

BOOTS = [f"00000000-0000-4000-8000-{number:012d}" for number in range(20)]


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CollectorProcess]:
    made = CollectorProcess(
        tmp_path_factory.mktemp("collector"), "[health]\ninterval_s = 0.2\n", "hello_timeout_s = 1.0\nmax_streams = 3"
    )
    made.start()
    yield made
    made.close()


def stored(collector: CollectorProcess, boot: str, table: str = "flows") -> tuple[int, int, int]:
    """Rows, distinct numbers, and the largest number of one numbering."""
    (row,) = collector.query(
        f"SELECT count() AS n, uniqExact(sequence) AS d, max(sequence) AS m FROM {table} WHERE boot_id = '{boot}'"
    )
    return int(row["n"]), int(row["d"]), int(row["m"])


def wait_for_rows(collector: CollectorProcess, boot: str, count: int) -> None:
    deadline = time.monotonic() + 30
    while stored(collector, boot)[0] < count:
        assert time.monotonic() < deadline, collector.log()
        time.sleep(0.02)


def test_rows_are_stored_before_they_are_acknowledged(collector: CollectorProcess) -> None:
    boot = BOOTS[0]
    with stream(collector.address, collector.identity("web-01")) as agent:
        welcome = agent.hello()
        assert (welcome.protocol, welcome.agent_id, welcome.collector_id) == (1, "web-01", "collector-test")
        assert welcome.credit >= 1
        for number, table in enumerate(("flows", "dns", "tls", "processes", "agent_health")):
            (answer,) = agent.deliver(message(table, 50, boot=boot))
            assert answer.ack.through_sequence == 49, (number, answer)
            assert answer.ack.credit >= 1
            assert stored(collector, boot, table) == (50, 50, 49)
    (row,) = collector.query(f"SELECT DISTINCT agent_id, host_name, stream FROM flows WHERE boot_id = '{boot}'")
    assert row == {"agent_id": "web-01", "host_name": "web-01.hue.example", "stream": "flows"}
    directions = collector.query(f"SELECT DISTINCT network_direction AS d FROM flows WHERE boot_id = '{boot}'")
    assert directions == [{"d": "internal"}]


def test_a_batch_sent_again_is_acknowledged_and_not_stored(collector: CollectorProcess) -> None:
    boot = BOOTS[1]
    batch = message("flows", 10, boot=boot)
    with stream(collector.address, collector.identity("web-01")) as agent:
        agent.hello()
        answers = agent.deliver(batch, batch, message("flows", 15, 5, boot=boot), batch)
        assert [answer.ack.through_sequence for answer in answers] == [9, 9, 19, 9]
    assert stored(collector, boot) == (20, 20, 19)


def test_a_cut_stream(collector: CollectorProcess) -> None:
    boot = BOOTS[2]
    batches = [message("flows", 10, 10 * number, boot=boot) for number in range(6)]
    with stream(collector.address, collector.identity("web-01")) as agent:
        agent.hello()
        for batch in batches[:4]:
            agent.send(batch)
        wait_for_rows(collector, boot, 10)
    with stream(collector.address, collector.identity("web-01")) as agent:
        agent.hello()
        agent.deliver(*batches)
    assert stored(collector, boot) == (60, 60, 59)


def test_a_newer_stream_of_the_same_agent_ends_the_older(collector: CollectorProcess) -> None:
    identity = collector.identity("web-01")
    with stream(collector.address, identity) as older, stream(collector.address, identity) as newer:
        older.hello()
        newer.hello()
        with pytest.raises(grpc.RpcError) as fault:
            older.next()
        assert fault.value.code() == grpc.StatusCode.UNAVAILABLE
        assert "superseded" in fault.value.details()
        (answer,) = newer.deliver(message("flows", 1, boot=BOOTS[3]))
        assert answer.ack.through_sequence == 0


def test_a_probe_disturbs_nobody(collector: CollectorProcess) -> None:
    identity = collector.identity("web-01")
    with stream(collector.address, identity) as running, stream(collector.address, identity) as asking:
        running.hello()
        asking.send(pb.AgentMessage(hello=pb.Hello(protocol=1, probe=True)))
        assert asking.next().welcome.agent_id == "web-01"
        with pytest.raises(StopIteration):
            asking.next()
        (answer,) = running.deliver(message("flows", 1, boot=BOOTS[19]))
        assert answer.ack.through_sequence == 0


def test_who_is_turned_away_again_and_again_fills_no_disk(collector: CollectorProcess) -> None:
    for _ in range(50):
        with stream(collector.address, collector.identity("web-02")) as agent, pytest.raises(grpc.RpcError):
            agent.hello(protocol=9)
    for _ in range(50):
        with stream(collector.address, collector.identity("web-02")) as agent:
            agent.hello()
    log = collector.log()
    assert 1 <= log.count("protocol 9 is not spoken here") <= 10
    assert 1 <= log.count("web-02 connected") <= 10


def test_a_gap_is_accepted_and_counted(collector: CollectorProcess) -> None:
    boot = BOOTS[4]
    with stream(collector.address, collector.identity("web-01")) as agent:
        agent.hello()
        agent.deliver(message("flows", 10, 0, boot=boot), message("flows", 10, 100, boot=boot))
    assert stored(collector, boot) == (20, 20, 109)


def test_refused_batches_are_kept_and_the_rest_goes_on(collector: CollectorProcess) -> None:
    boot = BOOTS[5]
    raw = bytearray(ipc(rows("agent_health", 3)))
    at = raw.rindex((3).to_bytes(8, "little") + bytes(8))  # the last column's length (FieldNode)
    raw[at : at + 8] = (2).to_bytes(8, "little")
    unequal = message("agent_health", 3, raw=bytes(raw), boot=boot)
    damaged = message("agent_health", 3, 3, boot=boot)
    damaged.body_crc32 ^= 1
    unknown = message("agent_health", 3, 6, boot=boot)
    unknown.table = "secrets"
    with stream(collector.address, collector.identity("web-01")) as agent:
        agent.hello()
        answers = agent.deliver(unequal, damaged, unknown, message("agent_health", 3, 9, boot=boot))
    refusals = [(answer.refusal.first_sequence, answer.refusal.code) for answer in answers[:3]]
    assert refusals == [
        (0, pb.REFUSAL_CODE_BAD_BODY),
        (3, pb.REFUSAL_CODE_BAD_CHECKSUM),
        (6, pb.REFUSAL_CODE_UNKNOWN_TABLE),
    ]
    assert answers[3].ack.through_sequence == 11
    assert stored(collector, boot, "agent_health") == (3, 3, 11)
    kept = [json.loads(path.read_text()) for path in (collector.folder / "quarantine").glob("*.json")]
    mine = {(one["code"], one["first_sequence"]) for one in kept if one["boot_id"] == boot}
    assert mine == {("bad_body", 0), ("bad_checksum", 3), ("unknown_table", 6)}


@pytest.mark.parametrize(
    ("first", "status"),
    [
        (pb.AgentMessage(batch=message()), grpc.StatusCode.INVALID_ARGUMENT),
        (pb.AgentMessage(), grpc.StatusCode.INVALID_ARGUMENT),
        (pb.AgentMessage(hello=pb.Hello(protocol=2)), grpc.StatusCode.FAILED_PRECONDITION),
    ],
)
def test_manners(collector: CollectorProcess, first: pb.AgentMessage, status: grpc.StatusCode) -> None:
    with stream(collector.address, collector.identity("web-02")) as agent:
        agent.send(first)
        with pytest.raises(grpc.RpcError) as fault:
            agent.next()
        assert fault.value.code() == status


def test_a_stream_that_stays_silent(collector: CollectorProcess) -> None:
    with stream(collector.address, collector.identity("web-02")) as agent:
        with pytest.raises(grpc.RpcError) as fault:
            agent.next()
        assert fault.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "Hello" in fault.value.details()


def test_too_many_agents(collector: CollectorProcess) -> None:
    with contextlib.ExitStack() as open_streams:
        for name in ("web-01", "web-02", "web-03"):
            enter(open_streams, collector, name)
        with stream(collector.address, collector.identity("web-04")) as late:
            with pytest.raises(grpc.RpcError) as fault:
                late.hello()
            assert fault.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def enter(streams: contextlib.ExitStack, collector: CollectorProcess, name: str) -> None:
    """A welcome, once the agents of the tests before are gone."""
    for _ in range(100):
        with contextlib.suppress(grpc.RpcError):
            streams.enter_context(stream(collector.address, collector.identity(name))).hello()
            return
        time.sleep(0.05)
    pytest.fail("never welcome")


def test_nobody_enters_with_a_certificate_of_another_authority(collector: CollectorProcess, tmp_path: Path) -> None:
    pki.init_authority(tmp_path)
    with (
        stream(collector.address, collector.identity("web-01", tmp_path)) as agent,
        pytest.raises(grpc.RpcError) as fault,
    ):
        agent.hello()
    assert fault.value.code() == grpc.StatusCode.UNAVAILABLE


def test_nobody_enters_without_a_certificate(collector: CollectorProcess) -> None:
    credentials = grpc.ssl_channel_credentials((collector.pki / "authority.pem").read_bytes())
    with stream(collector.address, None, credentials) as agent, pytest.raises(grpc.RpcError) as fault:
        agent.hello()
    assert fault.value.code() == grpc.StatusCode.UNAVAILABLE


def test_a_collectors_certificate_is_no_agents(collector: CollectorProcess) -> None:
    with stream(collector.address, collector.identity("collector")) as agent, pytest.raises(grpc.RpcError) as fault:
        agent.hello()
    assert fault.value.code() == grpc.StatusCode.UNAVAILABLE  # the TLS layer looks at the key's usage


def test_a_certificate_of_ours_without_an_agents_name(collector: CollectorProcess) -> None:
    identity = issue_client(collector.pki, "web 01/../x")
    with stream(collector.address, identity) as agent, pytest.raises(grpc.RpcError) as fault:
        agent.hello()
    assert fault.value.code() == grpc.StatusCode.PERMISSION_DENIED
    assert "web 01" in fault.value.details()


def test_counters_reach_the_table(collector: CollectorProcess) -> None:
    expected = {
        ("superseded", ""), ("refused", "bad_checksum"), ("refused", "bad_body"), ("turned_away", "no_hello"),
        ("probes", ""), ("turned_away", "protocol"), ("turned_away", "too_many"), ("turned_away", "bad_certificate"),
        ("sequence_gap", "flows"), ("batches_received", "flows"), ("bytes_received", ""), ("streams_opened", ""),
        ("rows_stored", "flows"), ("duplicate", "flows"), ("batches_stored", "flows"), ("inserts", "flows"),
        ("refusals_sent", ""), ("acks_sent", ""), ("clock_skew_ms", "web-01"), ("runs", "health"),
    }  # fmt: skip
    deadline = time.monotonic() + 30
    missing, busy = expected, True
    while (missing or busy) and time.monotonic() < deadline:
        missing = {(name, label) for name, label in missing if not collector.counter(name, label)}
        busy = bool(collector.counter("agents_connected") or collector.counter("queued_batches"))
    assert not missing
    assert not busy


def test_a_second_collector_on_the_same_folder_and_port(collector: CollectorProcess, tmp_path: Path) -> None:
    done = collector.command("run", "--config", str(collector.config))
    assert done.returncode == 2, done
    assert str(collector.folder / "store") in done.stderr.splitlines()[-1]
    other = CollectorProcess(tmp_path)
    other.config.write_text(other.config.read_text().replace("127.0.0.1:0", collector.address))
    done = other.command("run", "--config", str(other.config))
    assert done.returncode == 2, done
    assert done.stderr.splitlines()[-1].startswith(f"luytre-collector: {collector.address}: Address already in use;")
    assert "Traceback" not in done.stderr


def test_killed_between_insert_and_acknowledgement(tmp_path: Path) -> None:
    """Killed three times while batches are under way; each time everything without an answer is sent again."""
    collector = CollectorProcess(tmp_path)
    batches = [message("flows", 40, 40 * number, boot=BOOTS[9]) for number in range(12)]
    identity = collector.identity("web-01")
    answered = 0
    try:
        for visible in (1, 200, 400):
            collector.start()
            with stream(collector.address, identity) as agent:
                agent.hello()
                for batch in batches[answered:]:
                    agent.send(batch)
                wait_for_rows(collector, BOOTS[9], visible)  # stored; no acknowledgement was read
                collector.kill()
            answered += 1  # the agent happened to hear of one
        collector.start()
        with stream(collector.address, identity) as agent:
            agent.hello()
            answers = agent.deliver(*batches[answered:])
        assert answers[-1].ack.through_sequence == 479
        assert stored(collector, BOOTS[9]) == (480, 480, 479)
        assert collector.stop() == 0
        assert "Traceback" not in collector.log()
    finally:
        collector.close()


def test_stopping_answers_what_was_accepted(tmp_path: Path) -> None:
    collector = CollectorProcess(tmp_path, "[pipeline]\nlinger_s = 1.0\n")
    collector.start()
    try:
        with stream(collector.address, collector.identity("web-01")) as agent:
            agent.hello()
            (first,) = agent.deliver(message("flows", 5, boot=BOOTS[10]))
            assert first.ack.through_sequence == 4
            assert collector.stop() == 0
            with pytest.raises(grpc.RpcError) as fault:
                agent.next()
        assert fault.value.code() == grpc.StatusCode.UNAVAILABLE
        with pytest.raises(UserError):
            collector.identity("web 01")
    finally:
        collector.close()
