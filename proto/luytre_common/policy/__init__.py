"""Policies: what the agents of a group shall do, as a signed document. Both ends read it with the same eyes.

`allowed` is the closed table of what a policy may set; `document` reads a document against it; `signed` is the file
that carries a document and its signature; `keys` are the public halves. Nothing here can sign.
"""

from __future__ import annotations

from luytre_common.policy.allowed import ALLOWED, Allowed
from luytre_common.policy.document import Document, PolicyError, read
from luytre_common.policy.keys import key_id, key_pem, load_keys, parse_keys
from luytre_common.policy.signed import SIGNATURE_BYTES, Signed, pack, signed_bytes, unpack

__all__ = [
    "ALLOWED",
    "SIGNATURE_BYTES",
    "Allowed",
    "Document",
    "PolicyError",
    "Signed",
    "key_id",
    "key_pem",
    "load_keys",
    "pack",
    "parse_keys",
    "read",
    "signed_bytes",
    "unpack",
]
