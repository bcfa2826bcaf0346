"""The first certificate: for a token, from a collector whose authority the token names.

The authority's certificate comes over a connection on which nothing is verified and nothing is told. It is believed
because its SHA-256 is the one in the token; from then on TLS verifies the collector with it as always, and only then
does the token leave this host.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from luytre_common import tls
from luytre_common.errors import Unavailable, UserError
from luytre_common.policy import key_pem
from luytre_common.wire.v1 import ingest_pb2 as pb
from luytre_common.wire.v1 import service

from luytre_agent import pair, signing
from luytre_agent.certificate import facts

NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
_TOKEN = re.compile(r"lt1\.[0-9a-f]{8}\.[A-Za-z0-9_-]{32}\.([A-Za-z0-9_-]{43})")
#: Where the key that policies are signed with is put, beside the certificate.
POLICY_KEY = "policy.pub"


@dataclass(frozen=True)
class Enrolled:
    """What was got: where the files are, whose certificate it is, and the port to deliver to (0: not told)."""

    files: tls.Config
    name: str
    port: int
    policy_key: Path | None


def pinned(token: str) -> bytes:
    """SHA-256 of the authority's certificate, from a token. UserError if it is none."""
    found = _TOKEN.fullmatch(token)
    if not found:
        raise UserError("this is not a token; copy all of what luytre-collector enrol token printed: lt1....")
    return base64.urlsafe_b64decode(found[1] + "=")


def files_in(folder: Path) -> tls.Config:
    """Where a certificate and what goes with it are, in a folder."""
    return tls.Config(folder / "authority.pem", folder / "agent.pem", folder / "agent.key")


def find_authority(collector: str, pin: bytes, timeout_s: float) -> bytes:
    """The authority's certificate, PEM, from what a collector shows. Unavailable if there is no collector, or its
    authority is not the one that `pin` names."""
    host, _, port = collector.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection((host.strip("[]"), int(port)), timeout=timeout_s) as plain,
            context.wrap_socket(plain, server_hostname=host.strip("[]")) as secured,
        ):
            shown = _chain(secured)
    except TimeoutError:
        raise Unavailable(f"collector {collector} did not answer within {timeout_s:g} s", "look at its log") from None
    except ssl.SSLError as error:
        reason = error.reason or str(error)
        raise Unavailable(f"no TLS 1.3 with {collector}: {reason}", "give the port of [enrol] listen") from None
    except OSError as error:
        raise Unavailable(
            f"collector {collector} cannot be reached: {error.strerror or error}",
            "check address, port and firewall, and that [enrol] listen is set there",
        ) from None
    for der in shown:
        if hashlib.sha256(der).digest() == pin:
            return ssl.DER_cert_to_PEM_cert(der).encode()
    raise Unavailable(
        f"collector {collector} is not of the authority that the token names; nothing was sent",
        "give the port of [enrol] listen, compare address and token with who gave them to you, or find out who answers",
    )


def _chain(secured: ssl.SSLSocket) -> list[bytes]:
    """What the other end has shown, DER, its own certificate first. Public from Python 3.13 on, there from 3.10."""
    if hasattr(secured, "get_unverified_chain"):
        return [bytes(one) for one in secured.get_unverified_chain()]
    inner: Any = getattr(secured, "_sslobj", None)
    if not hasattr(inner, "get_unverified_chain"):
        raise Unavailable(
            "this Python does not show certificate chains", "copy the authority's certificate and give --authority"
        )
    return [ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in inner.get_unverified_chain() or ()]


def enrol(
    collector: str,
    token: str,
    name: str,
    folder: Path,
    timeout_s: float,
    authority: bytes | None = None,
) -> Enrolled:
    """Get a certificate for `name` into `folder`, and put it in force. `authority`: its certificate, PEM, if it is
    known already. UserError for what cannot be, Unavailable for what cannot be now; in both cases it can be repeated,
    with the same token: a key that was made stays and is asked for again.
    """
    files = files_in(folder)
    pin = pinned(token)
    if authority is None:
        authority = find_authority(collector, pin, timeout_s)
    elif hashlib.sha256(_der(authority)).digest() != pin:
        raise UserError("the authority's certificate is not the one that the token names; nothing was sent")
    _make_folder(folder)
    key = pair.next_key(files)
    request = pb.EnrolRequest(
        token=token, signing_request=signing.signing_request(key, name), host_name=socket.gethostname()
    )
    credentials = grpc.ssl_channel_credentials(authority)
    with grpc.secure_channel(collector, credentials, options=service.OPTIONS) as channel:
        try:
            answer = service.enrol(channel, request, timeout_s)
        except grpc.RpcError as error:
            raise _explain(collector, error.code(), error.details() or "") from None
    pair.write(files.authority, authority, 0o644)
    pair.install(files, answer.certificate, name)
    policy_key = None
    if len(answer.policy_key) == 32:
        policy_key = folder / POLICY_KEY
        pair.write(policy_key, key_pem(answer.policy_key), 0o644)
    return Enrolled(files, name, answer.port, policy_key)


def already(files: tls.Config) -> str | None:
    """Whose certificate is in the folder, if there is one that goes with its key. UserError if there is something else,
    which is not overwritten."""
    pair.settle(files)
    there = [path for path in (files.certificate, files.key) if path.exists() or path.is_symlink()]
    if not there:
        return None
    identity = tls.read(files, "agent")
    return facts(identity.certificate).common_name


def _der(pem: bytes) -> bytes:
    try:
        return ssl.PEM_cert_to_DER_cert(pem.decode("ascii").strip())
    except ValueError:
        raise UserError("--authority: is not one PEM certificate; give the authority's") from None


def _make_folder(folder: Path) -> None:
    try:
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True)
            if os.geteuid() == 0:  # it belongs to whom the folder above belongs to: the agent's user
                above = folder.parent.stat()
                os.chown(folder, above.st_uid, above.st_gid)
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}; give a folder that this user may write with --dir") from None


def _explain(collector: str, code: grpc.StatusCode, details: str) -> UserError | Unavailable:
    said = f"collector {collector}: {details or code.name.lower()}"
    if code in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.INVALID_ARGUMENT):
        return UserError(said)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return Unavailable(said, "wait a minute")
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return Unavailable(f"nobody is enrolled at {collector}", "give the port of [enrol] listen of the collector")
    if "Hostname Verification" in details or "Peer name" in details:
        return Unavailable(
            f"certificate of collector {collector} is for another name",
            "give the name in the certificate, or issue one for this name (luytre-collector pki issue --host)",
        )
    if "handshake failed" in details.lower() or "CERTIFICATE_VERIFY_FAILED" in details:
        return Unavailable(
            f"certificate of collector {collector} is not of the authority that the token names, or out of date; "
            "nothing was sent",
            "compare both clocks, or find out who answers there",
        )
    return Unavailable(said, "look at its log; it is safe to try again")
