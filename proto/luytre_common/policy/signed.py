"""A signed policy as a file: one line with the signature, then the document to the byte.

    luytre policy 1 ed25519 SIGNATURE-IN-BASE64
    version = 12
    ...

What is signed is `luytre policy 1`, a line end, and the document, so that no signature over anything else can pass for
one over a policy.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from luytre_common.policy.document import MAX_BYTES, PolicyError

SIGNATURE_BYTES = 64
_PREFIX = b"luytre policy 1\n"
_HEAD = b"luytre policy 1 ed25519 "
#: The first line, and the document.
MAX_FILE_BYTES = MAX_BYTES + 200


@dataclass(frozen=True, slots=True)
class Signed:
    """A document as bytes, and its signature. Nothing is said about whether either is good."""

    document: bytes
    signature: bytes


def signed_bytes(document: bytes) -> bytes:
    """What the signature is made over."""
    return _PREFIX + document


def pack(signed: Signed) -> bytes:
    """The file."""
    return _HEAD + base64.b64encode(signed.signature) + b"\n" + signed.document


def unpack(raw: bytes) -> Signed:
    """The file's two parts. PolicyError if it is none."""
    if len(raw) > MAX_FILE_BYTES:
        raise PolicyError([f"signed policy: {len(raw)} bytes; the most is {MAX_FILE_BYTES}"])
    head, end, document = raw.partition(b"\n")
    if not head.startswith(_HEAD) or not end:
        raise PolicyError(["not a signed policy: sign it with: luytre-collector policy sign"])
    try:
        signature = base64.b64decode(head.removeprefix(_HEAD), validate=True)
    except binascii.Error:
        signature = b""
    if len(signature) != SIGNATURE_BYTES:
        raise PolicyError(["signed policy: the first line has no signature of 64 bytes; sign it again"])
    return Signed(document, signature)
