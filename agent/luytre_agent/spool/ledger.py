"""What the spool must remember besides the batches: the numbering, and what the collector has stored.

The file `ledger` is replaced whole (written beside, synced, renamed), so it is always one version or the other:

    luytre-ledger 1 CRC32\\n      CRC-32 of the rest, eight hexadecimal digits
    {JSON}

`clean` is true only between a clean close and the next open. A numbering (`boot_id`) goes on only if the last run
closed cleanly under the same kernel boot; after anything else (first start, reboot, kill, power loss, restored folder,
lost ledger) a new one begins at 0. That one rule is why no sequence number can ever name two different rows: what a
crash cut off may already have been sent.

Acknowledged positions may be older than the truth by `ledger_seconds`: then batches are sent again, and the collector,
which knows them, says so again.
"""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from luytre_agent.batch import Key

_HEAD = "luytre-ledger 1 "


@dataclass
class Ledger:
    """The contents of the file.

    next: the next sequence of each stream of `boot_id`; believed only if `clean`.
    through: everything of a numbering up to this sequence is stored.
    refused: first sequences of batches that the collector will never take and that are still in a segment.
    """

    boot_id: str
    kernel_boot_id: str
    clean: bool = False
    next: dict[str, int] = field(default_factory=dict)
    through: dict[Key, int] = field(default_factory=dict)
    refused: set[tuple[Key, int]] = field(default_factory=set)

    def forget(self, keep: set[Key]) -> None:
        """Drop what is known of numberings of which no segment holds anything any more."""
        self.through = {key: last for key, last in self.through.items() if key in keep}
        self.refused = {(key, first) for key, first in self.refused if key in keep}


def encode(ledger: Ledger) -> bytes:
    """The ledger as the file's bytes."""
    body = json.dumps(
        {
            "boot_id": ledger.boot_id,
            "kernel_boot_id": ledger.kernel_boot_id,
            "clean": ledger.clean,
            "next": ledger.next,
            "through": [[key.boot_id, key.stream, last] for key, last in sorted(ledger.through.items())],
            "refused": [[key.boot_id, key.stream, first] for key, first in sorted(ledger.refused)],
        }
    ).encode()
    return f"{_HEAD}{zlib.crc32(body):08x}\n".encode() + body + b"\n"


def decode(data: bytes) -> Ledger:
    """The ledger in `data`. ValueError if it is not one, whole."""
    head, _, body = data.partition(b"\n")
    body = body.removesuffix(b"\n")
    if head != f"{_HEAD}{zlib.crc32(body):08x}".encode():
        raise ValueError("checksum or version of the ledger does not match")
    fields = json.loads(body)
    return Ledger(
        boot_id=fields["boot_id"],
        kernel_boot_id=fields["kernel_boot_id"],
        clean=fields["clean"],
        next=dict(fields["next"]),
        through={Key(boot, stream): last for boot, stream, last in fields["through"]},
        refused={(Key(boot, stream), first) for boot, stream, first in fields["refused"]},
    )


def read(path: Path) -> Ledger | None:
    """The ledger of the file; None if there is no file. ValueError if it is damaged."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    return decode(data)


def write(path: Path, ledger: Ledger) -> None:
    """Replace the file, durably. OSError leaves the old one."""
    beside = path.with_name(path.name + ".new")
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        data = encode(ledger)
        while data:
            data = data[os.write(fd, data) :]
        os.fsync(fd)
    finally:
        os.close(fd)
    beside.replace(path)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make names that were added to, or removed from, the directory durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
