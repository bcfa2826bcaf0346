"""The books of an authority: what it issued, and what was revoked. Two files of lines, one JSON object each.

    issued.jsonl   {"serial", "name", "role", "fingerprint", "key", "issued", "expires", "by"}     grows line by line
    revoked.jsonl  {"serial", "name", "fingerprint", "revoked", "reason"}                          replaced whole

Serials and fingerprints (SHA-256 of the DER) are lower-case hexadecimal, `key` is the SHA-256 of the public key, times
are ISO 8601 UTC. The second file is what collectors read; it can be copied to where the authority is not. All changes
are made under the lock of the folder, so that nothing is signed for whom somebody is revoking at this moment.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from luytre_common.durable import sync_directory
from luytre_common.errors import UserError

from luytre_collector.pki import files

ISSUED, REVOKED, LOCK = "issued.jsonl", "revoked.jsonl", ".lock"
MAX_REASON = 200
#: Nothing that we wrote comes near; what is longer is not ours.
_MAX_FILE = 256 << 20
_HEX = re.compile("[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class Entry:
    """One certificate that was issued. `by`: what it was issued for: `issue`, `sign`, `enrol TOKEN`, `renew`."""

    serial: str
    name: str
    role: str
    fingerprint: str
    key: str
    issued: str
    expires: str
    by: str

    def good(self, now: datetime) -> bool:
        """Whether it has not expired."""
        return datetime.fromisoformat(self.expires) > now


@dataclass(frozen=True, slots=True)
class Revoked:
    """One certificate that is good no more. What is not known of it is empty: its serial or its fingerprint is not."""

    serial: str
    name: str
    fingerprint: str
    revoked: str
    reason: str


class Revocations:
    """What is revoked, by serial and by fingerprint."""

    def __init__(self, entries: Sequence[Revoked] = ()) -> None:
        self.entries = tuple(entries)
        self._serials = {one.serial: one for one in entries if one.serial}
        self._fingerprints = {one.fingerprint: one for one in entries if one.fingerprint}

    def find(self, serial: int | str, fingerprint: str) -> Revoked | None:
        """Why this certificate is revoked; None if it is not."""
        text = serial if isinstance(serial, str) else serial_text(serial)
        return self._serials.get(text) or self._fingerprints.get(fingerprint)


def serial_text(serial: int) -> str:
    """As in the books."""
    return f"{serial:x}"


def instant(when: datetime) -> str:
    """As in the books."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds")


def read_revoked(path: Path) -> Revocations:
    """What is revoked by this file; nothing if there is none. UserError if it cannot be read or a line is not ours."""
    found: list[Revoked] = []
    for number, line in _lines(path):
        try:
            one = Revoked(**json.loads(line))
            sound = all(isinstance(value, str) for value in asdict(one).values())
            if not sound or not (_HEX.fullmatch(one.serial or "0") and _HEX.fullmatch(one.fingerprint or "0")):
                raise ValueError
            if not (one.serial or one.fingerprint):
                raise ValueError
        except (ValueError, TypeError):
            raise UserError(f"{path}: line {number} is not a revocation; take the file from a backup") from None
        found.append(one)
    return Revocations(found)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; the collector's user must be able to read it") from None
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        if line.strip():
            yield number, line


class Books:
    """The books in the folder of an authority. Methods may wait for the lock and the disk."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._issued_path = directory / ISSUED
        self._revoked_path = directory / REVOKED
        self._entries: list[Entry] = []
        self._read_to = 0
        self._inode = 0

    @property
    def revocations(self) -> Path:
        """The file with what is revoked."""
        return self._revoked_path

    @contextmanager
    def open(self) -> Iterator[None]:
        """Nobody else reads or changes them meanwhile."""
        with files.locked(self.directory / LOCK):
            yield

    def issued(self) -> Sequence[Entry]:
        """Every certificate that was issued, oldest first. UserError for a line that is not ours."""
        try:
            with self._issued_path.open("rb") as file:
                now = os.fstat(file.fileno())
                if now.st_ino != self._inode or now.st_size < self._read_to:  # another file, or brought back by hand
                    self._entries, self._read_to, self._inode = [], 0, now.st_ino
                file.seek(self._read_to)
                data = file.read(_MAX_FILE)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise UserError(f"{self._issued_path}: {error.strerror}; run this as the user of that folder") from None
        whole = data[: data.rfind(b"\n") + 1]  # a crash can leave half a line; it is cut off by the next one
        fresh: list[Entry] = []
        for line in whole.splitlines():
            try:
                fresh.append(Entry(**json.loads(line)))
            except (ValueError, TypeError):
                raise UserError(
                    f"{self._issued_path}: line {len(self._entries) + len(fresh) + 1} is not a certificate of ours; "
                    "take the file from a backup, or remove the line"
                ) from None
        self._entries += fresh
        self._read_to += len(whole)
        return self._entries

    def record(self, entry: Entry) -> None:
        """One more; on the disk when this returns. Call it with the books open. OSError, UserError."""
        self.issued()
        line = (json.dumps(asdict(entry)) + "\n").encode()
        new = not self._issued_path.exists()
        fd = os.open(self._issued_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "r+b") as file:
            file.truncate(self._read_to)
            file.seek(self._read_to)
            file.write(line)
            file.flush()
            os.fsync(fd)
            if new:
                files.belong(fd, self.directory)
        if new:
            sync_directory(self.directory)

    def revoked(self) -> Revocations:
        """What is revoked. UserError as `read_revoked`."""
        return read_revoked(self._revoked_path)

    def standing(self, name: str, now: datetime) -> list[Entry]:
        """The certificates of `name` that are neither expired nor revoked."""
        revoked = self.revoked()
        return [
            one
            for one in self.issued()
            if one.name == name and one.good(now) and not revoked.find(one.serial, one.fingerprint)
        ]

    def revoke(self, given: Sequence[Revoked]) -> None:
        """Add to what is revoked; there when this returns. Call it with the books open. OSError, UserError."""
        lines = [json.dumps(asdict(one), ensure_ascii=False) for one in (*self.revoked().entries, *given)]
        files.replace(self._revoked_path, "".join(f"{line}\n" for line in lines).encode(), 0o644)

    def forget(self, before: datetime) -> int:
        """Drop what expired before, from both books; how many certificates. OSError, UserError."""
        with self.open():
            issued = self.issued()
            kept = [one for one in issued if one.good(before)]
            dropped = len(issued) - len(kept)
            if dropped:
                gone = {one.serial for one in issued} - {one.serial for one in kept}
                data = "".join(json.dumps(asdict(one)) + "\n" for one in kept).encode()
                revoked = [one for one in self.revoked().entries if one.serial not in gone]
                files.replace(self._issued_path, data, 0o600)
                text = "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in revoked)
                files.replace(self._revoked_path, text.encode(), 0o644)
            return dropped


def revocation(entry: Entry, reason: str, now: datetime) -> Revoked:
    """The line that revokes a certificate of the books."""
    return Revoked(entry.serial, entry.name, entry.fingerprint, instant(now), reason[:MAX_REASON])


def revoke(books: Books, what: str, reason: str, clock: Callable[[], datetime]) -> list[Revoked]:
    """Revoke every certificate of a name, or the one with this serial or fingerprint; what was revoked now.

    UserError if there is no such certificate, if all of it is revoked already, or if it is a collector's: agents read
    no list of revocations.
    """
    number = what.replace(":", "").lower()
    with books.open():
        now = clock()
        entries, revoked = books.issued(), books.revoked()
        found = [one for one in entries if one.name == what] or [
            one for one in entries if number in (one.serial, one.fingerprint)
        ]
        if any(one.role == "collector" for one in found):
            raise UserError(
                f"{what}: is a collector's certificate, and agents read no list of what is revoked; if its key was "
                "stolen, replace the authority (deploy/pki.md)"
            )
        good = [one for one in found if one.good(now)]
        fresh = [
            revocation(one, reason, now) for one in good if not revoked.find(one.serial, one.fingerprint)
        ] or _unknown(number, reason, now, known=bool(found), revoked=revoked)
        if not fresh:
            state = "is revoked already" if good else "has expired" if found else "is no certificate of these books"
            remedy = "" if found else f"; see: luytre-collector pki list --dir {books.directory}, or give its serial"
            raise UserError(f"{what}: {state}{remedy}")
        books.revoke(fresh)
    return fresh


def _unknown(number: str, reason: str, now: datetime, *, known: bool, revoked: Revocations) -> list[Revoked]:
    """A certificate that is not in the books, by a number that can be nothing but a serial or a fingerprint."""
    if known or not _HEX.fullmatch(number) or not 16 <= len(number) <= 64:
        return []
    is_print = len(number) == 64
    serial, print_ = ("", number) if is_print else (number.lstrip("0"), "")
    if revoked.find(serial, print_):
        return []
    return [Revoked(serial, "", print_, instant(now), reason[:MAX_REASON])]
