"""The folder of signed policies: which there are, and which one an agent should have."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from luytre_common.errors import UserError
from luytre_common.policy import Document, PolicyError, Signed, read, signed_bytes, unpack
from luytre_common.policy.signed import MAX_FILE_BYTES

SUFFIX = ".policy"
#: So many are read; a folder with more is not one of ours.
MAX_POLICIES = 1000


@dataclass(frozen=True, slots=True)
class Published:
    """One file of the folder."""

    path: Path
    signed: Signed
    document: Document


def verified(signed: Signed, keys: Sequence[bytes]) -> bool:
    """Whether one of the keys signed it."""
    for key in keys:
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signed.signature, signed_bytes(signed.document))
        except (InvalidSignature, ValueError):
            continue
        return True
    return False


def open_file(path: Path, keys: Sequence[bytes] = ()) -> Published:
    """A signed policy. UserError, naming file and fault; with keys, also if none of them signed it."""
    raw = read_bytes(path)
    try:
        signed = unpack(raw)
        if keys and not verified(signed, keys):
            raise PolicyError(["not signed by a key of policy.key; sign it with that key, or add the other one there"])
        return Published(path, signed, read(signed.document))
    except PolicyError as error:
        raise UserError(f"{path}: {error}") from None


def read_bytes(path: Path) -> bytes:
    """The file, or a little more of it than a policy may have. UserError."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; give an existing file") from None


class Folder:
    """Reads the folder again and again; files that did not change are not read twice."""

    def __init__(self, directory: Path, keys: Sequence[bytes] = ()) -> None:
        self._directory = directory
        self._keys = keys
        self._known: dict[Path, tuple[tuple[int, int, int], Published | str]] = {}

    def read(self) -> tuple[tuple[Published, ...], tuple[str, ...]]:
        """The sound policies, the highest version first, and a line for every file that is none. OSError if the folder
        cannot be read; one that is not there is empty."""
        known: dict[Path, tuple[tuple[int, int, int], Published | str]] = {}
        try:
            paths = sorted(path for path in self._directory.iterdir() if path.name.endswith(SUFFIX))
        except FileNotFoundError:
            paths = []
        for path in paths[:MAX_POLICIES]:
            try:
                about = path.stat()
            except OSError:
                continue  # it was there a moment ago
            mark = (about.st_mtime_ns, about.st_size, about.st_ino)
            before = self._known.get(path)
            known[path] = before if before and before[0] == mark else (mark, self._open(path))
        self._known = known
        found = [one for _, one in known.values()]
        faults = [one for one in found if isinstance(one, str)]
        if len(paths) > MAX_POLICIES:
            faults.append(f"{self._directory}: {len(paths)} policies; the first {MAX_POLICIES} by name are read")
        sound = sorted((one for one in found if isinstance(one, Published)), key=lambda one: -one.document.version)
        return tuple(sound), tuple(faults)

    def _open(self, path: Path) -> Published | str:
        try:
            return open_file(path, self._keys)
        except UserError as error:
            return str(error)


def in_time(policies: Iterable[Published], now: float) -> tuple[Published, ...]:
    """Those whose time is now, in the order given."""
    return tuple(one for one in policies if one.document.begun(now) and not one.document.expired(now))


def best(policies: Iterable[Published], agent_id: str) -> Published | None:
    """What an agent should have, of policies with the highest version first."""
    return next((one for one in policies if one.document.names(agent_id)), None)


def publish(found: Published, directory: Path) -> Path:
    """Put it into the folder, whole or not at all; the same one twice is one. UserError if a policy of the same group
    with this version or a higher one is there."""
    document = found.document
    try:
        there, _ = Folder(directory).read()
        for one in there:
            if one.signed == found.signed:
                return one.path
            if one.document.group == document.group and one.document.version >= document.version:
                raise UserError(
                    f"{found.path}: version {document.version}, but {one.path} has version {one.document.version}"
                    " already; give it a higher version and sign it again"
                )
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        group = re.sub(r"[^A-Za-z0-9.-]+", "_", document.group).strip("._") or "policy"
        path = directory / f"{group}-{document.version}{SUFFIX}"
        fresh = path.with_name(f".{path.name}.new")
        with fresh.open("wb") as file:
            file.write(read_bytes(found.path))
            file.flush()
            os.fsync(file.fileno())
        fresh.chmod(0o644)
        fresh.replace(path)
    except OSError as error:
        raise UserError(f"{directory}: {error.strerror}; give a folder that you may write to with --dir") from None
    return path
