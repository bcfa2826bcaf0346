"""A small certificate authority for the stream between agents and collectors.

A certificate has one role, by its extended key usage (RFC 5280, 4.2.1.12): an agent's is good for a TLS client only, a
collector's for a server only, so that a stolen agent certificate cannot pose as a collector. Its common name is the
identity: what an agent sends is stored as `agent_id` of that name.

Keys are EC P-256, written with mode 0600. Nothing is overwritten. What is signed is in the books (`books`) before
anybody gets it.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from luytre_common.errors import UserError

from luytre_collector.pki import books, files, request

Role = Literal["agent", "collector"]

AUTHORITY_NAME = "Luy Tre authority"
AUTHORITY_DAYS = 3650
DEFAULT_DAYS = 365

_USAGE = {"agent": ExtendedKeyUsageOID.CLIENT_AUTH, "collector": ExtendedKeyUsageOID.SERVER_AUTH}
_LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_DNS = re.compile(rf"(?=.{{1,253}}$)(?:\*\.)?{_LABEL}(?:\.{_LABEL})*")

#: A clock that is a little slow on the other end must not refuse a new certificate: so much earlier it begins, but by
#: no more than a tenth of its validity.
_BACKDATE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Issued:
    """What was written, and the SHA-256 fingerprint of the certificate, in hexadecimal with colons."""

    authority: Path
    certificate: Path
    key: Path
    fingerprint: str
    expires: datetime

    def report(self) -> str:
        """For the person who asked."""
        return (
            f"authority    {self.authority}\ncertificate  {self.certificate}\nkey          {self.key}\n"
            f"fingerprint  SHA256 {self.fingerprint}\nexpires      {self.expires:%Y-%m-%d}\n"
        )


def _now() -> datetime:
    return datetime.now(UTC)


def init_authority(directory: Path, *, days: int = AUTHORITY_DAYS, clock: Callable[[], datetime] = _now) -> Issued:
    """Make `directory/authority.pem` and `directory/authority.key`. UserError if either is there."""
    check_days(days)
    certificate_path, key_path = directory / "authority.pem", directory / "authority.key"
    files.refuse_existing(certificate_path, key_path)
    key = ec.generate_private_key(ec.SECP256R1())
    name = _subject(AUTHORITY_NAME)
    now = clock()
    certificate = (
        _builder(name, name, key.public_key(), now, now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    files.make_folder(directory)
    files.create(key_path, _pem(key), 0o600)
    files.create(certificate_path, to_pem(certificate), 0o644)
    return Issued(
        certificate_path, certificate_path, key_path, fingerprint(certificate), certificate.not_valid_after_utc
    )


def issue(
    directory: Path,
    name: str,
    role: Role,
    hosts: Sequence[str] = (),
    *,
    days: int = DEFAULT_DAYS,
    out: Path | None = None,
    clock: Callable[[], datetime] = _now,
) -> Issued:
    """Make `NAME.pem` and `NAME.key` in `out` (or `directory`), signed by the authority in `directory`.

    `hosts` are the DNS names and IP addresses under which agents reach a collector; without any, its name is used.
    UserError for a bad name, an authority that is not there or has expired, files that are there.
    """
    check_days(days)
    if not request.NAME.fullmatch(name) or name == "authority":
        raise UserError(f"{name!r} cannot be a name; use 1 to 64 of a-z 0-9 . - beginning with a letter or digit")
    if role not in _USAGE:
        raise UserError(f"{role!r} is not a role; use agent or collector")
    authority = Authority(directory, clock)
    folder = out or directory
    certificate_path, key_path = folder / f"{name}.pem", folder / f"{name}.key"
    files.refuse_existing(certificate_path, key_path)
    names = [_general_name(host) for host in (hosts or [name])]
    key = ec.generate_private_key(ec.SECP256R1())
    files.make_folder(folder)
    with authority.books.open():
        signed = authority.sign(name, key.public_key(), role, names, timedelta(days=days), "issue")
    files.create(key_path, _pem(key), 0o600)
    files.create(certificate_path, to_pem(signed), 0o644)
    return Issued(authority.path, certificate_path, key_path, fingerprint(signed), signed.not_valid_after_utc)


class Authority:
    """The authority of a folder, its key at hand. UserError if it is not there, damaged, or expired."""

    def __init__(self, directory: Path, clock: Callable[[], datetime] = _now) -> None:
        self.path = directory / "authority.pem"
        self.certificate, self._key = _load_authority(directory)
        self.books = books.Books(directory)
        self.now = clock
        self._check_date()

    @property
    def pem(self) -> bytes:
        """Its certificate."""
        return to_pem(self.certificate)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of its certificate (DER), hexadecimal."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    def sign_agent(self, asked: request.Request, valid: timedelta, by: str) -> x509.Certificate:
        """A certificate for an agent, whatever else was asked for. Call it with the books open. UserError, OSError."""
        return self.sign(asked.name, asked.key, "agent", [_general_name(asked.name)], valid, by)

    def sign(
        self,
        name: str,
        key: ec.EllipticCurvePublicKey,
        role: Role,
        names: Sequence[x509.GeneralName],
        valid: timedelta,
        by: str,
    ) -> x509.Certificate:
        """A certificate, and its line in the books. Call it with the books open. UserError, OSError."""
        self._check_date()
        now = self.now()
        end = min(now + valid, self.certificate.not_valid_after_utc)
        ours = self._key.public_key()
        signed = (
            _builder(_subject(name), self.certificate.subject, key, now, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([_USAGE[role]]), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ours), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.books.record(
            books.Entry(
                serial=books.serial_text(signed.serial_number),
                name=name,
                role=role,
                fingerprint=signed.fingerprint(hashes.SHA256()).hex(),
                key=key_print(key),
                issued=books.instant(now),
                expires=books.instant(signed.not_valid_after_utc),
                by=by,
            )
        )
        return signed

    def _check_date(self) -> None:
        end = self.certificate.not_valid_after_utc
        if end <= self.now():
            raise UserError(f"{self.path}: expired on {end:%Y-%m-%d}; make a new authority")


def to_pem(certificate: x509.Certificate) -> bytes:
    """As in files and on the wire."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_print(key: ec.EllipticCurvePublicKey) -> str:
    """SHA-256 of a public key (SubjectPublicKeyInfo, DER), hexadecimal."""
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(key.public_bytes(serialization.Encoding.DER, spki)).hexdigest()


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the certificate, as openssl prints it."""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - min(_BACKDATE, (end - now) / 10))
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    if not _DNS.fullmatch(host.lower()):
        raise UserError(f"{host!r} is neither an IP address nor a DNS name; give what agents connect to")
    return x509.DNSName(host.lower())


def _load_authority(directory: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    certificate_path, key_path = directory / "authority.pem", directory / "authority.key"
    try:
        certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
        key = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
    except OSError as error:
        remedy = f"run: luytre-collector pki init --dir {directory}"
        raise UserError(f"{error.filename}: {error.strerror}; {remedy}") from None
    except (ValueError, TypeError) as error:
        raise UserError(f"{directory}: authority.pem or authority.key is damaged ({error})") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise UserError(f"{key_path}: is not the key of {certificate_path}")
    return certificate, key


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def check_days(days: int) -> None:
    """UserError if nobody can mean that."""
    if not 1 <= days <= 36500:
        raise UserError(f"{days} days: give 1 to 36500")
