"""The hand-written binding says what ingest.proto says, and carries messages both ways."""

from collections.abc import AsyncIterator

import grpc
from luytre_common.wire.v1 import ingest_pb2 as pb
from luytre_common.wire.v1 import service


def test_names_are_those_of_the_proto() -> None:
    described = pb.DESCRIPTOR.services_by_name["Ingest"]
    assert described.full_name == service.SERVICE
    method = described.methods_by_name["Deliver"]
    assert f"/{described.full_name}/{method.name}" == service.DELIVER
    assert method.client_streaming
    assert method.server_streaming


def test_single_questions_are_those_of_the_proto() -> None:
    for name, method, full in (("Ingest", "Renew", service.RENEW), ("Enrolment", "Enrol", service.ENROL)):
        described = pb.DESCRIPTOR.services_by_name[name].methods_by_name[method]
        assert f"/{described.containing_service.full_name}/{method}" == full
        assert not described.client_streaming
        assert not described.server_streaming


def test_no_message_of_the_collector_can_command_an_agent() -> None:
    """What an agent is told: a welcome, answers about its own batches, whether it is still there, and a signed document
    of settings."""
    kinds = pb.CollectorMessage.DESCRIPTOR.fields_by_name
    assert set(kinds) == {"welcome", "ack", "refusal", "policy", "ping"}
    for name in ("welcome", "ack", "refusal", "ping"):
        for field in kinds[name].message_type.fields:
            assert field.type != field.TYPE_BYTES
    assert set(pb.Policy.DESCRIPTOR.fields_by_name) == {"version", "document", "signature"}


async def test_a_stream_carries_messages_both_ways() -> None:
    async def serve(requests: AsyncIterator[pb.AgentMessage], context: object) -> AsyncIterator[pb.CollectorMessage]:
        async for message in requests:
            yield pb.CollectorMessage(welcome=pb.Welcome(agent_id=message.hello.host_name, protocol=1))

    async def renews(request: pb.RenewRequest, context: object) -> pb.Certificate:
        return pb.Certificate(certificate=request.signing_request)

    async def enrols(request: pb.EnrolRequest, context: object) -> pb.Certificate:
        return pb.Certificate(certificate=request.token.encode())

    server = grpc.aio.server()
    server.add_generic_rpc_handlers([service.handler(serve, renews), service.enrolment_handler(enrols)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        import asyncio

        def call() -> list[pb.CollectorMessage]:
            with grpc.insecure_channel(f"127.0.0.1:{port}", options=service.OPTIONS) as channel:
                return list(service.deliver(channel, iter([pb.AgentMessage(hello=pb.Hello(host_name="máy-1"))])))

        (answer,) = await asyncio.to_thread(call)
        assert answer.welcome.agent_id == "máy-1"

        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=service.OPTIONS) as channel:
            open_call = service.converse(channel)
            for name in ("máy-2", "máy-3"):
                await open_call.write(pb.AgentMessage(hello=pb.Hello(host_name=name)))
                said = await open_call.read()
                assert isinstance(said, pb.CollectorMessage)
                assert said.welcome.agent_id == name
            open_call.cancel()
            assert (await service.renew(channel, pb.RenewRequest(signing_request=b"r"), 10)).certificate == b"r"

        def ask() -> pb.Certificate:
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                return service.enrol(channel, pb.EnrolRequest(token="t"), 10)

        assert (await asyncio.to_thread(ask)).certificate == b"t"
    finally:
        await server.stop(None)
