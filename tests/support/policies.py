"""Signed policies, and a host that does as a test says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from luytre_agent.policy import Seen
from luytre_agent.policy.model import Given, Source
from luytre_common.errors import UserError
from luytre_common.policy import key_pem, signed_bytes


class Signer:
    """An operator with a key."""

    def __init__(self) -> None:
        self._private = Ed25519PrivateKey.generate()
        self.key = self._private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)

    def write_key(self, path: Path) -> Path:
        path.write_bytes(key_pem(self.key))
        return path

    def sign(self, document: bytes) -> bytes:
        return self._private.sign(signed_bytes(document))

    def given(self, version: int, settings: str = "", agents: str = "*", more: str = "") -> Given:
        text = f'version = {version}\nagents = ["{agents}"]\n{more}\n[settings]\n{settings}\n'
        document = text.encode()
        return Given(version, document, self.sign(document))


@dataclass
class Host:
    """The agent as policies see it. `seen` is how it is with the settings in force; `faults` are raised in turn when
    some are put in force."""

    seen: Callable[[Mapping[str, Any]], Seen] = lambda _: Seen({"files": Source(True)}, frozenset({"files"}), True)
    refuse: str = ""
    faults: list[Exception] = field(default_factory=list)
    in_force: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def settings(self) -> Mapping[str, Any]:
        return self.in_force[-1] if self.in_force else {}

    def prepare(self, settings: Mapping[str, Any]) -> Callable[[], None]:
        if self.refuse and settings:
            raise UserError(self.refuse)

        def put() -> None:
            if self.faults:
                raise self.faults.pop(0)
            self.in_force.append(settings)

        return put

    def look(self) -> Seen:
        return self.seen(self.settings)
