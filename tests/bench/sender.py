"""One agent's stream to a collector, as fast as credit allows or at a given pace: a process of `bench_collector`.

    python -m tests.bench.sender COLLECTOR CERTIFICATES NAME FILE ROUNDS ROWS_PER_SECOND

Sends the batches of FILE (see `supply`), ROUNDS times, each time as a new numbering, and waits until the collector has
said of every one that it is stored. Prints rows, seconds, CPU seconds, and for each batch the milliseconds from
sending to the answer. ROWS_PER_SECOND 0: no pause.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import grpc
from luytre_agent import uplink
from luytre_common import tls
from luytre_common.wire import chain
from luytre_common.wire.v1 import ingest_pb2 as pb
from luytre_common.wire.v1 import service

from tests.bench import supply


class Sender:
    """What is sent and not answered yet, and how long answers take."""

    def __init__(self, messages: list[bytes], rounds: int, rows_per_second: float) -> None:
        self._messages = messages
        self._rounds = rounds
        self._pace = rows_per_second
        self._changed = threading.Condition()
        self._credit = 0
        self._flights: dict[tuple[str, str, int], float] = {}
        self._sent_all = False
        self.rows = 0
        self.waits_ms: list[float] = []
        self.refused: list[str] = []

    def requests(self, hello: pb.Hello) -> Iterator[pb.AgentMessage]:
        """Hello and every batch, as credit and pace allow."""
        yield pb.AgentMessage(hello=hello)
        begin = time.monotonic()
        for _ in range(self._rounds):
            boot = str(uuid.uuid4())
            links: dict[str, bytes] = {}
            for message in self._messages:
                batch = pb.Batch.FromString(message)
                batch.boot_id = boot
                before = links.get(batch.stream) or chain.start(boot, batch.stream)
                batch.chain = chain.link(before, batch.first_sequence, batch.row_count, batch.body)
                links[batch.stream] = batch.chain
                batch.agent_time_us = int(time.time() * 1_000_000)
                with self._changed:
                    self._changed.wait_for(lambda: len(self._flights) < self._credit)
                    if self._pace and (pause := begin + self.rows / self._pace - time.monotonic()) > 0:
                        self._changed.release()
                        time.sleep(pause)
                        self._changed.acquire()
                    key = (boot, batch.stream, batch.first_sequence + batch.row_count - 1)
                    self._flights[key] = time.monotonic()
                    self.rows += batch.row_count
                yield pb.AgentMessage(batch=batch)
        with self._changed:
            self._sent_all = True
            self._changed.wait_for(lambda: not self._flights)

    def hear(self, message: pb.CollectorMessage) -> bool:
        """Take an answer; whether that was the last."""
        with self._changed:
            match message.WhichOneof("kind"):
                case "welcome":
                    self._credit = max(1, message.welcome.credit)
                case "ack":
                    self._stored(message.ack)
                case "refusal":
                    self.refused.append(message.refusal.message)
                    self._flights.clear()
                    self._sent_all = True
            self._changed.notify_all()
            return self._sent_all and not self._flights

    def _stored(self, ack: pb.Ack) -> None:
        now = time.monotonic()
        self._credit = max(1, ack.credit)
        for key in [
            key for key in self._flights if key[:2] == (ack.boot_id, ack.stream) and key[2] <= ack.through_sequence
        ]:
            self.waits_ms.append((now - self._flights.pop(key)) * 1000)


def main(collector: str, certificates: Path, name: str, file: Path, rounds: int, rows_per_second: float) -> int:
    """Send it all, say what it took."""
    files = (certificates / one for one in ("authority.pem", f"{name}.pem", f"{name}.key"))
    identity = tls.read(tls.Config(*files), "agent")
    sender = Sender(supply.read(file), rounds, rows_per_second)
    hello = pb.Hello(protocol=uplink.PROTOCOL, agent_version="bench", host_name=name, boot_id=supply.BOOT)
    begin = time.monotonic()
    with grpc.secure_channel(collector, tls.channel_credentials(identity), options=service.OPTIONS) as channel:
        call = service.deliver(channel, sender.requests(hello))
        for answer in call:
            if sender.hear(answer):
                break
        seconds = time.monotonic() - begin
        call.cancel()
    print(json.dumps({
        "rows": sender.rows, "seconds": seconds, "cpu": time.process_time(), "waits_ms": sender.waits_ms,
        "refused": sender.refused,
    }))  # fmt: skip
    return 1 if sender.refused else 0


if __name__ == "__main__":
    if len(sys.argv) != 7:
        sys.exit(__doc__)
    _, address, folder, who, what, times, pace = sys.argv
    sys.exit(main(address, Path(folder), who, Path(what), int(times), float(pace)))
