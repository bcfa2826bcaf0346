"""Certificate and key: two files that must change together, with nothing in the file system that does that.

    1. NAME.key.new   the next key, before anybody is asked to certify it
    2. NAME.pem.new   its certificate, once there is one
    3. NAME.key.new becomes NAME.key, then NAME.pem.new becomes NAME.pem

Whatever the moment of a crash, `settle` knows what is left to do: without a certificate beside it, a next key only
waits to be used; both together are step 3 not begun; a certificate alone is step 3 half done, and goes with the key.
What is replaced stays as NAME.key.old and NAME.pem.old until the next time.
"""

from __future__ import annotations

import os
from pathlib import Path

from luytre_common import tls
from luytre_common.durable import sync_directory
from luytre_common.errors import UserError

from luytre_agent import signing
from luytre_agent.certificate import facts


def next_of(path: Path) -> Path:
    """Where the next contents of a file wait."""
    return path.with_name(path.name + ".new")


def _old(path: Path) -> Path:
    return path.with_name(path.name + ".old")


def write(path: Path, data: bytes, mode: int) -> None:
    """The file with these contents and this mode from its first byte, whole or not at all, on the disk. What root makes
    belongs to whom the folder belongs to. UserError."""
    fresh = path.with_name(path.name + ".part")
    try:
        fresh.unlink(missing_ok=True)
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            if os.geteuid() == 0 and (folder := path.parent.stat()).st_uid != 0:
                os.fchown(fd, folder.st_uid, folder.st_gid)
            file.flush()
            os.fsync(fd)
        fresh.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; the agent's user must be able to write there") from None


def next_key(config: tls.Config) -> bytes:
    """The key to ask a certificate for: one that waits from an attempt whose answer was lost, else a new one, on the
    disk before anybody hears of it. UserError if it cannot be written."""
    path = next_of(config.key)
    try:
        key = path.read_bytes()
        signing.signing_request(key, "probe")
    except (OSError, ValueError):
        key = signing.new_key()
        write(path, key, 0o600)
    return key


def install(config: tls.Config, certificate: bytes, name: str) -> tls.Identity:
    """Put the certificate, PEM, in force, with the next key that waits; what is now in the files. UserError if it does
    not go with that key, is not of our authority, or is for somebody else: nothing has changed then."""
    fresh = tls.Config(config.authority, next_of(config.certificate), next_of(config.key))
    write(fresh.certificate, certificate, 0o644)
    try:
        identity = tls.read(fresh, "agent")
        if (given := facts(certificate).common_name) != name:
            raise UserError(
                f"{fresh.certificate}: is for {given!r}, not for {name!r}; look at what the collector signs"
            )
    except (UserError, ValueError) as error:
        fresh.certificate.unlink(missing_ok=True)
        raise UserError(str(error)) from None
    settle(config)
    return identity


def settle(config: tls.Config) -> None:
    """Finish what a crash may have left half done. UserError if the files cannot be renamed."""
    key, certificate = next_of(config.key), next_of(config.certificate)
    try:
        if not certificate.exists():
            return
        waiting = key.exists()
        if not _sound(tls.Config(config.authority, certificate, key if waiting else config.key)):
            certificate.unlink()  # not written to its end
            return
        if waiting:
            _keep(config.key)
            key.replace(config.key)
            sync_directory(config.key.parent)
        _keep(config.certificate)
        certificate.replace(config.certificate)
        sync_directory(config.certificate.parent)
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}; the agent's user must be able to write there") from None


def _keep(path: Path) -> None:
    """A second name for what is about to be replaced."""
    old = _old(path)
    old.unlink(missing_ok=True)
    if path.exists():
        os.link(path, old)


def _sound(config: tls.Config) -> bool:
    try:
        tls.read(config, "agent")
    except UserError:
        return False
    return True
