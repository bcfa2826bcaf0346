"""The gRPC binding of `ingest.proto`, by hand: three methods do not need generated and untyped stubs.

The agent opens a stream with `converse` and asks with `renew` and `enrol`; the collector serves them with `handler` and
`enrolment_handler`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import grpc

from luytre_common.wire.v1 import ingest_pb2 as pb

SERVICE = "luytre.wire.v1.Ingest"
DELIVER = f"/{SERVICE}/Deliver"
RENEW = f"/{SERVICE}/Renew"
ENROLMENT = "luytre.wire.v1.Enrolment"
ENROL = f"/{ENROLMENT}/Enrol"

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


async def renew(channel: grpc.aio.Channel, request: pb.RenewRequest, timeout_s: float) -> pb.Certificate:
    """Ask for the next certificate, in an event loop. grpc.RpcError if there is none."""
    call: grpc.aio.UnaryUnaryMultiCallable[pb.RenewRequest, pb.Certificate] = channel.unary_unary(
        RENEW, request_serializer=pb.RenewRequest.SerializeToString, response_deserializer=pb.Certificate.FromString
    )
    return await call(request, timeout=timeout_s)


def enrol(channel: grpc.Channel, request: pb.EnrolRequest, timeout_s: float) -> pb.Certificate:
    """Ask for the first certificate, blocking. grpc.RpcError if there is none."""
    call: grpc.UnaryUnaryMultiCallable[pb.EnrolRequest, pb.Certificate] = channel.unary_unary(
        ENROL, request_serializer=pb.EnrolRequest.SerializeToString, response_deserializer=pb.Certificate.FromString
    )
    return call(request, timeout=timeout_s)


#: Serves one stream: takes the agent's messages, yields the collector's.
Behaviour = Callable[
    [AsyncIterator[pb.AgentMessage], "grpc.aio.ServicerContext[pb.AgentMessage, pb.CollectorMessage]"],
    AsyncIterator[pb.CollectorMessage],
]

#: Answers one request.
Renews = Callable[
    [pb.RenewRequest, "grpc.aio.ServicerContext[pb.RenewRequest, pb.Certificate]"], Awaitable[pb.Certificate]
]
Enrols = Callable[
    [pb.EnrolRequest, "grpc.aio.ServicerContext[pb.EnrolRequest, pb.Certificate]"], Awaitable[pb.Certificate]
]


def handler(behaviour: Behaviour, renews: Renews) -> grpc.GenericRpcHandler:
    """What `grpc.aio.Server.add_generic_rpc_handlers` takes, around an async generator that serves one stream, and a
    function that renews a certificate."""
    deliver = grpc.stream_stream_rpc_method_handler(
        behaviour,
        request_deserializer=pb.AgentMessage.FromString,
        response_serializer=pb.CollectorMessage.SerializeToString,
    )
    renew = grpc.unary_unary_rpc_method_handler(
        renews,
        request_deserializer=pb.RenewRequest.FromString,
        response_serializer=pb.Certificate.SerializeToString,
    )
    return grpc.method_handlers_generic_handler(SERVICE, {"Deliver": deliver, "Renew": renew})


def enrolment_handler(enrols: Enrols) -> grpc.GenericRpcHandler:
    """As `handler`, for the service at the address where agents get their first certificate."""
    enrol = grpc.unary_unary_rpc_method_handler(
        enrols,
        request_deserializer=pb.EnrolRequest.FromString,
        response_serializer=pb.Certificate.SerializeToString,
    )
    return grpc.method_handlers_generic_handler(ENROLMENT, {"Enrol": enrol})
