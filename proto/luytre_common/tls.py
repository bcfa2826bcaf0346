"""Certificates and keys from PEM files, for mutual TLS on the gRPC stream. TLS 1.2 and older are never needed: both
ends are ours."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from luytre_common.errors import UserError
from luytre_common.settings import required


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


def read(config: Config) -> Identity:
    """Read and check the files. UserError names the file and the remedy."""
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
    return identity


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
