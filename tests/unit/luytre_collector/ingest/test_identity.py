"""Who is at the other end."""

from pathlib import Path

import pytest
from luytre_collector import pki
from luytre_collector.ingest.identity import BadIdentityError, NoIdentityError, peer

from tests.support.collector import issue_client


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pki")
    pki.init_authority(path)
    pki.issue(path, "web-01", "agent")
    pki.issue(path, "collector", "collector")
    return path


def context(path: Path) -> dict[str, list[bytes]]:
    return {"x509_common_name": [b"somebody-else"], "x509_pem_cert": [path.read_bytes()]}


def test_the_name_is_the_certificates(folder: Path) -> None:
    assert peer(context(folder / "web-01.pem"), "ipv4:192.0.2.7:1").agent_id == "web-01"


def test_no_certificate() -> None:
    with pytest.raises(NoIdentityError):
        peer({}, "")


def test_a_collectors_certificate_is_no_agents(folder: Path) -> None:
    with pytest.raises(BadIdentityError, match="not for clients"):
        peer(context(folder / "collector.pem"), "")


def test_an_authority_is_no_agent(folder: Path) -> None:
    with pytest.raises(BadIdentityError, match="extended key usage"):
        peer(context(folder / "authority.pem"), "")


def test_not_a_certificate() -> None:
    with pytest.raises(BadIdentityError, match="cannot be read"):
        peer({"x509_pem_cert": [b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]}, "")


def test_a_name_that_is_none(folder: Path) -> None:
    pem = issue_client(folder, "web 01/../x").certificate
    with pytest.raises(BadIdentityError, match="common name"):
        peer({"x509_pem_cert": [pem]}, "")
