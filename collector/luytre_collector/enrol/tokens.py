"""Enrolment tokens: words that a host shows once to get its first certificate. One file, a JSON object a line.

    lt1.ID.SECRET.FINGERPRINT

ID is public. SECRET is 24 random bytes, base64url; only its SHA-256 is kept, which says nothing about so long a secret.
FINGERPRINT is the SHA-256 of the authority's certificate, base64url: who has the token knows the authority.

The file is mode 0600 and replaced whole, under a lock beside it, so that the command and the collector can both change
it at any time.
"""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import hmac
import json
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from luytre_common.errors import UserError

from luytre_collector.pki import files
from luytre_collector.pki.books import instant

MAX_USES = 10_000
MAX_HOURS = 8760.0
#: Longest token that is looked at; ours have 105 characters.
MAX_LENGTH = 200
#: Tokens that nobody can use any more are forgotten after this time.
_KEPT = timedelta(days=90)
_MAX_FILE = 64 << 20
_TOKEN = re.compile(r"lt1\.([0-9a-f]{8})\.([A-Za-z0-9_-]{32})\.([A-Za-z0-9_-]{43})")
_PATTERN = re.compile(r"[a-z0-9.*?-]{1,64}")


@dataclass(frozen=True)
class Use:
    """What a token was used for: the name, the key (SHA-256, hexadecimal), and the moment."""

    name: str
    key: str
    when: str


@dataclass(frozen=True)
class Token:
    """What is kept of a token. `names`: the name that may be enrolled, or a pattern with * and ?."""

    id: str
    hashed: str
    names: str
    uses: int
    made: str
    expires: str
    revoked: bool = False
    used: tuple[Use, ...] = field(default=())

    def state(self, now: datetime) -> str:
        """`good`, or why not: `revoked`, `expired`, `used up`."""
        if self.revoked:
            return "revoked"
        if datetime.fromisoformat(self.expires) <= now:
            return "expired"
        return "used up" if len(self.used) >= self.uses else "good"

    def allows(self, name: str) -> bool:
        """Whether a host of this name may be enrolled."""
        return fnmatch.fnmatchcase(name, self.names)

    @property
    def only_one(self) -> bool:
        """Whether it was made for one name alone."""
        return not set(self.names) & {"*", "?"}

    def has_enrolled(self, name: str, key: str) -> bool:
        """Whether this host has been enrolled by it: it asks again, because the answer was lost."""
        return any((one.name, one.key) == (name, key) for one in self.used)


def parse(text: str) -> tuple[str, bytes] | None:
    """Id of a token, and what is kept of its secret; None if it is none."""
    found = _TOKEN.fullmatch(text) if len(text) <= MAX_LENGTH else None
    return (found[1], hashlib.sha256(found[2].encode()).digest()) if found else None


def make(
    names: str, uses: int, hours: float, authority: str, now: datetime, random: Callable[[int], bytes]
) -> tuple[str, Token]:
    """A token, and what is kept of it. `authority`: SHA-256 of the authority's certificate, hexadecimal. UserError for
    what no token can be."""
    if not _PATTERN.fullmatch(names):
        raise UserError(f"{names!r} cannot be a name or pattern; use 1 to 64 of a-z 0-9 . - and * ?")
    if not 1 <= uses <= MAX_USES:
        raise UserError(f"{uses} uses: give 1 to {MAX_USES}")
    if not 0 < hours <= MAX_HOURS:
        raise UserError(f"{hours:g} hours: give more than 0 and at most {MAX_HOURS:g}")
    name, secret = random(4).hex(), _base64(random(24))
    kept = Token(
        id=name,
        hashed=hashlib.sha256(secret.encode()).hexdigest(),
        names=names,
        uses=uses,
        made=instant(now),
        expires=instant(now + timedelta(hours=hours)),
    )
    return f"lt1.{name}.{secret}.{_base64(bytes.fromhex(authority))}", kept


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Tokens:
    """The tokens of a file. Methods may wait for the lock and the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def open(self) -> Iterator[None]:
        """Nobody else changes them meanwhile. UserError if there is no folder for them."""
        if not self._path.parent.is_dir():
            raise UserError(f"{self._path}: there is no such folder; make it, or name another file in [enrol] tokens")
        with files.locked(self._path.with_name(self._path.name + ".lock")):
            yield

    def read(self) -> dict[str, Token]:
        """By id. UserError if the file cannot be read, others may read it, or a line is no token."""
        try:
            with self._path.open("rb") as file:
                mode = self._path.stat().st_mode
                text = file.read(_MAX_FILE).decode("utf-8", "replace")
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise UserError(f"{self._path}: {error.strerror}; run this as the collector's user, or root") from None
        if not stat.S_ISREG(mode) or mode & 0o077:
            raise UserError(f"{self._path}: others may read it; run: chmod 600 {self._path}")
        found: dict[str, Token] = {}
        for number, line in enumerate(text.splitlines(), 1):
            try:
                values = json.loads(line)
                token = Token(**{**values, "used": tuple(Use(**one) for one in values["used"])})
                datetime.fromisoformat(token.expires)
            except (ValueError, TypeError, KeyError):
                raise UserError(f"{self._path}: line {number} is not a token; remove it, and make others") from None
            found[token.id] = token
        return found

    def write(self, tokens: dict[str, Token]) -> None:
        """Call it with the file open. OSError."""
        data = "".join(json.dumps(asdict(one)) + "\n" for one in tokens.values())
        files.replace(self._path, data.encode(), 0o600)

    def add(self, token: Token, now: datetime) -> None:
        """One more; those that have been of no use for long are dropped. UserError, OSError."""
        with self.open():
            kept = {one.id: one for one in self.read().values() if datetime.fromisoformat(one.expires) > now - _KEPT}
            self.write({**kept, token.id: token})

    def revoke(self, name: str) -> Token:
        """Good no more. UserError if there is no such token."""
        with self.open():
            tokens = self.read()
            if name not in tokens:
                raise UserError(f"{name}: no such token; see: luytre-collector enrol list")
            tokens[name] = replace(tokens[name], revoked=True)
            self.write(tokens)
            return tokens[name]

    def used(self, token: Token, use: Use) -> None:
        """It was used once more. Call it with the file open. UserError, OSError."""
        tokens = self.read()
        tokens[token.id] = replace(token, used=(*token.used, use))
        self.write(tokens)

    def find(self, text: str) -> Token | None:
        """The token that somebody shows; None if there is none, or its secret is another one."""
        parsed = parse(text)
        token = self.read().get(parsed[0]) if parsed else None
        if parsed is None or token is None:
            return None
        return token if hmac.compare_digest(parsed[1].hex(), token.hashed) else None


def now() -> datetime:
    """The time, as tokens have it."""
    return datetime.now(UTC)
