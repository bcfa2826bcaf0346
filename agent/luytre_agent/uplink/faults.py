"""Why a stream ended, in words for the person who must do something about it."""

from __future__ import annotations

from dataclasses import dataclass

import grpc
from luytre_common import tls


@dataclass(frozen=True, slots=True)
class Fault:
    """`kind`, one word for counters and rate limits; what happened, and what would help."""

    kind: str
    reason: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.reason}; {self.remedy}" if self.remedy else self.reason


_WAITS = "batches wait in the spool until it is back"

#: What a collector says when it ends a stream that was good: the kind, and what would help.
_SAID = {
    "superseded": (
        "superseded",
        "two agents with one certificate take turns: issue one to each, unless this was `luytre-agent check`",
    ),
    "the collector is stopping": ("stopping", _WAITS),
    "the certificate has expired": (
        "expired",
        "it is renewed by itself; if it was not, see renewals_failed and the log",
    ),
    "another host": ("moved", "if that host is not this one's successor, both were made from one copy: enrol this one"),
}


def explain(code: grpc.StatusCode, details: str, collector: str, config: tls.Config, welcomed: bool = False) -> Fault:
    """The status of a stream that ended, as a fault. gRPC tells causes apart only in the words of `details`.

    welcomed: whether the collector had taken us, so that there is nothing wrong with certificates and addresses.
    """
    if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
        return Fault(
            "identity",
            f"collector {collector} refused our identity: {details or code.name.lower()}",
            f"ask for a token and enrol again, in place of {config.certificate} (luytre-agent enrol --again), "
            "then restart the agent",
        )
    if code is grpc.StatusCode.ALREADY_EXISTS:
        return Fault(
            "cloned",
            f"collector {collector} refused us: {details}",
            "if this host was copied from that one, enrol it under a name of its own (luytre-agent enrol --again), "
            "then restart the agent",
        )
    if code is grpc.StatusCode.FAILED_PRECONDITION:
        return Fault(
            "protocol", f"collector {collector} does not speak our protocol: {details}", "update agent or collector"
        )
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return Fault("busy", f"collector {collector} has too much to do: {details}")
    if code is not grpc.StatusCode.UNAVAILABLE:
        return Fault("broken", f"collector {collector} ended the stream: {code.name.lower()}: {details}")
    for said, (kind, remedy) in _SAID.items():
        if details.startswith(said):
            return Fault(kind, f"collector {collector} ended the stream: {details}", remedy)
    if welcomed:
        return Fault("lost", f"connection to collector {collector} was lost: {_last(details)}", _WAITS)
    if "certificate has expired" in details or "certificate is not yet valid" in details:
        return Fault(
            "authority", f"certificate of collector {collector} is out of date", "renew it, and compare both clocks"
        )
    if "CERTIFICATE_VERIFY_FAILED" in details:
        return Fault(
            "authority",
            f"collector {collector} has a certificate that is not of our authority {config.authority}",
            "give [tls] authority the file of the collector's authority, or find out who answers there",
        )
    if "Hostname Verification" in details:
        return Fault(
            "authority",
            f"certificate of collector {collector} is for another name",
            "give [uplink] collector the name in the certificate, or issue one for this name",
        )
    if "handshake failed" in details.lower() or "WRONG_VERSION_NUMBER" in details:
        return Fault("authority", f"no TLS with collector {collector}", "check that a collector listens at this port")
    if "Socket closed" in details or "reset by peer" in details:
        return Fault(
            "closed",
            f"collector {collector} closed the connection",
            f"if this happens at every attempt it does not trust {config.certificate}: is that certificate of its "
            "authority and still valid?",
        )
    if "resolving" in details or "lookup" in details:
        return Fault(
            "name", f"collector {collector}: the name is not known", "correct [uplink] collector, or the resolver"
        )
    return Fault(
        "unreachable",
        f"collector {collector} cannot be reached: {_last(details)}",
        "start it, or check address, port and firewall",
    )


def _last(details: str) -> str:
    """The part of gRPC's words that says something."""
    return details.rpartition("last error: ")[2].rpartition("Failed to connect to remote host: ")[2] or "no answer"
