from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from luytre_agent.spool import Spool
from luytre_agent.uplink import Uplink
from luytre_common.wire.v1 import ingest_pb2 as pb

from tests.support.collector_end import Sealed
from tests.support.waiting import until

Make = Callable[..., Uplink]


def ack(batch: pb.Batch, **fields: Any) -> pb.CollectorMessage:
    through = batch.first_sequence + batch.row_count - 1
    return pb.CollectorMessage(
        ack=pb.Ack(
            **{"boot_id": batch.boot_id, "stream": batch.stream, "through_sequence": through, "credit": 4} | fields
        )
    )


def fill(spool: Spool, sealed: Any, count: int, table: str = "flows") -> None:
    for _ in range(count):
        assert spool.append(sealed(table=table), 1_700_000_000.5)


def firsts(collector: Any) -> list[int]:
    return [batch.first_sequence for batch in collector.batches]


def test_everything_that_waits_is_delivered_and_deleted(
    spool: Spool, sealed: Any, authority: Any, collector: Any, make_uplink: Make
) -> None:
    fill(spool, sealed, 20)
    collector.start(authority.issue("collector"))
    uplink = make_uplink(authority.issue("web-01"), collector.port)
    assert uplink.drain(30)
    fill(spool, sealed, 5, "dns")  # also what comes while the line is open
    assert uplink.drain(30)
    assert firsts(collector) == [*range(0, 200, 10), *range(0, 50, 10)]
    assert uplink.counters.get("batches_sent", "flows") == 20
    assert uplink.counters.get("rows_sent", "dns") == 50
    assert uplink.counters.get("bytes_sent", "dns") > 5 * 40
    assert spool.counters.get("rows_acknowledged", "flows") == 200
    assert uplink.counters.get("connects") == 1
    assert uplink.counters.get("attempts") == 1
    gauges = {one.name: one.value for one in uplink.samples()}
    assert (gauges["connected"], gauges["batches_in_flight"]) == (1, 0)
    assert collector.hellos[0].protocol == 1


def test_no_more_unanswered_batches_than_the_credit(
    spool: Spool, sealed: Any, authority: Any, collector: Any, make_uplink: Make
) -> None:
    pending: list[pb.Batch] = []
    most = 0

    def hold(_: Any, batch: pb.Batch) -> Iterator[pb.CollectorMessage]:
        nonlocal most
        pending.append(batch)
        most = max(most, len(pending))
        if len(pending) == 3:  # with fewer than the credit in hand, the agent would have to send the next anyway
            yield from (ack(one, credit=3) for one in pending)
            pending.clear()

    collector.credit, collector.answer = 3, hold
    fill(spool, sealed, 30)
    collector.start(authority.issue("collector"))
    uplink = make_uplink(authority.issue("web-01"), collector.port)
    assert uplink.drain(30)
    assert most == 3


def test_a_credit_of_zero_slows_down_but_does_not_stop(
    spool: Spool, sealed: Any, authority: Any, collector: Any, make_uplink: Make
) -> None:
    collector.credit, collector.protocol = 0, 2
    fill(spool, sealed, 5)
    collector.start(authority.issue("collector"))
    uplink = make_uplink(authority.issue("web-01"), collector.port)
    assert uplink.drain(30)
    assert uplink.counters.get("protocol_mismatches") == 1


def test_after_lost_acknowledgements_the_same_bytes_are_sent_again(
    spool: Spool, sealed: Any, authority: Any, collector: Any, make_uplink: Make
) -> None:
    def lose_then_keep(one: Any, batch: pb.Batch) -> Iterator[pb.CollectorMessage]:
        if len(one.streams) == 1 and one.streams[0] == 3:
            raise RuntimeError("the collector dies with three batches in hand")
        if len(one.streams) > 1:
            yield ack(batch)

    collector.answer = lose_then_keep
    fill(spool, sealed, 6)
    collector.start(authority.issue("collector"))
    uplink = make_uplink(authority.issue("web-01"), collector.port)
    assert uplink.drain(30)
    cut = collector.streams[0]
    first, again = collector.batches[:cut], collector.batches[cut:]
    assert [one.first_sequence for one in again] == [0, 10, 20, 30, 40, 50]
    assert [one.SerializeToString() for one in again[:cut]] == [one.SerializeToString() for one in first]
    assert uplink.counters.get("batches_resent", "flows") >= 3
    assert uplink.counters.get("disconnects", "broken") == 1


def test_a_collector_that_never_answers_is_left_and_tried_again(
    spool: Spool, sealed: Any, authority: Any, collector: Any, make_uplink: Make, caplog: pytest.LogCaptureFixture
) -> None:
    def mute_at_first(one: Any, batch: pb.Batch) -> Iterator[pb.CollectorMessage]:
        if len(one.streams) > 1:
            yield ack(batch)

    collector.answer = mute_at_first
    fill(spool, sealed, 2)
    collector.start(authority.issue("collector"))
    uplink = make_uplink(authority.issue("web-01"), collector.port, answer_seconds=1.0)
    assert uplink.drain(30)
    assert uplink.counters.get("disconnects", "silent") == 1
    assert "did not answer for 1 s" in caplog.text


def test_a_refused_batch_is_counted_and_the_rest_goes_on(
    spool: Spool, sealed: Any, authority: Any, collector: Any, make_uplink: Make, caplog: pytest.LogCaptureFixture
) -> None:
    def pick(_: Any, batch: pb.Batch) -> Iterator[pb.CollectorMessage]:
        if batch.first_sequence == 10:
            refusal = pb.Refusal(
                boot_id=batch.boot_id, stream=batch.stream, first_sequence=10, code=4, message="not zstd"
            )
            yield pb.CollectorMessage(refusal=refusal)
        else:
            yield ack(batch)

    collector.answer = pick
    fill(spool, sealed, 4)
    collector.start(authority.issue("collector"))
    uplink = make_uplink(authority.issue("web-01"), collector.port)
    assert uplink.drain(30)
    assert uplink.counters.get("batches_refused", "bad_body") == 1
    assert spool.counters.get("rows_refused", "flows") == 10
    assert spool.counters.get("rows_acknowledged", "flows") == 30
    assert "refused a batch of flows: bad_body: not zstd" in caplog.text


def test_answers_about_what_was_never_sent_delete_nothing(
    spool: Spool, sealed: Any, authority: Any, collector: Any, make_uplink: Make
) -> None:
    def liar(one: Any, batch: pb.Batch) -> Iterator[pb.CollectorMessage]:
        if one.streams[0] == 1 and len(one.streams) == 1:
            yield ack(batch, boot_id="another", credit=1)
            yield pb.CollectorMessage(
                refusal=pb.Refusal(boot_id=batch.boot_id, stream=batch.stream, first_sequence=30, code=1)
            )
            yield pb.CollectorMessage()
            yield ack(batch, through_sequence=1 << 63, credit=1)
        elif batch.first_sequence:
            with one.changed:
                one.changed.notify_all()

    collector.answer, collector.credit = liar, 1
    fill(spool, sealed, 4)
    collector.start(authority.issue("collector"))
    uplink = make_uplink(authority.issue("web-01"), collector.port)
    collector.wait(lambda: len(collector.batches) == 2)
    assert spool.unsettled() == 3
    assert uplink.counters.get("acks_unknown") == 1
    assert uplink.counters.get("refusals_unknown") == 1
    assert uplink.counters.get("messages_unknown") == 1


def test_a_wrong_authority_is_said_once_and_tried_again(
    spool: Spool, authority: Any, make_authority: Any, tmp_path: Path, collector: Any, make_uplink: Make,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    collector.start(make_authority(tmp_path / "other", "other").issue("collector"))
    uplink = make_uplink(authority.issue("web-01"), collector.port)
    until(lambda: uplink.counters.get("disconnects", "authority") >= 3)
    lines = [record.getMessage() for record in caplog.records if record.name == "luytre.uplink"]
    assert len(lines) == 1
    assert "has a certificate that is not of our authority" in lines[0]
    assert "give [tls] authority the file of the collector's authority" in lines[0]


def test_a_refused_identity_is_said(
    spool: Spool, authority: Any, collector: Any, make_uplink: Make, caplog: pytest.LogCaptureFixture
) -> None:
    collector.refuse_with = (grpc.StatusCode.PERMISSION_DENIED, "web-01 is revoked")
    collector.start(authority.issue("collector"))
    uplink = make_uplink(authority.issue("web-01"), collector.port)
    until(lambda: uplink.counters.get("disconnects", "identity") >= 1)
    assert "refused our identity: web-01 is revoked; ask for a token and enrol again" in caplog.text


def test_it_waits_for_a_collector_that_is_not_there_yet(
    spool: Spool, sealed: Any, authority: Any, collector: Any, make_uplink: Make, caplog: pytest.LogCaptureFixture
) -> None:
    identity = authority.issue("collector")
    collector.start(identity)
    port = collector.port
    collector.stop()
    fill(spool, sealed, 2)
    caplog.set_level(logging.INFO)
    uplink = make_uplink(authority.issue("web-01"), port)
    until(lambda: uplink.counters.get("disconnects", "unreachable") >= 2)
    assert "cannot be reached: Connection refused" in caplog.text
    collector.start(identity, port)
    assert uplink.drain(30)
    assert f"connected to collector 127.0.0.1:{port} as web-01" in caplog.text


def test_what_fails_in_the_uplink_itself_is_told_and_tried_again(
    spool: Spool, sealed: Any, authority: Any, collector: Any, make_uplink: Make, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    fill(spool, sealed, 2)
    pending, failures = spool.pending, iter([OSError(5, "Input/output error")])

    def fail_once(after: Any, may: Callable[[int], bool]) -> Any:
        for error in failures:
            raise error
        return pending(after, may)

    monkeypatch.setattr(spool, "pending", fail_once)
    collector.start(authority.issue("collector"))
    uplink = make_uplink(authority.issue("web-01"), collector.port)
    assert uplink.drain(30)
    assert uplink.counters.get("disconnects", "failed") == 1
    assert "Input/output error" in caplog.text


def test_stop_before_there_was_a_connection(spool: Spool, authority: Any, make_uplink: Make) -> None:
    uplink = make_uplink(authority.issue("web-01"), 9)
    uplink.stop()
    uplink.stop()
    spool.append(Sealed(), 0.0)  # nobody listens any more
    assert uplink.samples()


def test_stop_keeps_what_was_not_answered(
    spool: Spool, sealed: Any, authority: Any, collector: Any, make_uplink: Make
) -> None:
    collector.answer = lambda one, batch: iter(())
    fill(spool, sealed, 2)
    collector.start(authority.issue("collector"))
    uplink = make_uplink(authority.issue("web-01"), collector.port)
    collector.wait(lambda: len(collector.batches) == 2)
    assert not uplink.drain(0)
    uplink.stop()
    assert spool.unsettled() == 2


def test_what_is_said_besides_batches_goes_before_those_that_wait(
    spool: Spool, sealed: Any, authority: Any, collector: Any, make_uplink: Make
) -> None:
    held: list[pb.Batch] = []

    def hold(_: Any, batch: pb.Batch) -> Iterator[pb.CollectorMessage]:
        held.append(batch)
        return iter(())

    collector.credit, collector.answer = 1, hold
    fill(spool, sealed, 3)
    collector.start(authority.issue("collector"))
    uplink = make_uplink(authority.issue("web-01"), collector.port)
    until(lambda: len(held) == 1)  # the others wait for credit
    assert uplink.say(pb.AgentMessage(heartbeat=pb.Heartbeat(batches_waiting=3)))
    until(lambda: len(collector.said) == 1)
    assert collector.said[0].heartbeat.batches_waiting == 3
    assert uplink.counters.get("messages_said", "heartbeat") == 1
    assert len(held) == 1


def test_nothing_is_said_without_a_connection(authority: Any, make_uplink: Make) -> None:
    uplink = make_uplink(authority.issue("web-01"), 1)
    assert not uplink.say(pb.AgentMessage(goodbye=pb.Goodbye(reason="stopping")))


def test_a_policy_is_handed_on(spool: Spool, sealed: Any, authority: Any, collector: Any, make_uplink: Make) -> None:
    def answer(_: Any, batch: pb.Batch) -> Iterator[pb.CollectorMessage]:
        yield pb.CollectorMessage(policy=pb.Policy(version=4, document=b"[sources]\n"))
        yield ack(batch)

    collector.answer = answer
    fill(spool, sealed, 1)
    collector.start(authority.issue("collector"))
    told: list[pb.Policy] = []
    uplink = make_uplink(authority.issue("web-01"), collector.port, told=told.append)
    assert uplink.drain(30)
    assert [one.version for one in told] == [4]
    assert uplink.counters.get("policies_received") == 1


def test_the_last_word_is_heard_before_the_line_is_shut(
    spool: Spool, sealed: Any, authority: Any, collector: Any, make_uplink: Make
) -> None:
    collector.credit, collector.answer = 1, lambda *_: iter(())
    fill(spool, sealed, 3)
    collector.start(authority.issue("collector"))
    uplink = make_uplink(authority.issue("web-01"), collector.port)
    until(lambda: len(collector.batches) == 1)  # and no credit for another
    uplink.stop(pb.AgentMessage(goodbye=pb.Goodbye(reason="stopping")))
    assert [one.goodbye.reason for one in collector.said] == ["stopping"]
    assert uplink.counters.get("messages_said", "goodbye") == 1
    assert uplink.counters.get("connects") == 1
    assert spool.unsettled() == 3


def test_without_a_connection_the_last_word_is_not_waited_for(authority: Any, make_uplink: Make) -> None:
    uplink = make_uplink(authority.issue("web-01"), 1)
    until(lambda: uplink.counters.get("attempts") > 0)
    uplink.stop(pb.AgentMessage(goodbye=pb.Goodbye(reason="stopping")))
    assert uplink.counters.get("messages_said", "goodbye") == 0


def test_a_loop_that_answers_is_not_hung_and_one_that_is_kept_is(
    authority: Any, collector: Any, make_uplink: Make
) -> None:
    collector.start(authority.issue("collector"))
    uplink = make_uplink(authority.issue("web-01"), collector.port)
    until(lambda: not uplink.hung(0.5))
    go_on = threading.Event()
    assert uplink._loop is not None
    uplink._loop.call_soon_threadsafe(go_on.wait, 60)
    try:
        until(lambda: uplink.hung(0.5))
        assert not uplink.hung(1000.0)
    finally:
        go_on.set()
    until(lambda: not uplink.hung(0.5))


def test_a_limited_line_holds_batches_back_but_nothing_else(
    spool: Spool, sealed: Any, authority: Any, collector: Any, make_uplink: Make
) -> None:
    collector.start(authority.issue("collector"))
    uplink = make_uplink(authority.issue("web-01"), collector.port, bytes_per_second=150)
    until(lambda: uplink.counters.get("connects") == 1)
    fill(spool, sealed, 3)
    until(lambda: uplink.counters.get("pauses") >= 1)
    before = len(collector.batches)
    assert uplink.say(pb.AgentMessage(heartbeat=pb.Heartbeat(batches_waiting=3)))
    until(lambda: collector.said)
    assert before < 3, "the heartbeat has overtaken what waits for the line"
    assert uplink.drain(30)
    assert firsts(collector) == [0, 10, 20]
    assert uplink.counters.get("wire_bytes", "flows") > uplink.counters.get("bytes_sent", "flows")


def test_a_busy_collector_is_asked_again_later(authority: Any, collector: Any, make_uplink: Make) -> None:
    collector.refuse_with = (grpc.StatusCode.RESOURCE_EXHAUSTED, "2000 agents are connected already")
    collector.start(authority.issue("collector"))
    uplink = make_uplink(authority.issue("web-01"), collector.port)
    until(lambda: uplink.counters.get("disconnects", "busy") >= 2)
    assert uplink._backoff.failures > 5, "as after so many failures in a row"


@pytest.mark.parametrize(("hold", "at_once"), [("last", ["logins", "dns"]), ("second", ["logins"])])
def test_outside_its_windows_the_line_carries_what_matters_most(
    hold: str, at_once: list[str], spool: Spool, sealed: Any, authority: Any, collector: Any, make_uplink: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("luytre_agent.uplink.client._LOOK_S", 0.05)
    now = [datetime.fromisoformat("2026-11-30T12:00:00")]
    for table in ("flows", "dns", "logins"):
        fill(spool, sealed, 1, table)
    collector.start(authority.issue("collector"))
    uplink = make_uplink(
        authority.issue("web-01"), collector.port, local=lambda: now[0], windows=["22:00-05:30"], windows_hold=hold,
        bytes_per_second=1_000_000,
    )  # fmt: skip
    until(lambda: spool.unsettled() == 3 - len(at_once))
    fill(spool, sealed, 1, "flows")
    fill(spool, sealed, 1, "logins")
    until(lambda: spool.unsettled() == 4 - len(at_once))
    assert [batch.table for batch in collector.batches] == [*at_once, "logins"]
    assert uplink.rate == 0
    now[0] = datetime.fromisoformat("2026-11-30T22:00:00")
    assert uplink.drain(30)
    assert uplink.rate == 1_000_000
    assert sorted(batch.table for batch in collector.batches) == ["dns", "flows", "flows", "logins", "logins"]
