"""kill -9 while inserting: every insert is there whole or not at all, and the folder is free again."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from luytre_collector.store import embedded, readonly

ROWS = 500

CHILD = """
import sys
from pathlib import Path
from luytre_collector.store import embedded, readonly
from luytre_common.schema import TABLES
from tests.contract.rows import make

store = embedded.EmbeddedStore(embedded.Config(directory=Path(sys.argv[1])), readonly.Config())
store.open()
store.migrate()
number = store.last_sequence("flows", "web-01", "b0", "flows") + 1
while True:
    store.insert("flows", make(TABLES["flows"], {rows}, first=number, nasty=False), f"{{number}}")
    number += {rows}
    print(number, flush=True)
"""


def test_an_insert_is_whole_or_absent(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    acknowledged = 0
    for inserts in (1, 4, 2):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD.format(rows=ROWS), str(folder)],
            stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        assert child.stdout is not None
        with child.stdout:
            for _ in range(inserts):
                acknowledged = int(child.stdout.readline())
            child.send_signal(signal.SIGKILL)  # the next insert is under way
            rest = child.stdout.read().split()
            assert child.wait() == -signal.SIGKILL
        acknowledged = int(rest[-1]) if rest else acknowledged
        store = embedded.EmbeddedStore(embedded.Config(directory=folder), readonly.Config())
        store.open()
        try:
            assert store.migrate() == []
            found = store.query(
                "SELECT count() AS rows, uniqExact(sequence) AS distinct, max(sequence) + 1 AS next FROM flows"
            ).to_pylist()[0]
            last = store.last_sequence("flows", "web-01", "b0", "flows")
        finally:
            store.close()
        assert found["rows"] % ROWS == 0
        assert found["rows"] == found["distinct"] == found["next"] == last + 1
        assert acknowledged <= found["rows"] <= acknowledged + ROWS
    assert acknowledged >= (1 + 4 + 2) * ROWS
