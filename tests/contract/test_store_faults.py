"""What goes wrong with a server: one clear line, whether trying again helps, and nothing lost or doubled when it does.

Real faults of a real engine behind the bridge: its own limits, its own rights, its process stopped and killed.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from luytre_collector.store import readonly, server
from luytre_collector.store.base import OldServerError, QueryRefusedError, StoreError, StoreUnavailableError
from luytre_common.schema import TABLES
from luytre_common.telemetry import Counters

from tests.contract.conftest import empty
from tests.contract.rows import make
from tests.support.bridge.process import Bridge, write_config

FLOWS = TABLES["flows"]
WEB = ("web-01", "b0", "flows")
#: Long enough for a busy machine, short enough to wait for.
PATIENCE_S = 2


def closed_port() -> str:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{sock.getsockname()[1]}"


@contextlib.contextmanager
def opened(*hosts: str, migrate: bool = True, **config: Any) -> Iterator[tuple[server.ServerStore, Counters]]:
    counters = Counters("store")
    store = server.ServerStore(server.Config(hosts=list(hosts), **config), readonly.Config(), counters)
    store.open()
    try:
        if migrate:
            store.migrate()
        yield store, counters
    finally:
        store.close()


def truth(store: server.ServerStore) -> tuple[int, int, int]:
    """Rows, different rows, and the number after the last; all the same if each is there once."""
    found = store.query(
        "SELECT count() AS rows, uniqExact(sequence) AS different, max(sequence) + 1 AS next FROM flows"
    )
    row = found.to_pylist()[0]
    return int(row["rows"]), int(row["different"]), int(row["next"])


def insert(store: server.ServerStore, number: int, rows: int = 10) -> None:
    store.insert("flows", make(FLOWS, rows, first=number * rows, nasty=False), f"batch {number}")


def refused(action: Callable[[], object], cause: str, says: str) -> None:
    """It fails for now, says why in one line, and the cause can be counted."""
    with pytest.raises(StoreUnavailableError, match=says) as caught:
        action()
    assert caught.value.cause == cause
    assert "\n" not in str(caught.value)


@pytest.fixture
def clean(bridge: Bridge) -> Bridge:
    empty(server.Config(hosts=[bridge.host]))
    return bridge


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tables in it, for bridges with fewer rights, one after the other."""
    folder = tmp_path_factory.mktemp("home") / "store"
    with Bridge(folder) as bridge, opened(bridge.host):
        pass
    return folder


def test_too_many_parts(clean: Bridge) -> None:
    with opened(clean.host) as (store, _):
        store.command("SYSTEM STOP MERGES luytre.flows")
        store.command("ALTER TABLE luytre.flows MODIFY SETTING parts_to_throw_insert = 2, parts_to_delay_insert = 2")
        insert(store, 0)
        insert(store, 1)
        refused(lambda: insert(store, 2), "too_many_parts", "flows: Too many parts")
        store.command("ALTER TABLE luytre.flows RESET SETTING parts_to_throw_insert, parts_to_delay_insert")
        insert(store, 2)
        assert truth(store) == (30, 30, 30)


def test_a_table_that_went_away(clean: Bridge) -> None:
    with opened(clean.host) as (store, _):
        store.command("DROP TABLE luytre.flows SYNC")
        refused(lambda: insert(store, 0), "unknown_table", "flows: Unknown table")
        assert "created table flows" in store.migrate()
        insert(store, 0)
        assert truth(store) == (10, 10, 10)


def test_a_column_of_another_type(clean: Bridge) -> None:
    with opened(clean.host) as (store, _):
        store.command("ALTER TABLE luytre.flows MODIFY COLUMN source_port UInt32")
        with pytest.raises(StoreError, match="source_port: the server's column is UInt32, which cannot hold uint16"):
            insert(store, 0)
        store.command("ALTER TABLE luytre.flows MODIFY COLUMN source_port UInt16")
        insert(store, 0)
        assert truth(store) == (10, 10, 10)


def test_read_only(home: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path / "config.xml", settings={"readonly": "1"})
    with Bridge(home, ["--config", str(config)]) as bridge, opened(bridge.host, migrate=False) as (store, _):
        refused(lambda: insert(store, 0), "readonly", "readonly")


def test_a_missing_grant(home: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path / "config.xml", ["GRANT SELECT ON luytre.*", "GRANT SHOW ON *.*"])
    with Bridge(home, ["--config", str(config)]) as bridge, opened(bridge.host, migrate=False) as (store, _):
        refused(
            lambda: insert(store, 0),
            "access_denied",
            r"the grant INSERT\(flow_id, flow_start, \.\.\.\) ON luytre.flows",
        )
        with pytest.raises(QueryRefusedError, match="necessary to have the grant"):
            store.query_text("SELECT * FROM luytre_local.flows", "JSONEachRow")


def test_out_of_memory(home: Path, tmp_path: Path) -> None:
    config = write_config(
        tmp_path / "config.xml", settings={"max_memory_usage": "2000000", "max_untracked_memory": "0"}
    )
    with Bridge(home, ["--config", str(config)]) as bridge, opened(bridge.host, migrate=False) as (store, _):
        refused(lambda: insert(store, 0, 20_000), "memory_limit_exceeded", "flows: .*memory limit exceeded")
    with Bridge(home) as bridge, opened(bridge.host) as (store, _):
        assert store.last_sequences("flows", [WEB]) == {}
        insert(store, 0, 20_000)
        assert truth(store) == (20_000,) * 3
        store.command("TRUNCATE TABLE luytre.flows")


def test_a_wrong_password_and_an_old_version(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    options = ["--user", "collector:right", "--version", "23.8.16"]
    with Bridge(tmp_path / "store", options) as bridge:
        secret.write_text("wrong\n")
        login: dict[str, Any] = {"user": "collector", "password_file": secret, "migrate": False}
        refused(lambda: opened(bridge.host, **login).__enter__(), "authentication_failed", "collector: Authenticat")
        secret.write_text("right\n")
        with pytest.raises(OldServerError, match=rf"{bridge.host}: ClickHouse 23.8.16 is too old; .* to 24.3") as old:
            opened(bridge.host, **login).__enter__()
        assert old.value.exit_code == 2


def test_a_password_that_is_changed(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("old\n")
    bridge = Bridge(tmp_path / "store", ["--user", "collector:old"])
    with bridge, opened(bridge.host, user="collector", password_file=secret) as (store, _):
        insert(store, 0)
        bridge.stop()
        bridge.options = ["--user", "collector:new"]
        bridge.start()
        refused(lambda: insert(store, 1), "authentication_failed", "collector: Authentication failed")
        secret.unlink()
        refused(lambda: insert(store, 1), "authentication_failed", "collector: Authentication failed")
        secret.write_text("new\n")
        insert(store, 1)
        assert truth(store) == (20, 20, 20)


def test_a_server_that_hangs(tmp_path: Path) -> None:
    waits = {"timeout_s": PATIENCE_S, "connect_timeout_s": PATIENCE_S}
    with Bridge(tmp_path / "store") as bridge, opened(bridge.host, **waits) as (store, counters):
        insert(store, 0)
        bridge.signal(signal.SIGSTOP)
        refused(lambda: insert(store, 1), "timeout", f"{bridge.host}: no answer in time")
        bridge.signal(signal.SIGCONT)
        insert(store, 1)
        assert truth(store) == (20, 20, 20)
        assert counters.get("host_failed", bridge.host) == 1
        assert counters.get("host_changed", bridge.host) == 0


def test_the_next_host_takes_over_and_is_asked_first_from_then_on(clean: Bridge) -> None:
    down = closed_port()
    with opened(down, clean.host) as (store, counters):
        insert(store, 0)
        assert truth(store) == (10, 10, 10)
        assert counters.get("host_failed", down) == 1
        assert counters.get("host_changed", clean.host) == 1
    with pytest.raises(StoreUnavailableError) as none:
        opened(down, other := closed_port()).__enter__()
    assert "\n" not in str(none.value)
    assert all(host in str(none.value) for host in (down, other))


def test_killed_while_inserting_and_another_host_goes_on(tmp_path: Path) -> None:
    """The first host dies by SIGKILL with an insert under way; a second one, on the same disk, takes over. Whoever
    inserts does as the pipeline does: again with the same token, until it is stored."""
    first, second = Bridge(tmp_path / "store"), Bridge(tmp_path / "store", port=int(closed_port().split(":")[1]))
    acknowledged: list[int] = []
    under_way, failures = threading.Event(), []

    def deliver(store: server.ServerStore, batches: range) -> None:
        for number in batches:
            while True:
                try:
                    insert(store, number, 500)
                    break
                except StoreUnavailableError as error:
                    failures.append(str(error))
                    under_way.wait(0.05)
            acknowledged.append(number)
            if len(acknowledged) == 5:
                under_way.set()

    with first, opened(first.host, second.host, connect_timeout_s=PATIENCE_S) as (store, counters):
        worker = threading.Thread(target=deliver, args=(store, range(30)))
        worker.start()
        assert under_way.wait(60)
        first.kill()
        under_way.clear()
        with second:
            worker.join(120)
            assert not worker.is_alive()
            assert acknowledged == list(range(30))
            assert failures
            assert counters.get("host_changed", second.host) >= 1
            assert truth(store) == (15_000,) * 3
            assert store.last_sequences("flows", [WEB]) == {WEB: 14_999}
