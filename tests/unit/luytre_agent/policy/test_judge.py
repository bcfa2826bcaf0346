from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from luytre_agent.policy.judge import SLACK_S, RefusedError, judge, new
from luytre_agent.policy.model import Given
from luytre_common.policy import Document
from luytre_common.policy.document import MAX_BYTES

from tests.support.policies import Signer

SIGNER = Signer()
GOOD = SIGNER.given(7, "sources.files.enabled = false", agents="web-*")


def refused(given: Given, keys: tuple[bytes, ...] = (SIGNER.key,), agent_id: str = "web-01") -> tuple[str, str]:
    with pytest.raises(RefusedError) as raised:
        judge(given, keys, agent_id)
    return raised.value.cause, str(raised.value)


def test_what_is_signed_and_for_us_is_taken() -> None:
    document = judge(GOOD, (Signer().key, SIGNER.key), "web-01")
    assert (document.version, document.settings) == (7, {"sources.files.enabled": False})


def test_why_it_is_not() -> None:
    assert refused(GOOD, ())[0] == "no_key"
    assert refused(GOOD, (Signer().key,)) == ("signature", "the signature is by none of this host's keys")
    assert refused(GOOD, agent_id="db-01") == ("other_agents", "it is not for db-01")
    assert refused(replace(GOOD, version=8)) == ("version", "it came as version 8, and is signed as 7")
    assert refused(SIGNER.given(7, "tls.key = '/k'"))[1].startswith("settings.tls: no policy may set that")
    assert refused(replace(GOOD, document=bytes(MAX_BYTES + 1)))[0] == "content"


def test_a_signature_over_something_else_does_not_pass() -> None:
    bare = SIGNER._private.sign(GOOD.document)  # without the line that says what it is
    assert refused(replace(GOOD, signature=bare))[0] == "signature"


@settings(max_examples=60)
@given(st.data())
def test_no_bit_of_it_may_differ(data: st.DataObject) -> None:
    part = data.draw(st.sampled_from(["document", "signature"]))
    raw = bytearray(getattr(GOOD, part))
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    assert refused(replace(GOOD, **{part: bytes(raw)}))[0] == "signature"


def test_no_version_comes_twice_and_none_comes_back() -> None:
    document = Document(7, "", ("*",), {}, not_before=1000.0, expires=2000.0)
    new(document, 6, 1500.0)
    new(document, 6, 1000.0 - SLACK_S)  # a clock that is a little behind
    for highest, now, cause in ((7, 1500.0, "old"), (8, 1500.0, "old"), (6, 2000.0, "expired"), (6, 699.0, "early")):
        with pytest.raises(RefusedError) as raised:
            new(document, highest, now)
        assert raised.value.cause == cause
