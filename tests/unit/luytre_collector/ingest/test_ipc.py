"""Headers of Arrow streams."""

import pytest
from luytre_collector.ingest.ipc import BadStreamError, check

from tests.support.batches import ipc, rows


def test_a_stream_of_ours() -> None:
    check(memoryview(ipc(rows("flows", 5))))


@pytest.mark.parametrize("size", [1, 4, 7, 8, 100, 1000])
def test_cut_short(size: int) -> None:
    with pytest.raises(BadStreamError):
        check(memoryview(ipc(rows("flows", 5))[:size]))


def test_messages_are_bounded() -> None:
    empty = b"\xff\xff\xff\xff\x08\x00\x00\x00" + b"\x04\x00\x00\x00" + b"\x04\x00\x04\x00"
    with pytest.raises(BadStreamError):
        check(memoryview(empty * 5000))
