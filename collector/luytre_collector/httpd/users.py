"""Who may ask: names with hashed passwords in a file of the collector's own user, one a line.

    NAME:scrypt:N:R:P:SALT:HASH                          salt and hash in hexadecimal
    NAME:scrypt:N:R:P:SALT:HASH:organisations=ID,ID      who sees rows of these and of those below them only

The cost is what OWASP's Password Storage Cheat Sheet gives for scrypt with 32 MiB. It is paid once per name and
password: after that, and until the file changes, the same pair is known by a keyed digest that never leaves memory.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from luytre_common.errors import UserError

from luytre_collector.httpd.asked import Login

NAME = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
#: Shortest and longest password, characters.
SHORTEST, LONGEST = 12, 1024
_MAX_FILE = 1 << 20


@dataclass(frozen=True)
class Cost:
    """Parameters of scrypt (RFC 7914)."""

    n: int = 1 << 15
    r: int = 8
    p: int = 3

    def hash(self, password: str, salt: bytes) -> bytes:
        """32 bytes; takes 32 MiB and a fifth of a second by default."""
        return hashlib.scrypt(
            password.encode(),
            salt=salt,
            n=self.n,
            r=self.r,
            p=self.p,
            maxmem=(self.n + self.p + 2) * self.r * 256,
            dklen=32,
        )


@dataclass(frozen=True)
class User:
    """What is kept of a password, and whose rows its owner may see: everybody's if `organisations` is empty."""

    cost: Cost
    salt: bytes
    hashed: bytes
    organisations: tuple[str, ...] = ()

    def line(self, name: str) -> str:
        """As in the file."""
        cost = self.cost
        limit = f":organisations={','.join(self.organisations)}" if self.organisations else ""
        return f"{name}:scrypt:{cost.n}:{cost.r}:{cost.p}:{self.salt.hex()}:{self.hashed.hex()}{limit}"


def make(password: str, cost: Cost | None = None, organisations: tuple[str, ...] = ()) -> User:
    """A user with a fresh salt."""
    chosen, salt = cost or Cost(), secrets.token_bytes(16)
    return User(chosen, salt, chosen.hash(password, salt), organisations)


_ID = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_LINE = re.compile(
    r"([^:]+):scrypt:([0-9]{1,7}):([0-9]{1,2}):([0-9]{1,2}):([0-9a-f]{32}):([0-9a-f]{64})"
    rf"(?::organisations=({_ID}(?:,{_ID})*))?"
)


def read(path: Path) -> dict[str, User]:
    """The users of a file; none if there is no file. UserError names what is wrong with it."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_MAX_FILE).decode("ascii", "replace")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; it must belong to the user that the collector runs as") from None
    if not stat.S_ISREG(mode) or mode & 0o077:
        raise UserError(f"{path}: others may read it; run: chmod 600 {path}")
    users: dict[str, User] = {}
    for number, line in enumerate(text.splitlines(), 1):
        found = _LINE.fullmatch(line)
        if not found or not NAME.fullmatch(found[1]) or not _sane(cost := Cost(*map(int, found.group(2, 3, 4)))):
            raise UserError(f"{path}: line {number} is not a user; remove it and run: luytre-collector http user add")
        organisations = tuple(found[7].split(",")) if found[7] else ()
        users[found[1]] = User(cost, bytes.fromhex(found[5]), bytes.fromhex(found[6]), organisations)
    return users


def _sane(cost: Cost) -> bool:
    return cost.n.bit_count() == 1 and 2 <= cost.n <= 1 << 20 and 1 <= cost.r <= 32 and 1 <= cost.p <= 16


def write(path: Path, users: Mapping[str, User], owner: int | None = None) -> None:
    """Put the file there whole, mode 0600, for `owner` if given. UserError if there is no folder for it, OSError if it
    cannot be written for another reason."""
    if not path.parent.is_dir():
        raise UserError(f"{path}: there is no such folder; make it, or name another file in [http] users")
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.writelines(f"{user.line(name)}\n" for name, user in sorted(users.items()))
        if owner is not None:
            os.fchown(file.fileno(), owner, -1)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


class Users:
    """The users of a file that may change at any time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, ...] = ()
        self._users: dict[str, User] = {}
        self._key = secrets.token_bytes(32)
        self._known: dict[str, bytes] = {}
        self._nobody = User(Cost(), bytes(16), bytes(32))  # who is asked for it takes as long as anybody

    def __len__(self) -> int:
        return len(self._users)

    def refresh(self) -> None:
        """Read the file if it has changed. UserError if it is faulty: the users are then as before."""
        try:
            now = self._path.stat()
            seen: tuple[int, ...] = (now.st_ino, now.st_mtime_ns, now.st_ctime_ns, now.st_size)
        except OSError:
            seen = ()
        if seen != self._seen or not seen:
            self._users = read(self._path)
            self._seen = seen
            self._known.clear()

    def knows(self, login: Login) -> bool:
        """Whether `check` has already said yes to this name and password. Takes no time."""
        digest = self._known.get(login.user)
        return digest is not None and hmac.compare_digest(digest, self._digest(login.password))

    def check(self, login: Login) -> bool:
        """Whether the password is that of the user; slow on purpose, whether there is such a user or not."""
        user = self._users.get(login.user)
        asked = user or self._nobody
        good = len(login.password) <= LONGEST and hmac.compare_digest(
            asked.hashed, asked.cost.hash(login.password, asked.salt)
        )
        if good and user is not None and self._users.get(login.user) is user:
            self._known[login.user] = self._digest(login.password)
            return True
        return False

    def organisations(self, name: str) -> tuple[str, ...] | None:
        """Whose rows a user may see, everybody's if empty; None if there is no such user any more."""
        user = self._users.get(name)
        return None if user is None else user.organisations

    def _digest(self, password: str) -> bytes:
        return hmac.digest(self._key, password.encode(), "sha256")
