"""What a batch costs in the spool: kept, read back, opened again after a crash; beside writing the same bytes.

`python -m tests.bench.bench_spool [--folder DIR] [--json]`
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from luytre_agent.spool import Config, Spool
from luytre_agent.uplink import encode

#: Bytes of a batch, and how many of them: a second of a quiet server, of a busy one, a full batch.
SIZES = ((2_000, 4_000), (50_000, 1_000), (500_000, 200))


@dataclass(frozen=True)
class Sealed:
    """A body of so many bytes that nobody looks into."""

    body: bytes
    table: str = "flows"
    rows: int = 100
    first_event: int = 1
    last_event: int = 1

    @property
    def raw_size(self) -> int:
        """As if it had been packed to a third."""
        return 3 * len(self.body)


def cpu_us(count: int, work: Callable[[], object]) -> float:
    """Processor time of a `count`th of the work, microseconds."""
    before = time.process_time()
    work()
    return (time.process_time() - before) * 1e6 / count


def measure(folder: Path, size: int, count: int) -> dict[str, float]:
    """Microseconds of processor time for each batch."""
    sealed = Sealed(os.urandom(size))
    made = Spool(Config(directory=folder / "spool"), encode, time.time, "kernel")
    made.open()
    found = {"append": cpu_us(count, lambda: [made.append(sealed, 1e9) for _ in range(count)])}
    found["read"] = cpu_us(count, lambda: sum(1 for _ in made.pending()))
    shutil.copytree(folder / "spool", folder / "crashed")
    made.close()
    again = Spool(Config(directory=folder / "crashed"), encode, time.time, "kernel")
    found["open"] = cpu_us(count, again.open)
    again.close()

    def write() -> None:
        with (folder / "bare").open("wb", buffering=0) as file:
            for _ in range(count):
                file.write(zlib.crc32(sealed.body).to_bytes(4, "little") + sealed.body)
            os.fdatasync(file.fileno())

    found["bare_write"] = cpu_us(count, write)
    found["append_to_bare"] = found["append"] / found["bare_write"]
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="on the disk in question (default: the system's temporary folder)")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = {}
    for size, count in SIZES:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            rows[size] = measure(Path(folder), size, count)
    if arguments.json:
        print(json.dumps(rows))
        return
    print(f"{'bytes':>8} {'append us':>10} {'read us':>10} {'open us':>10} {'bare write us':>14} {'append : bare':>14}")
    for size, found in rows.items():
        append, read, opened, bare, ratio = found.values()
        print(f"{size:8,} {append:10.1f} {read:10.1f} {opened:10.1f} {bare:14.1f} {ratio:14.2f}")


if __name__ == "__main__":
    main()
