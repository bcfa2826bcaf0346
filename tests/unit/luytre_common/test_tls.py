"""Reading certificates: faults name the file and the remedy."""

import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from luytre_collector import pki
from luytre_common import tls
from luytre_common.errors import UserError


def write_pair(folder: Path, name: str, days_ago: int = 0) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days_ago)
    certificate = (
        x509.CertificateBuilder(
            subject, subject, key.public_key(), x509.random_serial_number(), now, now + datetime.timedelta(days=1)
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / f"{name}.pem", folder / f"{name}.key"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    key_file.chmod(0o600)
    return certificate_file, key_file


def test_reads_what_belongs_together(tmp_path: Path) -> None:
    certificate, key = write_pair(tmp_path, "a")
    identity = tls.read(tls.Config(certificate, certificate, key), "agent")
    assert identity.key == key.read_bytes()
    assert tls.channel_credentials(identity) is not None
    assert tls.server_credentials(identity) is not None


def test_faults_name_the_file(tmp_path: Path) -> None:
    certificate, key = write_pair(tmp_path, "a")
    other, other_key = write_pair(tmp_path, "b")
    with pytest.raises(UserError, match=r"b\.pem: does not go with key .*a\.key"):
        tls.read(tls.Config(certificate, other, key), "agent")
    with pytest.raises(UserError, match=r"none\.pem: No such file.*pki issue"):
        tls.read(tls.Config(tmp_path / "none.pem", certificate, key), "agent")
    with pytest.raises(UserError, match=r"b\.key: not a PEM certificate"):
        tls.read(tls.Config(other_key, certificate, key), "agent")
    key.chmod(0o644)
    with pytest.raises(UserError, match="chmod 600"):
        tls.read(tls.Config(certificate, certificate, key), "agent")


@pytest.mark.parametrize("end", ["agent", "collector"])
def test_a_certificate_of_another_authority(tmp_path: Path, end: tls.End) -> None:
    certificate, key = write_pair(tmp_path, "a")
    other, _ = write_pair(tmp_path, "b")
    with pytest.raises(UserError, match=rf"a\.pem: refused by authority .*b\.pem .*pki issue NAME --{end}"):
        tls.read(tls.Config(other, certificate, key), end)


@pytest.mark.parametrize(("role", "end"), [("agent", "collector"), ("collector", "agent")])
def test_a_certificate_for_the_other_end(tmp_path: Path, role: tls.End, end: tls.End) -> None:
    pki.init_authority(tmp_path)
    issued = pki.issue(tmp_path, "web-01", role)
    config = tls.Config(issued.authority, issued.certificate, issued.key)
    assert tls.read(config, role).certificate == issued.certificate.read_bytes()
    with pytest.raises(UserError, match="purpose"):
        tls.read(config, end)


def test_an_expired_certificate_is_read(tmp_path: Path) -> None:
    certificate, key = write_pair(tmp_path, "a", days_ago=30)
    assert tls.read(tls.Config(certificate, certificate, key), "agent").key == key.read_bytes()
