"""May this policy be put in force here? Pure. Everything is asked again at each start: a file that was changed on the
disk, a key that was taken away or a program that allows less puts nothing in force."""

from __future__ import annotations

from collections.abc import Sequence

from luytre_common.policy import Document, PolicyError, read, signed_bytes
from luytre_common.policy.document import MAX_BYTES

from luytre_agent import _core
from luytre_agent.policy.model import Given

#: A clock may be so much behind that of who wrote `not_before`, seconds.
SLACK_S = 300.0


class RefusedError(Exception):
    """It may not. `cause` is a word for the counter, the message a sentence for people."""

    def __init__(self, cause: str, message: str) -> None:
        self.cause = cause
        super().__init__(message)


def judge(given: Given, keys: Sequence[bytes], agent_id: str) -> Document:
    """The document, if it is signed, sound, and for this agent. RefusedError if not."""
    if not keys:
        raise RefusedError("no_key", "this host has no key for policies ([policy] key)")
    if len(given.document) > MAX_BYTES:
        raise RefusedError("content", f"it has {len(given.document)} bytes; the most is {MAX_BYTES}")
    if not any(_core.verify_ed25519(key, signed_bytes(given.document), given.signature) for key in keys):
        raise RefusedError("signature", "the signature is by none of this host's keys")
    try:
        document = read(given.document)
    except PolicyError as error:
        raise RefusedError("content", str(error)) from None
    if document.version != given.version:
        message = f"it came as version {given.version}, and is signed as {document.version}"
        raise RefusedError("version", message)
    if not document.names(agent_id):
        raise RefusedError("other_agents", f"it is not for {agent_id}")
    return document


def new(document: Document, highest: int, now: float) -> None:
    """RefusedError if it is not newer than every version that was ever tried here, or its time is not now."""
    if document.version <= highest:
        raise RefusedError("old", f"version {highest} was here already, and no version comes twice")
    if document.expired(now):
        raise RefusedError("expired", "its time is over, by this host's clock")
    if not document.begun(now + SLACK_S):
        raise RefusedError("early", "its time has not come, by this host's clock")
