"""Public keys that policies are signed with: Ed25519, as PEM files (SubjectPublicKeyInfo, RFC 8410) or 32 bare bytes.

A file may hold several, while one replaces another: a signature by any of them is good.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from pathlib import Path

from luytre_common.errors import UserError

KEY_BYTES = 32
MAX_KEYS = 8
_MAX_FILE = 16 << 10

#: SEQUENCE { SEQUENCE { OBJECT IDENTIFIER 1.3.101.112 } BIT STRING (no unused bits), of which the key follows.
_DER = bytes.fromhex("302a300506032b6570032100")
_BLOCK = re.compile(rb"-----BEGIN PUBLIC KEY-----\s([A-Za-z0-9+/=\s]{1,200})-----END PUBLIC KEY-----")


def key_pem(key: bytes) -> bytes:
    """A key's PEM text."""
    body = base64.b64encode(_DER + key)
    return b"-----BEGIN PUBLIC KEY-----\n" + body + b"\n-----END PUBLIC KEY-----\n"


def key_id(key: bytes) -> str:
    """A name for a key that people can compare: the first 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(key).hexdigest()[:16]


def parse_keys(raw: bytes) -> tuple[bytes, ...]:
    """The keys of a file. ValueError, as the end of a sentence, if there is none or one of them is none."""
    if len(raw) == KEY_BYTES and not raw.startswith(b"-----"):
        return (raw,)
    keys = []
    for block in _BLOCK.findall(raw):
        try:
            der = base64.b64decode(b"".join(block.split()), validate=True)
        except binascii.Error:
            der = b""
        if len(der) != len(_DER) + KEY_BYTES or not der.startswith(_DER):
            raise ValueError("has a public key that is not Ed25519")
        keys.append(der[len(_DER) :])
    if not keys or raw.count(b"-----BEGIN") != len(keys):
        raise ValueError("is not a file of Ed25519 public keys (PEM)")
    if len(keys) > MAX_KEYS:
        raise ValueError(f"has {len(keys)} keys; the most is {MAX_KEYS}")
    return tuple(keys)


def load_keys(path: Path) -> tuple[bytes, ...]:
    """The keys of a file. UserError, naming file and remedy."""
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_FILE + 1)
        return parse_keys(raw)
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror}; copy policy.pub there, from luytre-collector policy key init"
        ) from None
    except ValueError as error:
        raise UserError(f"{path}: {error}; copy policy.pub there, from luytre-collector policy key init") from None
