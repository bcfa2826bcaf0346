"""kill -9 while inserting: every insert is there whole or not at all, what is derived of it is right, and the folder is
free again."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from luytre_collector.rollups import Config as RollupsConfig
from luytre_collector.rollups import Rollups
from luytre_collector.store import embedded, readonly
from luytre_common.telemetry import Counters

ROWS = 500
WEB = ("web-01", "b0", "flows")
#: Of a day that is not over yet, whenever the test runs, so that no comparison of days mends what is wrong.
NOON = int(time.time()) // 86_400 * 86_400 + 43_200

CHILD = """
import sys
from pathlib import Path
from luytre_collector.rollups import Config as RollupsConfig
from luytre_collector.rollups import Rollups
from luytre_collector.store import embedded, readonly
from luytre_common.telemetry import Counters
from luytre_common.schema import TABLES
from tests.contract.rows import make

store = embedded.EmbeddedStore(embedded.Config(directory=Path(sys.argv[1])), readonly.Config())
store.open()
store.migrate()
web = ("web-01", "b0", "flows")
number = store.last_sequences("flows", [web]).get(web, -1) + 1
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
            last = store.last_sequences("flows", [WEB]).get(WEB, -1)
        finally:
            store.close()
        assert found["rows"] % ROWS == 0
        assert found["rows"] == found["distinct"] == found["next"] == last + 1
        assert acknowledged <= found["rows"] <= acknowledged + ROWS
    assert acknowledged >= (1 + 4 + 2) * ROWS


DERIVING = """
import sys
from pathlib import Path
from luytre_collector.rollups import Config, Rollups
from luytre_collector.store import embedded, readonly
from luytre_common.telemetry import Counters
from tests.support import made

store = embedded.EmbeddedStore(embedded.Config(directory=Path(sys.argv[1])), readonly.Config())
store.open()
store.migrate()
now = [int(sys.argv[2])]
rollups = Rollups(store, Config(), lambda: now[0], lambda: None, Counters("rollups"))
while True:
    now[0] += 20  # what arrives now comes after every window that was closed
    at = now[0] * 1_000_000
    made.insert(store, "flows", [{{"flow_end": at, "source_bytes": 1, "source_ip": "192.0.2.1"}}] * {rows}, at, str(at))
    now[0] += 10
    rollups.run()
    print(now[0], flush=True)
"""


def test_sums_are_exact_whenever_the_collector_is_killed(tmp_path: Path) -> None:
    folder, now = tmp_path / "store", NOON
    for rounds in (1, 2):
        child = subprocess.Popen(
            [sys.executable, "-c", DERIVING.format(rows=ROWS), str(folder), str(now)],
            stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        assert child.stdout is not None
        with child.stdout:
            for _ in range(rounds):
                now = int(child.stdout.readline())
            child.send_signal(signal.SIGKILL)
            rest = child.stdout.read().split()
            assert child.wait() == -signal.SIGKILL
        now = int(rest[-1]) if rest else now
        store = embedded.EmbeddedStore(embedded.Config(directory=folder), readonly.Config())
        store.open()
        try:
            now += 60
            counters = Counters("rollups")
            Rollups(store, RollupsConfig(), lambda at=now: at, lambda: None, counters).run()  # type: ignore[misc]
            (found,) = store.query(
                "SELECT (SELECT count() FROM luytre.flows) AS rows, (SELECT sum(rows) FROM luytre.flows_1m) AS minutes,"
                " (SELECT sum(source_bytes) FROM luytre.flows_1h) AS hours"
            ).to_pylist()
        finally:
            store.close()
        assert found["rows"] == found["minutes"] == found["hours"] > 0
        assert counters.get("days_made_again", "flows_1m") == 0
