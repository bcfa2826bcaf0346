"""Signed policies, and a host that does as a test says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from luytre_agent.policy import Config, Policies, Seen
from luytre_agent.policy.model import Given, Source
from luytre_common.errors import UserError
from luytre_common.policy import key_pem, signed_bytes
from luytre_common.wire.v1 import ingest_pb2 as pb


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


@dataclass
class Bench:
    """Policies of the agent web-01, with clocks that a test sets, and what they said."""

    folder: Path
    host: Host = field(default_factory=Host)
    signer: Signer = field(default_factory=Signer)
    settings: dict[str, Any] = field(default_factory=dict)
    connected: bool = True
    now: float = 1_800_000_000.0
    ticks: float = 0.0
    said: list[tuple[int, str, str]] = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)
    policies: Policies | None = None

    def start(self) -> Policies:
        config = Config(
            **{"key": self.signer.write_key(self.folder / "policy.pub"), "trial_seconds": 2.0, **self.settings}
        )
        self.policies = Policies(
            config, self.folder / "policy", "web-01", self.host, self.say, lambda: self.now, lambda: self.ticks
        )
        if given := self.policies.load():
            self.host.prepare(given)()
        self.policies.start()
        return self.policies

    def stop(self) -> None:
        if self.policies:
            self.policies.stop()

    def say(self, message: pb.AgentMessage) -> bool:
        report = message.policy_report
        state = pb.PolicyState.Name(report.state).removeprefix("POLICY_STATE_").lower()
        with self.news:
            if self.connected:
                self.said.append((report.version, state, report.message))
            self.news.notify_all()
        return self.connected

    def tell(self, given: Given) -> None:
        assert self.policies is not None
        self.policies.told(pb.Policy(version=given.version, document=given.document, signature=given.signature))

    def wait(self, version: int, state: str) -> str:
        """The message of the report, once it is there."""

        def found() -> str | None:
            return next((text for number, one, text in self.said if (number, one) == (version, state)), None)

        with self.news:
            assert self.news.wait_for(lambda: found() is not None, 20), self.said
        message = found()
        assert message is not None
        return message

    def apply(self, given: Given) -> None:
        self.tell(given)
        self.wait(given.version, "trying")
        self.ticks += 2.0
        self.wait(given.version, "applied")


def count(policies: Policies, name: str, label: str = "") -> int:
    values = {(sample.name, sample.label): sample.value for sample in policies.samples()}
    return values.get((name, label), 0)
