"""Opening the stream: options, keep-alive, and the one-question conversation that `check` has."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import grpc
from luytre_common import tls
from luytre_common.errors import Unavailable
from luytre_common.settings import at_least, host_port, required, setting
from luytre_common.wire.v1 import ingest_pb2 as pb
from luytre_common.wire.v1 import service

from luytre_agent.uplink.faults import explain

PROTOCOL = 1


@dataclass(frozen=True)
class Config:
    """The connection to the collector."""

    collector: str = required("HOST:PORT of the collector, as its certificate names it", host_port)
    answer_seconds: float = setting(60.0, "without an answer for so long the connection is made anew", at_least(1))
    keepalive_seconds: float = setting(30.0, "a silent connection is probed this often", at_least(10))
    reconnect_seconds: float = setting(60.0, "longest wait before connecting again", at_least(0.1))
    drain_seconds: float = setting(8.0, "at the end, wait so long for the last acknowledgements", at_least(0))


def open_channel(config: Config, identity: tls.Identity) -> grpc.Channel:
    """A channel of our own, not shared: so our back-off alone decides when to try again."""
    options = [
        *service.OPTIONS,
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.keepalive_time_ms", int(config.keepalive_seconds * 1000)),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.enable_retries", 0),
    ]
    return grpc.secure_channel(config.collector, tls.channel_credentials(identity), options=options)


def probe(
    config: Config, tls_config: tls.Config, identity: tls.Identity, hello: pb.Hello, timeout_s: float
) -> pb.Welcome:
    """Say Hello, hear Welcome, hang up. Unavailable, with reason and remedy, if the collector does not take us."""

    def ask() -> Iterator[pb.AgentMessage]:
        yield pb.AgentMessage(hello=hello)

    with open_channel(config, identity) as channel:
        try:
            call = service.deliver(channel, ask())
            limit = threading.Timer(timeout_s, call.cancel)
            limit.start()
            try:
                for message in call:
                    if message.WhichOneof("kind") == "welcome":
                        return message.welcome
            finally:
                limit.cancel()
                call.cancel()
            raise Unavailable(f"collector {config.collector} hung up without a word", "look at its log")
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.CANCELLED:
                reason = f"collector {config.collector} did not answer within {timeout_s:g} s"
                raise Unavailable(reason, "look at its log") from None
            fault = explain(error.code(), error.details() or "", config.collector, tls_config)
            raise Unavailable(fault.reason, fault.remedy) from None
