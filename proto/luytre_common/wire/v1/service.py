"""The gRPC binding of `ingest.proto`, by hand: one method does not need a generated and untyped stub.

`DELIVER` is the method's full name; the agent opens it with `converse`, the collector serves it with `handler`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import grpc

from luytre_common.wire.v1 import ingest_pb2 as pb

SERVICE = "luytre.wire.v1.Ingest"
DELIVER = f"/{SERVICE}/Deliver"

#: Largest message either side accepts, in bytes: a batch body of 64 MiB that did not compress, and its envelope.
MAX_MESSAGE_BYTES = 72 * 1024 * 1024

#: Channel and server options that both sides need to agree on.
OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
)


def converse(channel: grpc.aio.Channel) -> grpc.aio.StreamStreamCall[pb.AgentMessage, pb.CollectorMessage]:
    """Open the stream on `channel`, in an event loop: `write` and `read` messages, `cancel()` to end it.

    This costs nothing while nobody speaks; gRPC's blocking interface wakes up 25 times a second to look.
    """
    call: grpc.aio.StreamStreamMultiCallable[pb.AgentMessage, pb.CollectorMessage] = channel.stream_stream(
        DELIVER,
        request_serializer=pb.AgentMessage.SerializeToString,
        response_deserializer=pb.CollectorMessage.FromString,
    )
    return call()


def deliver(channel: grpc.Channel, requests: Iterator[pb.AgentMessage]) -> grpc._CallIterator[pb.CollectorMessage]:
    """Open the stream on `channel`, blocking; iterate over the result for the collector's messages, `cancel()` to end
    it."""
    call: grpc.StreamStreamMultiCallable[pb.AgentMessage, pb.CollectorMessage] = channel.stream_stream(
        DELIVER,
        request_serializer=pb.AgentMessage.SerializeToString,
        response_deserializer=pb.CollectorMessage.FromString,
    )
    return call(requests)


#: Serves one stream: takes the agent's messages, yields the collector's.
Behaviour = Callable[
    [AsyncIterator[pb.AgentMessage], "grpc.aio.ServicerContext[pb.AgentMessage, pb.CollectorMessage]"],
    AsyncIterator[pb.CollectorMessage],
]


def handler(behaviour: Behaviour) -> grpc.GenericRpcHandler:
    """What `grpc.aio.Server.add_generic_rpc_handlers` takes, around an async generator that serves one stream."""
    method = grpc.stream_stream_rpc_method_handler(
        behaviour,
        request_deserializer=pb.AgentMessage.FromString,
        response_serializer=pb.CollectorMessage.SerializeToString,
    )
    return grpc.method_handlers_generic_handler(SERVICE, {"Deliver": method})
