"""Many agents that come back at once: a process of `bench_agent`.

    python -m tests.bench.reconnect COLLECTOR CERTIFICATES FIRST COUNT BATCHES ROWS

Agents FIRST to FIRST + COUNT - 1, each a connection of its own with a certificate of its own and the back-off of the
real one. Each delivers BATCHES batches of ROWS rows, at most as many at a time as credit allows, and hangs up when
all are acknowledged. They begin while nobody listens. Prints one JSON object: for each agent the time of its last
acknowledgement (seconds since 1970), how often it tried, and what was refused.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
from luytre_agent import _core, uplink
from luytre_agent.batch import Key
from luytre_agent.uplink.backoff import Backoff
from luytre_common import tls
from luytre_common.wire import chain
from luytre_common.wire.v1 import ingest_pb2 as pb
from luytre_common.wire.v1 import service


def name(number: int) -> str:
    """What the agent is called."""
    return f"storm-{number:05d}"


def batches(count: int, rows: int) -> list[pb.Batch]:
    """Batches of `agent_health`, as every agent has them after an outage."""
    made = []
    for number in range(count):
        builder = _core.TableBuilder("agent_health")
        now = int(time.time() * 1_000_000)
        for row in range(rows):
            value = number * rows + row
            sample = {"component": "spool", "counter": f"counter_{row}", "value": value}
            builder.append({"event_time": now + row, **sample})
        sealed = builder.seal()
        assert sealed is not None
        key = Key(str(uuid.uuid4()), "agent_health")
        link = chain.link(chain.start(key.boot_id, key.stream), number * rows, rows, sealed.body)
        made.append(pb.Batch.FromString(uplink.encode(sealed, key, number * rows, now / 1e6, link)))
    return made


class Agent:
    """One of them."""

    def __init__(self, collector: str, identity: tls.Identity, given: Sequence[pb.Batch], who: str) -> None:
        self._collector = collector
        self._identity = identity
        self._waiting = [self._own(batch) for batch in given]
        self._who = who
        self.attempts = 0
        self.refused: list[str] = []
        self.done_at = 0.0

    def _own(self, batch: pb.Batch) -> pb.Batch:
        mine = pb.Batch()
        mine.CopyFrom(batch)
        mine.boot_id = str(uuid.uuid5(uuid.NAMESPACE_DNS, id(self).to_bytes(8, "little").hex()))
        return mine

    async def run(self) -> None:
        """Until all are acknowledged."""
        backoff = Backoff(random.random)
        while self._waiting and not self.refused:
            self.attempts += 1
            try:
                await self._deliver()
            except grpc.RpcError:
                await asyncio.sleep(backoff.next())
        self.done_at = time.time()

    async def _deliver(self) -> None:
        options = [*service.OPTIONS, ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        credentials = tls.channel_credentials(self._identity)
        async with grpc.aio.secure_channel(self._collector, credentials, options=options) as channel:
            call = service.converse(channel)
            hello = pb.Hello(protocol=uplink.PROTOCOL, agent_version="bench", host_name=self._who)
            await call.write(pb.AgentMessage(hello=hello))
            message = await self._read(call)
            credit = max(1, message.welcome.credit)
            flights = 0
            left = list(self._waiting)
            while self._waiting:
                while left and flights < credit:
                    await call.write(pb.AgentMessage(batch=left.pop(0)))
                    flights += 1
                message = await self._read(call)
                if message.WhichOneof("kind") == "refusal":
                    self.refused.append(message.refusal.message)
                    return
                flights -= 1
                credit = max(1, message.ack.credit)
                through = message.ack.through_sequence
                self._waiting = [one for one in self._waiting if one.first_sequence > through]
            call.cancel()

    async def _read(self, call: Any) -> pb.CollectorMessage:
        message = await call.read()
        if not isinstance(message, pb.CollectorMessage):
            raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata())
        return message


async def storm(collector: str, certificates: Path, first: int, count: int, given: Sequence[pb.Batch]) -> list[Agent]:
    """All of them at once."""
    agents = []
    for number in range(first, first + count):
        files = [certificates / one for one in ("authority.pem", f"{name(number)}.pem", f"{name(number)}.key")]
        identity = tls.Identity(*(file.read_bytes() for file in files))
        agents.append(Agent(collector, identity, given, name(number)))
    print("ready", flush=True)
    await asyncio.gather(*(agent.run() for agent in agents))
    return agents


def main(arguments: Sequence[str]) -> int:
    """Play one process's part."""
    collector, certificates, first, count, many, rows = arguments
    agents = asyncio.run(storm(collector, Path(certificates), int(first), int(count), batches(int(many), int(rows))))
    print(json.dumps({
        "done_at": [agent.done_at for agent in agents],
        "attempts": [agent.attempts for agent in agents],
        "refused": [text for agent in agents for text in agent.refused],
    }))  # fmt: skip
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 7:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
