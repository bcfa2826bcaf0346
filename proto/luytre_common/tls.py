"""Certificates and keys from PEM files, for mutual TLS on the gRPC stream. TLS 1.2 and older are never spoken: both
ends are ours, and `luytre_common` sees to it before gRPC is loaded."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import grpc

from luytre_common.errors import UserError
from luytre_common.settings import required

_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME of OpenSSL's x509_vfy.h; the ssl module has no name for it

#: Which end of the connection a certificate is for (its extended key usage: clientAuth or serverAuth).
End = Literal["agent", "collector"]


@dataclass(frozen=True)
class Config:
    """Mutual TLS: who we are and whom we trust."""

    authority: Path = required("PEM file with the authority's certificate, which signs both ends")
    certificate: Path = required("PEM file with this end's certificate chain")
    key: Path = required("PEM file with this end's private key, readable by its own user only")


@dataclass(frozen=True, slots=True)
class Identity:
    """The contents of the three files, checked to belong together."""

    authority: bytes
    certificate: bytes
    key: bytes


def read(config: Config, end: End) -> Identity:
    """Read the files and check that they belong together, and that the certificate is good for this end of the
    connection: signed by the authority, for this role. UserError names the file and the remedy.

    Dates are not looked at: an agent with an expired certificate, or a wrong clock after a reboot, must still fill its
    spool.
    """
    identity = Identity(_read(config.authority), _read(config.certificate), _read(config.key))
    if config.key.stat().st_mode & 0o077:
        raise UserError(f"{config.key}: private key readable by others; run: chmod 600 {config.key}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=identity.authority.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise UserError(f"{config.authority}: not a PEM certificate ({error}); give the authority's file") from None
    try:
        context.load_cert_chain(config.certificate, config.key)
    except ssl.SSLError as error:
        raise UserError(f"{config.certificate}: does not go with key {config.key} ({error.reason or error})") from None
    complaint = _rehearse(config, end)
    if complaint:
        raise UserError(
            f"{config.certificate}: refused by authority {config.authority} ({complaint}); "
            f"issue another with: luytre-collector pki issue NAME --{end}"
        )
    return identity


def _rehearse(config: Config, end: End) -> str:
    """A handshake in memory with ourselves, in which the other end checks our certificate as it will over the network:
    what it complained about, empty if it did not."""
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT if end == "agent" else ssl.PROTOCOL_TLS_SERVER)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if end == "agent" else ssl.PROTOCOL_TLS_CLIENT)
    for context in (ours, theirs):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    ours.load_cert_chain(config.certificate, config.key)
    if end == "agent":
        theirs.load_cert_chain(config.certificate, config.key)  # a server needs some certificate; nobody checks it here
    theirs.load_verify_locations(config.authority)
    theirs.verify_mode = ssl.CERT_REQUIRED
    theirs.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
    to_ours, to_theirs = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        ours.wrap_bio(to_ours, to_theirs, server_side=end == "collector"),
        theirs.wrap_bio(to_theirs, to_ours, server_side=end == "agent"),
    ]
    for _ in range(10):  # TLS 1.3 takes three flights
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                return error.verify_message
            except ssl.SSLError as error:
                return error.reason or str(error)
    return ""


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; make it with: luytre-collector pki issue") from None


def channel_credentials(identity: Identity) -> grpc.ChannelCredentials:
    """For the agent's end."""
    return grpc.ssl_channel_credentials(identity.authority, identity.key, identity.certificate)


def server_credentials(identity: Identity) -> grpc.ServerCredentials:
    """For the collector's end: no client enters without a certificate of the authority."""
    return grpc.ssl_server_credentials(
        [(identity.key, identity.certificate)], root_certificates=identity.authority, require_client_auth=True
    )


def open_server_credentials(key: bytes, chain: bytes) -> grpc.ServerCredentials:
    """For the one address where clients have no certificate yet: ours is shown, theirs is not asked for."""
    return grpc.ssl_server_credentials([(key, chain)])
