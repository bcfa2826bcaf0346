"""Envelopes: every fault has its code and a message that names it."""

import pytest
from luytre_collector.ingest.admit import Admitted, Refused, admit
from luytre_common.wire.limits import MAX_BODY_BYTES, MAX_ROWS
from luytre_common.wire.v1 import ingest_pb2 as pb

from tests.support.batches import BOOT, NOW_US, SENDER, message


def test_a_sound_envelope_is_admitted() -> None:
    made = admit(message("dns", 4, 10), SENDER, NOW_US)
    assert isinstance(made, Admitted)
    assert (made.table.name, made.first_sequence, made.last_sequence, made.zstd) == ("dns", 10, 13, True)
    assert made.sender is SENDER
    assert made.collector_time_us == NOW_US


FAULTS = {
    "table": (pb.REFUSAL_CODE_UNKNOWN_TABLE, {"table": "users"}),
    "collector_health": (pb.REFUSAL_CODE_UNKNOWN_TABLE, {"table": "collector_health"}),
    "boot_id": (pb.REFUSAL_CODE_BAD_ENVELOPE, {"boot_id": BOOT.upper()}),
    "stream": (pb.REFUSAL_CODE_BAD_ENVELOPE, {"stream": "a b"}),
    "row_count": (pb.REFUSAL_CODE_BAD_ENVELOPE, {"row_count": 0}),
    "row_count 200001": (pb.REFUSAL_CODE_BAD_ENVELOPE, {"row_count": MAX_ROWS + 1}),
    "first_sequence": (pb.REFUSAL_CODE_BAD_ENVELOPE, {"first_sequence": 2**64 - 1}),
    "agent_time_us": (pb.REFUSAL_CODE_BAD_ENVELOPE, {"agent_time_us": -1}),
    "compression": (pb.REFUSAL_CODE_BAD_ENVELOPE, {"compression": pb.COMPRESSION_UNSPECIFIED}),
    "body_size": (pb.REFUSAL_CODE_BAD_ENVELOPE, {"body_size": MAX_BODY_BYTES + 1}),
    "body": (pb.REFUSAL_CODE_BAD_ENVELOPE, {"body": b""}),
    "CRC-32": (pb.REFUSAL_CODE_BAD_CHECKSUM, {"body_crc32": 1}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults(name: str) -> None:
    code, change = FAULTS[name]
    batch = message()
    for field, value in change.items():
        setattr(batch, field, value)
    made = admit(batch, SENDER, NOW_US)
    assert isinstance(made, Refused)
    assert made.code == code
    assert name in made.message
    assert "\n" not in made.message


def test_an_uncompressed_body_has_its_size() -> None:
    batch = message(zstd=False)
    batch.body_size += 1
    made = admit(batch, SENDER, NOW_US)
    assert isinstance(made, Refused)
    assert "body_size" in made.message


def test_cause_is_a_label() -> None:
    assert Refused(pb.REFUSAL_CODE_BAD_BODY, "").cause == "bad_body"
