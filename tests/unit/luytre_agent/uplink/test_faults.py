from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from luytre_agent.uplink.faults import explain
from luytre_common import tls

CONFIG = tls.Config(Path("authority.pem"), Path("agent.pem"), Path("agent.key"))

ALL = "failed to connect to all addresses; last error: "
SSL = "SSL_ERROR_SSL: error:1000007d:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED: "
TSI = f"{ALL}UNKNOWN: ipv4:127.0.0.1:45865: Tls handshake failed (TSI_PROTOCOL_FAILURE): {SSL}"
RESOLVER = (
    "errors resolving no.such.invalid:1: [field:hostname lookup error:address lookup failed for no.such.invalid:1]"
)

#: What gRPC says, as it was seen to say it, and what people are told.
SEEN = [
    ("UNAVAILABLE", f"{TSI}unable to get local issuer certificate: OK", "authority", "not of our authority"),
    ("UNAVAILABLE", f"{TSI}certificate has expired: OK", "authority", "out of date"),
    ("UNAVAILABLE", f"{ALL}UNKNOWN: ipv4:127.0.0.2: Hostname Verification Check failed.", "authority", "another name"),
    ("UNAVAILABLE", f"{ALL}UNAVAILABLE: ipv4:127.0.0.1:41619: Socket closed", "closed", "does not trust agent.pem"),
    ("UNAVAILABLE", f"{ALL}UNKNOWN: 127.0.0.1: Failed to connect to remote host: Connection refused",
     "unreachable", "cannot be reached: Connection refused"),
    ("UNAVAILABLE", RESOLVER, "name", "the name is not known"),
    ("UNAVAILABLE", "", "unreachable", "no answer"),
    ("UNAVAILABLE", "superseded by a newer stream of this agent", "superseded", "two agents with one certificate"),
    ("UNAVAILABLE", "the collector is stopping", "stopping", "batches wait in the spool"),
    ("UNAUTHENTICATED", "no client certificate", "identity", "no client certificate"),
    ("PERMISSION_DENIED", "", "identity", "permission_denied"),
    ("FAILED_PRECONDITION", "protocol 9", "protocol", "protocol 9"),
    ("RESOURCE_EXHAUSTED", "2000 streams", "busy", "2000 streams"),
    ("INTERNAL", "odd", "broken", "internal: odd"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "details", "kind", "words"), SEEN, ids=[f"{one[2]}-{n}" for n, one in enumerate(SEEN)]
)
def test_what_grpc_says_is_put_in_words(code: str, details: str, kind: str, words: str) -> None:
    fault = explain(getattr(grpc.StatusCode, code), details, "collector:7071", CONFIG)
    assert fault.kind == kind
    assert words in str(fault)
    assert "collector:7071" in fault.reason
    assert "\n" not in str(fault)


@pytest.mark.parametrize("details", ["Socket closed", "recvmsg:Connection reset by peer", ""])
def test_a_stream_that_was_good_is_no_question_of_certificates_or_addresses(details: str) -> None:
    fault = explain(grpc.StatusCode.UNAVAILABLE, details, "collector:7071", CONFIG, welcomed=True)
    assert fault.kind == "lost"
    assert fault.remedy == "batches wait in the spool until it is back"
    refused = explain(grpc.StatusCode.UNAUTHENTICATED, "revoked", "collector:7071", CONFIG, welcomed=True)
    assert refused.kind == "identity"
