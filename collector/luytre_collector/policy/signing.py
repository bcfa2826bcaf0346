"""The operator's end: the private key, and signatures. No part of a running collector imports this."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from luytre_common.errors import UserError
from luytre_common.policy import PolicyError, Signed, key_pem, pack, read, signed_bytes
from luytre_common.policy.document import MAX_BYTES as MAX_DOCUMENT
from luytre_common.policy.document import Document

KEY, PUBLIC = "policy.key", "policy.pub"


def init(directory: Path) -> tuple[Path, Path, bytes]:
    """Make a key pair; the two files, and the public key. UserError if either is there."""
    private_path, public_path = directory / KEY, directory / PUBLIC
    for path in (private_path, public_path):
        if path.exists():
            raise UserError(f"{path}: is there already; agents trust it: use another --dir for another key")
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(private_path, pem, 0o600)
        _write(public_path, key_pem(public), 0o644)
    except OSError as error:
        raise UserError(f"{directory}: {error.strerror}; give a folder that you may write to with --dir") from None
    return private_path, public_path, public


def load(path: Path) -> Ed25519PrivateKey:
    """The private key. UserError, also if others may read it."""
    try:
        raw = path.read_bytes()
        mode = path.stat().st_mode
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; make one with: luytre-collector policy key init") from None
    try:
        key = serialization.load_pem_private_key(raw, password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise UserError(f"{path}: not an Ed25519 private key (PEM); make one with: luytre-collector policy key init")
    if mode & 0o077:
        raise UserError(f"{path}: private key readable by others; run: chmod 600 {path}")
    return key


def public_of(private: Ed25519PrivateKey) -> bytes:
    """The public half, 32 bytes."""
    return private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def sign(source: Path, private: Ed25519PrivateKey, target: Path) -> Document:
    """Sign a document that agents would take. UserError, naming every fault of it."""
    try:
        with source.open("rb") as file:
            raw = file.read(MAX_DOCUMENT + 1)
    except OSError as error:
        raise UserError(f"{source}: {error.strerror}; give an existing file") from None
    try:
        document = read(raw)
    except PolicyError as error:
        raise UserError("\n".join(f"{source}: {fault}" for fault in error.faults)) from None
    try:
        target.write_bytes(pack(Signed(raw, private.sign(signed_bytes(raw)))))
    except OSError as error:
        raise UserError(f"{target}: {error.strerror}; give another file with -o") from None
    return document


def _write(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
