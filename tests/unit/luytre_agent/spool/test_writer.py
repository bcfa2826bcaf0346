from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

from luytre_agent.batch import Key
from luytre_agent.spool import Record
from luytre_agent.spool.segment import scan
from luytre_agent.spool.writer import Writer

BOOT = "0d4f6c0e-3f0b-4a5e-9d0e-0f5a1d2b3c4d"


def record(first: int) -> Record:
    return Record(Key(BOOT, "flows"), "flows", first, 5, b"payload")


def test_writer_and_scan_agree(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "a.seg", 1)
    offsets = [writer.append(record(0), sync=True), writer.append(record(5), sync=False)]
    writer.close()
    result = scan((tmp_path / "a.seg").read_bytes())
    assert [one.offset for one in result.records] == offsets
    assert result.end == writer.end
    assert (tmp_path / "a.seg").stat().st_mode & 0o777 == 0o600


FULL = """
import errno, resource, sys
from pathlib import Path
from luytre_agent.batch import Key
from luytre_agent.spool import Record
from luytre_agent.spool.writer import Writer
writer = Writer(Path(sys.argv[1]), 0)
def record(first): return Record(Key("0d4f6c0e-3f0b-4a5e-9d0e-0f5a1d2b3c4d", "flows"), "flows", first, 5, b"x" * 400)
writer.append(record(0), False)
resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))
try:
    writer.append(record(5), False)
except OSError as error:
    print(errno.errorcode[error.errno], writer.end)
"""


def test_a_write_that_stops_half_way_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "a.seg"
    run = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=True)
    code, end = run.stdout.split()
    assert code == errno.errorcode[errno.EFBIG]
    assert path.stat().st_size == int(end)
    assert [one.first for one in scan(path.read_bytes()).records] == [0]
