"""Whose a certificate is and how long it is good: the three fields that a person asks for, from PEM.

A walk through DER (ITU-T X.690) along the fields of RFC 5280, 4.1; nothing is verified here, TLS does that.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_COMMON_NAME = bytes.fromhex("550403")  # 2.5.4.3
_EXPLICIT_VERSION, _UTC_TIME = 0xA0, 0x17


@dataclass(frozen=True, slots=True)
class Facts:
    """The common name of the subject, and the first and last moment at which the certificate is good."""

    common_name: str
    not_before: datetime
    not_after: datetime


def facts(pem: bytes) -> Facts:
    """The facts of the first certificate in `pem`. ValueError if there is none, or it is cut short."""
    text = pem.decode("ascii", errors="replace")
    begin, end = text.find(_BEGIN), text.find(_END)
    if begin < 0 or end < begin:
        raise ValueError("no PEM certificate")
    try:
        return _facts(ssl.PEM_cert_to_DER_cert(text[begin : end + len(_END)]))
    except (IndexError, UnicodeDecodeError) as error:
        raise ValueError(f"not a certificate: {error}") from None


def _facts(der: bytes) -> Facts:
    (_, certificate), *_ = _children(der)
    (_, signed), *_ = _children(certificate)
    fields = _children(signed)
    if fields[0][0] == _EXPLICIT_VERSION:
        fields = fields[1:]
    validity, subject = fields[3][1], fields[4][1]
    before, after = (_time(tag, value) for tag, value in _children(validity)[:2])
    return Facts(_common_name(subject), before, after)


def _children(data: bytes) -> list[tuple[int, bytes]]:
    """The elements that lie one behind the other in `data`: tag and contents."""
    found, at = [], 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(data[at : at + size]), at + size
        if at + length > len(data):
            raise ValueError("not a certificate: an element is longer than what holds it")
        found.append((tag, data[at : at + length]))
        at += length
    return found


def _time(tag: int, value: bytes) -> datetime:
    """RFC 5280, 4.1.2.5: two-digit years below 50 are of this century."""
    text = value.decode("ascii").removesuffix("Z")
    if tag == _UTC_TIME:
        text = ("20" if int(text[:2]) < 50 else "19") + text
    return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC)


def _common_name(subject: bytes) -> str:
    for _, names in _children(subject):
        for _, name in _children(names):
            (_, kind), (_, value), *_ = _children(name)
            if kind == _COMMON_NAME:
                return value.decode("utf-8", errors="replace")
    return ""
