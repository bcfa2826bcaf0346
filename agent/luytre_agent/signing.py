"""A key of our own, and the request that the authority certifies it. The core makes both; the kernel gives the
randomness."""

from __future__ import annotations

import os
from collections.abc import Callable

from luytre_agent import _core

_ENTROPY_BYTES = 32


def new_key(random: Callable[[int], bytes] = os.urandom) -> bytes:
    """A P-256 key, PKCS #8 PEM."""
    while True:
        try:
            return _core.new_key(random(_ENTROPY_BYTES)).encode()
        except ValueError:  # these bytes make none: 1 in 2^32 do not
            continue


def signing_request(key: bytes, name: str) -> bytes:
    """The request, PKCS #10 DER, that `key` be certified under `name`. ValueError if the key is none, or the name is
    not 1 to 64 bytes long."""
    return _core.signing_request(key.decode("ascii", "replace"), name)
