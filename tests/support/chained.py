"""Batches as an agent chains them."""

from __future__ import annotations

from typing import Any

from luytre_common.wire import chain
from luytre_common.wire.v1 import ingest_pb2 as pb

from tests.support.batches import BOOT, message


class Chained:
    """The batches of one numbering, each linked to the one before it."""

    def __init__(self, table: str = "flows", boot: str = BOOT, count: int = 3) -> None:
        self.table, self.boot, self.count = table, boot, count
        self.next = 0
        self.link = chain.start(boot, table)

    def batch(self, **given: Any) -> pb.Batch:
        """The next one."""
        made = message(self.table, self.count, self.next, boot=self.boot, **given)
        self.link = made.chain = chain.link(self.link, self.next, self.count, made.body)
        self.next += self.count
        return made

    def batches(self, count: int) -> list[pb.Batch]:
        """The next ones."""
        return [self.batch() for _ in range(count)]


def altered(batch: pb.Batch, **given: Any) -> pb.Batch:
    """Other rows under the same numbers, in an envelope that is right but for the chain."""
    made = message(
        batch.table, batch.row_count, batch.first_sequence, boot=batch.boot_id, stream=batch.stream, zstd=False, **given
    )
    made.chain = batch.chain
    return made
