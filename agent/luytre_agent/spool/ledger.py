"""What the spool must remember besides the batches: the numbering, what the collector has, and what will never come.

The file `ledger` is replaced whole (written beside, synced, renamed), so it is always one version or the other:

    luytre-ledger 1 CRC32\\n      CRC-32 of the rest, eight hexadecimal digits
    {JSON}

`clean` is true only between a clean close and the next open. A numbering (`boot_id`) goes on only if the last run
closed cleanly under the same kernel boot; after anything else (first start, reboot, kill, power loss, restored folder,
lost ledger) a new one begins at 0. That one rule is why no sequence number can ever name two different rows: what a
crash cut off may already have been sent.

A segment is deleted after the ledger that says why is on the disk: stored, refused, dropped. So whatever a numbering
lacks when the spool is opened, and the ledger does not explain, is lost, and a gap like the others. Acknowledged
positions of segments that are still there may be older than the truth by `ledger_seconds`: then batches are sent again,
and the collector, which knows them, says so again.

Gaps wait here until they lie in the spool as rows. Before they are put there, `telling` says which batch it will be:
after a crash in between, it is there or it is not, and no gap is told twice or never.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from luytre_common.durable import replace_file
from luytre_common.errors import UserError

from luytre_agent.batch import Key
from luytre_agent.spool.gaps import Gap, Ranges

_HEAD = "luytre-ledger 1 "


@dataclass(frozen=True, slots=True)
class Telling:
    """The batch that tells the first `gaps` gaps: its numbering, first sequence, and the CRC-32 of its bytes."""

    key: Key
    first: int
    crc: int
    gaps: int


@dataclass
class Ledger:
    """The contents of the file.

    next, chain: the next sequence of each stream of `boot_id`, and what its batch follows; believed only if `clean`.
    through: everything of a numbering up to this sequence is stored.
    gone: what of a numbering will never be stored.
    gaps: what of that is not yet told, those of `telling` first.
    refused: as earlier versions wrote it, first sequences of batches that are `gone`.
    complete: whether it explains everything that is missing (earlier versions' did not).
    """

    boot_id: str
    kernel_boot_id: str
    clean: bool = False
    next: dict[str, int] = field(default_factory=dict)
    chain: dict[str, bytes] = field(default_factory=dict)
    through: dict[Key, int] = field(default_factory=dict)
    gone: dict[Key, Ranges] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    telling: Telling | None = None
    refused: set[tuple[Key, int]] = field(default_factory=set)
    complete: bool = True

    def forget(self, keep: set[Key]) -> None:
        """Drop what is known of numberings of which no segment holds anything any more and that do not go on."""

        def needed(key: Key) -> bool:
            return key.boot_id == self.boot_id or key in keep

        self.through = {key: last for key, last in self.through.items() if needed(key)}
        for key, ranges in self.gone.items():
            ranges.forget(self.through.get(key, -1))
        self.gone = {key: ranges for key, ranges in self.gone.items() if needed(key) and list(ranges)}

    def lose(self, key: Key, first: int, last: int) -> None:
        """These numbers will never come."""
        self.gone.setdefault(key, Ranges()).add(first, last)


def encode(ledger: Ledger) -> bytes:
    """The ledger as the file's bytes."""
    telling = ledger.telling
    body = json.dumps(
        {
            "boot_id": ledger.boot_id,
            "kernel_boot_id": ledger.kernel_boot_id,
            "clean": ledger.clean,
            "next": ledger.next,
            "chain": {stream: link.hex() for stream, link in ledger.chain.items()},
            "through": [[key.boot_id, key.stream, last] for key, last in sorted(ledger.through.items())],
            "refused": [],
            "gone": [[key.boot_id, key.stream, list(ranges)] for key, ranges in sorted(ledger.gone.items())],
            "gaps": [
                [gap.key.boot_id, gap.key.stream, gap.cause, gap.first, gap.last, gap.time] for gap in ledger.gaps
            ],
            "telling": telling and [telling.key.boot_id, telling.key.stream, telling.first, telling.crc, telling.gaps],
        }
    ).encode()
    return f"{_HEAD}{zlib.crc32(body):08x}\n".encode() + body + b"\n"


def decode(data: bytes) -> Ledger:
    """The ledger in `data`. ValueError if it is not one, whole; UserError if a newer agent wrote it."""
    head, _, body = data.partition(b"\n")
    body = body.removesuffix(b"\n")
    if head != f"{_HEAD}{zlib.crc32(body):08x}".encode():
        kind, version, crc = (*head.split(b" "), b"", b"", b"")[:3]
        if (
            kind == b"luytre-ledger"
            and version.isdigit()
            and int(version) > 1
            and crc == f"{zlib.crc32(body):08x}".encode()
        ):
            raise UserError(
                f"ledger of the spool: written in format {version.decode()}, this agent knows 1; "
                "install the newer agent again or give an empty [spool] directory"
            )
        raise ValueError("checksum of the ledger does not match")
    return _ledger(json.loads(body))


def _ledger(fields: dict[str, Any]) -> Ledger:
    telling = fields.get("telling")
    return Ledger(
        boot_id=fields["boot_id"],
        kernel_boot_id=fields["kernel_boot_id"],
        clean=fields["clean"],
        next=dict(fields["next"]),
        chain={stream: bytes.fromhex(link) for stream, link in fields.get("chain", {}).items()},
        through={Key(boot, stream): last for boot, stream, last in fields["through"]},
        gone={Key(boot, stream): Ranges(ranges) for boot, stream, ranges in fields.get("gone", ())},
        gaps=[Gap(Key(boot, stream), *rest) for boot, stream, *rest in fields.get("gaps", ())],
        telling=Telling(Key(telling[0], telling[1]), *telling[2:]) if telling else None,
        refused={(Key(boot, stream), first) for boot, stream, first in fields["refused"]},
        complete="gone" in fields,
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
    replace_file(path, encode(ledger))
