"""Opening the stream: options, keep-alive, and the one question that `check` has."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import grpc
from luytre_common import tls
from luytre_common.errors import Unavailable
from luytre_common.settings import at_least, host_port, required, setting
from luytre_common.wire.v1 import ingest_pb2 as pb
from luytre_common.wire.v1 import service

from luytre_agent.uplink.faults import explain
from luytre_agent.uplink.windows import windows_fault

PROTOCOL = 1


@dataclass(frozen=True)
class Config:
    """The connection to the collector."""

    collector: str = required("HOST:PORT of the collector, as its certificate names it", host_port)
    answer_seconds: float = setting(60.0, "without an answer for so long the connection is made anew", at_least(1))
    keepalive_seconds: float = setting(30.0, "a silent connection is probed this often", at_least(10))
    reconnect_seconds: float = setting(60.0, "longest wait before connecting again", at_least(0.1))
    spread_seconds: float = setting(
        2.0,
        "the first try after the start or a lost connection comes at a random moment within so long: fleets spread",
        at_least(0),
    )
    bytes_per_second: int = setting(
        0, "on average not more than so many on the line, all headers counted; 0: no limit", at_least(0)
    )
    windows: list[str] = setting(
        [], "times of day, as HH:MM-HH:MM by this host's clock, in which all is sent; empty: always", windows_fault
    )
    windows_hold: Literal["last", "second"] = setting(
        "last", "what waits for the windows: the spool's last class (flows), or the second too; never the first"
    )
    drain_seconds: float = setting(5.0, "at the end, wait so long for the last acknowledgements", at_least(0))


def open_channel(config: Config, identity: tls.Identity) -> grpc.aio.Channel:
    """A channel of our own, not shared: so our back-off alone decides when to try again. In an event loop."""
    options = [
        *service.OPTIONS,
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.keepalive_time_ms", int(config.keepalive_seconds * 1000)),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.enable_retries", 0),
    ]
    return grpc.aio.secure_channel(config.collector, tls.channel_credentials(identity), options=options)


def probe(
    config: Config, tls_config: tls.Config, identity: tls.Identity, hello: pb.Hello, timeout_s: float
) -> pb.Welcome:
    """Ask whether we would be let in; an agent that runs under our name is not disturbed. Unavailable, with reason and
    remedy, if the collector does not take us."""
    question = pb.Hello()
    question.CopyFrom(hello)
    question.probe = True
    try:
        welcome = asyncio.run(_ask(config, identity, question, timeout_s))
    except TimeoutError:
        reason = f"collector {config.collector} did not answer within {timeout_s:g} s"
        raise Unavailable(reason, "look at its log") from None
    except grpc.RpcError as error:
        fault = explain(error.code(), error.details() or "", config.collector, tls_config)
        raise Unavailable(fault.reason, fault.remedy) from None
    if welcome is None:
        raise Unavailable(f"collector {config.collector} hung up without a word", "look at its log")
    return welcome


async def _ask(config: Config, identity: tls.Identity, hello: pb.Hello, timeout_s: float) -> pb.Welcome | None:
    async with open_channel(config, identity) as channel, asyncio.timeout(timeout_s):
        call = service.converse(channel)
        with suppress(grpc.RpcError, asyncio.InvalidStateError):  # the reading end knows why
            await call.write(pb.AgentMessage(hello=hello))
        while isinstance(message := await call.read(), pb.CollectorMessage):
            if message.WhichOneof("kind") == "welcome":
                return message.welcome
    return None
