"""The address where agents get their first certificate, and the answer to those that ask for the next one.

The collector shows its certificate and the authority's, whose fingerprint is in every token; who asks has none yet.
Every certificate that is signed is a line of the log `luytre.audit`, and every refusal a counter by cause.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import grpc
from luytre_common import tls
from luytre_common.errors import LuytreError, UserError
from luytre_common.telemetry import Counters, RateLimited
from luytre_common.wire.v1 import ingest_pb2 as pb
from luytre_common.wire.v1 import service

from luytre_collector.attempts import Attempts
from luytre_collector.enrol.config import Config
from luytre_collector.enrol.desk import Desk, RefusedError, Signed
from luytre_collector.enrol.tokens import Tokens, parse
from luytre_collector.ingest.address import host_of
from luytre_collector.ingest.control import EndedError, Peer
from luytre_collector.ingest.server import probe
from luytre_collector.pki import Authority, to_pem

#: A request is a token, a signing request and a host name.
MAX_MESSAGE_BYTES = 32 * 1024
#: How many may wait for the one that is being looked at.
MAX_WAITING = 64

_log = logging.getLogger("luytre.enrol")
_audit = logging.getLogger("luytre.audit")


def open_desk(config: Config, tls_config: tls.Config) -> Desk | None:
    """The desk, if this collector has the authority's key. UserError if it should have it and has not, or if the key is
    not good."""
    folder = config.authority or tls_config.authority.parent
    if config.authority is None and not (folder / "authority.key").exists():
        if config.listen:
            raise UserError(
                f"enrol.listen: {folder} has no authority.key, and without it nothing can be signed; "
                "give enrol.authority, or sign elsewhere (luytre-collector pki sign) and leave enrol.listen empty"
            )
        return None
    try:
        authority = Authority(folder)
    except UserError as error:
        if config.authority or config.listen:
            raise
        _log.warning("certificates are not renewed here: %s", error)
        return None
    return Desk(authority, Tokens(config.tokens), timedelta(hours=config.valid_hours), config.replaced)


def revocation_lists(given: Path, desk: Desk | None) -> list[Path]:
    """Where it says what is revoked: in the list for this collector, and in the books of an authority that is here."""
    return list(dict.fromkeys([given, *([desk.authority.books.revocations] if desk else [])]))


class Enrolment:
    """Serves `luytre.wire.v1.Enrolment`, and signs renewals for the server of the streams. Made inside the event loop
    that it runs in."""

    def __init__(
        self,
        config: Config,
        desk: Desk,
        identity: tls.Identity,
        policy_key: bytes,
        counters: Counters,
        clock: Callable[[], float],
    ) -> None:
        """`policy_key`: the key that agents check policies with, which they get with their first certificate; empty if
        there are no policies."""
        self._config = config
        self._desk = desk
        self._identity = identity
        self._policy_key = policy_key
        self._counters = counters
        self._attempts = Attempts(clock)
        self._quiet = RateLimited(clock, 10.0)
        self._one = asyncio.Lock()
        self._waiting = 0
        self._port = 0
        self._server: grpc.aio.Server | None = None

    async def start(self, ingest_address: str) -> str:
        """Listen; the address, with the port that the system gave. `ingest_address`: where agents deliver. UserError if
        it cannot be had."""
        listen = self._config.listen
        self._port = int(ingest_address.rpartition(":")[2])
        probe(listen, "enrol.listen")
        options: list[tuple[str, Any]] = [
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.so_reuseport", 0),
            ("grpc.max_concurrent_streams", 4),
            ("grpc.server_handshake_timeout_ms", 10_000),
            ("grpc.max_connection_age_ms", 60_000),
        ]
        server = grpc.aio.server(options=options)
        server.add_generic_rpc_handlers((service.enrolment_handler(self._enrol),))
        chain = self._identity.certificate.rstrip() + b"\n" + self._desk.authority.pem
        try:
            port = server.add_secure_port(listen, tls.open_server_credentials(self._identity.key, chain))
        except RuntimeError:
            port = 0
        if not port:
            raise UserError(f"{listen}: cannot listen there; choose another enrol.listen")
        await server.start()
        self._server = server
        return f"{listen.rpartition(':')[0]}:{port}"

    async def tidy(self) -> None:
        """Drop from the books what expired long ago. What is wrong with them shows when something is to be signed."""
        try:
            dropped = await asyncio.to_thread(self._desk.tidy)
        except (LuytreError, OSError) as error:
            _log.warning("the authority's books: %s", error)
        else:
            if dropped:
                _log.info("the authority's books: %d certificates that expired long ago are dropped", dropped)

    async def stop(self) -> None:
        """Close the port."""
        if self._server:
            await self._server.stop(1.0)

    async def renew(self, peer: Peer, request: pb.RenewRequest) -> pb.Certificate:
        """The next certificate of a peer. EndedError if it gets none."""
        try:
            signed = await self._ask(lambda: self._desk.renew(peer, request.signing_request))
        except RefusedError as error:
            self._counters.add("renewals_refused", label=error.cause)
            raise EndedError(error.status, error.message) from None
        self._counters.add("renewed")
        self._tell("renewed", signed, peer.address)
        return self._answer(signed)

    async def _enrol(
        self, request: pb.EnrolRequest, context: grpc.aio.ServicerContext[pb.EnrolRequest, pb.Certificate]
    ) -> pb.Certificate:
        address = context.peer()
        parsed = parse(request.token)
        host, token = host_of(address), parsed[0] if parsed else ""
        try:
            if wait_s := self._attempts.wait_s(host, token):
                message = f"too many attempts from {host}; try again in {wait_s:.0f} s"
                raise RefusedError(grpc.StatusCode.RESOURCE_EXHAUSTED, "too_many", message)
            signed = await self._ask(lambda: self._desk.enrol(request.token, request.signing_request))
        except RefusedError as error:
            self._counters.add("enrolments_refused", label=error.cause)
            if error.cause != "too_many":
                self._attempts.failed(host, token)
            if self._quiet.ready(f"{error.cause} {host}"):
                more = self._quiet.left_out(f"{error.cause} {host}")
                note = f" (and {more} more like it)" if more else ""
                _audit.warning("not enrolled address=%s cause=%s: %s%s", address, error.cause, error.message, note)
            await _abort(context, error.status, error.message)
        if signed.again:
            self._attempts.failed(host, token)  # it is in order, and not in a loop
        self._counters.add("enrolled")
        if signed.others:
            self._counters.add("machines_replaced", label="revoked" if signed.revoked else "kept")
        self._tell("enrolled", signed, address, request.host_name)
        return self._answer(signed)

    async def _ask(self, sign: Callable[[], Signed]) -> Signed:
        """In a thread, one after the other; RefusedError also for what is our fault, which is counted and logged."""
        if self._waiting >= MAX_WAITING:
            raise RefusedError(grpc.StatusCode.RESOURCE_EXHAUSTED, "too_many", "too many ask at once; try again")
        self._waiting += 1
        try:
            async with self._one:
                return await asyncio.to_thread(sign)
        except (LuytreError, OSError) as error:
            self._counters.add("signing_failed")
            if self._quiet.ready("signing_failed"):
                _log.error("nothing can be signed: %s", error)
            message = "this collector cannot sign now; its log says why"
            raise RefusedError(grpc.StatusCode.UNAVAILABLE, "failed", message) from None
        finally:
            self._waiting -= 1

    def _answer(self, signed: Signed) -> pb.Certificate:
        return pb.Certificate(
            certificate=to_pem(signed.certificate),
            authority=self._desk.authority.pem,
            policy_key=self._policy_key,
            port=self._port,
        )

    def _tell(self, what: str, signed: Signed, address: str, host_name: str = "") -> None:
        parts = [
            f"{what} name={signed.name}",
            f"serial={signed.serial}",
            f"expires={signed.certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
            f"address={address}",
        ]
        if signed.token:
            parts.append(f"token={signed.token} host={host_name[:64]!r}")
        if signed.again:
            parts.append("again=yes")
        parts.extend(f"{'revoked' if signed.revoked else 'beside'}={one.serial}" for one in signed.others)
        _audit.info("%s", " ".join(parts))


async def _abort(context: grpc.aio.ServicerContext[Any, Any], status: grpc.StatusCode, message: str) -> NoReturn:
    await context.abort(status, message)
    raise AssertionError("abort raises")
