"""What is signed for whom. Neither network nor event loop: `server` asks, one at a time.

Of a request only the name and the key are taken: role, validity and extensions are ours, the serial is random.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import grpc
from cryptography import x509
from luytre_common.errors import UserError

from luytre_collector.enrol.tokens import Token, Tokens, Use
from luytre_collector.ingest.control import Peer
from luytre_collector.pki import Authority, request
from luytre_collector.pki.authority import key_print
from luytre_collector.pki.books import Entry, instant, revocation, serial_text

#: What has expired stays in the books for this time: longer than rows are kept by default.
KEPT = timedelta(days=400)
#: So many certificates of a name may be renewed within a tenth of their validity: a renewal whose answer was lost can
#: be repeated, and who asks in a loop does not fill the books.
MAX_RENEWALS = 3


class RefusedError(Exception):
    """Nothing is signed. `cause` is one word, for counters; the message is for who asked."""

    def __init__(self, status: grpc.StatusCode, cause: str, message: str) -> None:
        self.status = status
        self.cause = cause
        self.message = message
        super().__init__(message)


@dataclass(frozen=True)
class Signed:
    """What was signed, for whom, by which token; what became of the name's other certificates."""

    certificate: x509.Certificate
    name: str
    token: str = ""
    again: bool = False
    others: tuple[Entry, ...] = ()
    revoked: bool = False

    @property
    def serial(self) -> str:
        """As in the books."""
        return serial_text(self.certificate.serial_number)


def _denied(cause: str, message: str) -> RefusedError:
    return RefusedError(grpc.StatusCode.PERMISSION_DENIED, cause, message)


class Desk:
    """Signs for tokens and for certificates that end soon."""

    def __init__(
        self, authority: Authority, tokens: Tokens, valid: timedelta, replaced: Literal["revoke", "keep"]
    ) -> None:
        self.authority = authority
        self._tokens = tokens
        self._valid = valid
        self._replaced = replaced

    def tidy(self) -> int:
        """Drop from the books what expired long ago; how many certificates. UserError, OSError."""
        return self.authority.books.forget(self.authority.now() - KEPT)

    def enrol(self, shown: str, signing_request: bytes) -> Signed:
        """A certificate for a host that shows a token. RefusedError; UserError or OSError if a file of ours is at
        fault. What crashes midway is put right when the host asks again with the same key."""
        with self._tokens.open():
            token = self._tokens.find(shown)
            if token is None:
                raise _denied("unknown", "there is no such token; copy all of it, or ask for another")
            asked = _read(signing_request)
            key = key_print(asked.key)
            again = token.has_enrolled(asked.name, key)
            self._check(token, asked.name, again)
            signed = self._sign_for(token, asked, key, again)
            if not again:
                self._tokens.used(token, Use(asked.name, key, instant(self.authority.now())))
            return signed

    def _check(self, token: Token, name: str, again: bool) -> None:
        state = token.state(self.authority.now())
        if state != "good" and not (again and state == "used up"):
            raise _denied(state.replace(" ", "_"), f"token {token.id} is {state}; ask for another")
        if not token.allows(name):
            raise _denied(
                "name", f"token {token.id} is for {token.names}, not for {name}; give --name, or ask for another"
            )

    def _sign_for(self, token: Token, asked: request.Request, key: str, again: bool) -> Signed:
        books = self.authority.books
        with books.open():
            now = self.authority.now()
            others = tuple(one for one in books.standing(asked.name, now) if one.key != key)
            if others and (not token.only_one or any(one.role != "agent" for one in others)):
                message = (
                    f"there is a {others[-1].role} {asked.name} already, certified until {others[-1].expires[:10]}; "
                    "revoke it, or enrol with a token made for this name alone (--name)"
                )
                raise _denied("taken", message)
            certificate = self._sign(asked, f"enrol {token.id}")
            revoke = bool(others) and self._replaced == "revoke"
            if revoke:
                books.revoke([revocation(one, f"replaced by enrolment with token {token.id}", now) for one in others])
        return Signed(certificate, asked.name, token.id, again, others, revoke)

    def renew(self, peer: Peer, signing_request: bytes) -> Signed:
        """The next certificate of a peer, for a new key. RefusedError; UserError or OSError as above."""
        asked = _read(signing_request)
        if asked.name != peer.agent_id:
            raise _denied("name", f"you are {peer.agent_id}, and cannot have a certificate for {asked.name}")
        books = self.authority.books
        with books.open():
            now = self.authority.now()
            if books.revoked().find(peer.serial, peer.fingerprint):
                raise _denied("revoked", "this certificate was revoked")
            if peer.expires_us <= now.timestamp() * 1e6:  # TLS has looked when the connection was made
                raise _denied("expired", "this certificate has expired; ask for a token and enrol again")
            since = instant(now - self._valid / 10)
            lately = [one for one in books.standing(asked.name, now) if one.by == "renew" and one.issued > since]
            if len(lately) >= MAX_RENEWALS:
                message = f"{asked.name} was given {len(lately)} certificates since {since[:19]}; ask again later"
                raise RefusedError(grpc.StatusCode.RESOURCE_EXHAUSTED, "too_many", message)
            return Signed(self._sign(asked, "renew"), asked.name)

    def _sign(self, asked: request.Request, by: str) -> x509.Certificate:
        try:
            return self.authority.sign_agent(asked, self._valid, by)
        except UserError as error:
            if self.authority.certificate.not_valid_after_utc <= self.authority.now():
                raise
            raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, "request", str(error)) from None


def _read(signing_request: bytes) -> request.Request:
    try:
        return request.read(signing_request)
    except ValueError as error:
        raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, "request", str(error)) from None
