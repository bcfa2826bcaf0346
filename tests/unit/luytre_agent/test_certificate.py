from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from luytre_agent.certificate import facts

from tests.support.collector_end import Authority


def test_name_and_validity(tmp_path: Path) -> None:
    config = Authority(tmp_path).issue("máy-chủ-01", days=7)
    found = facts(config.certificate.read_bytes())
    assert found.common_name == "máy-chủ-01"
    assert timedelta(days=6, hours=23) < found.not_after - datetime.now(UTC) <= timedelta(days=7)
    assert found.not_before < datetime.now(UTC)


def test_years_from_2050_on(tmp_path: Path) -> None:
    config = Authority(tmp_path).issue("long", days=40 * 365)
    assert facts(config.certificate.read_bytes()).not_after.year >= 2060


def test_what_is_no_certificate_is_said(tmp_path: Path) -> None:
    pem = Authority(tmp_path).issue("a").certificate.read_bytes()
    der = ssl.PEM_cert_to_DER_cert(pem.decode())
    for bad in [b"", b"\xff\xfe", b"-----BEGIN CERTIFICATE-----", pem.replace(b"BEGIN", b"BEGUN")]:
        with pytest.raises(ValueError, match="no PEM certificate"):
            facts(bad)
    for size in range(0, len(der) - 1, 7):
        with pytest.raises(ValueError, match="not"):
            facts(ssl.DER_cert_to_PEM_cert(der[:size]).encode())
