"""The way to a server: encrypted and verified, compressed; and every type that a table or a query may use."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any, Literal

import pytest
from clickhouse_driver import Client, errors
from luytre_collector import pki
from luytre_collector.store import readonly, server
from luytre_collector.store.base import StoreUnavailableError
from luytre_common.errors import UserError
from luytre_common.schema import TABLES

from tests.contract.conftest import empty
from tests.contract.rows import make
from tests.support.bridge.process import Bridge

FLOWS = TABLES["flows"]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority with a server's certificate for 127.0.0.1 and a client's, and another authority in `other`."""
    folder = tmp_path_factory.mktemp("keys")
    pki.init_authority(folder)
    pki.issue(folder, "clickhouse", "collector", ["127.0.0.1"])
    pki.issue(folder, "writer", "agent", [])
    (folder / "other").mkdir()
    pki.init_authority(folder / "other")
    return folder


@pytest.fixture(scope="module")
def secure(keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridge]:
    """A server that encrypts, and asks for a certificate."""
    pem = {name: str(keys / name) for name in ("clickhouse.pem", "clickhouse.key", "authority.pem")}
    options = ["--certificate", pem["clickhouse.pem"], "--key", pem["clickhouse.key"], "--authority"]
    with Bridge(tmp_path_factory.mktemp("secure") / "store", [*options, pem["authority.pem"]]) as bridge:
        yield bridge


def ways(keys: Path) -> dict[str, Any]:
    return {
        "tls": True,
        "authority": keys / "authority.pem",
        "certificate": keys / "writer.pem",
        "key": keys / "writer.key",
        "connect_timeout_s": 5,
    }


def round_trip(config: server.Config) -> None:
    store = server.ServerStore(empty(config), readonly.Config())
    store.open()
    try:
        store.migrate()
        rows = make(FLOWS, 3000)
        store.insert("flows", rows, "token")
        names = ", ".join(column.name for column in FLOWS.stored_columns)
        assert store.query(f"SELECT {names} FROM flows ORDER BY sequence").to_pylist() == rows.to_pylist()
    finally:
        store.close()


@pytest.mark.parametrize("method", ["none", "lz4", "zstd"])
def test_rows_arrive_through_tls(secure: Bridge, keys: Path, method: Literal["none", "lz4", "zstd"]) -> None:
    round_trip(server.Config(hosts=[secure.host], compression=method, **ways(keys)))


@pytest.mark.parametrize("method", ["lz4", "zstd"])
def test_rows_arrive_compressed(bridge: Bridge, method: Literal["lz4", "zstd"]) -> None:
    round_trip(server.Config(hosts=[bridge.host], compression=method))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"authority": "other/authority.pem"}, "certificate verify failed"),
        ({"authority": None}, "certificate verify failed"),
        ({"host": "localhost"}, "Hostname mismatch|certificate is not valid for 'localhost'"),
        (
            {"certificate": None, "key": None},
            "may want a certificate|closed the connection|certificate required|reset|pipe",
        ),
        ({"tls": False}, "closed the connection|Unexpected packet|reset|no answer in time"),
    ],
)
def test_who_is_not_trusted_gets_no_rows(secure: Bridge, keys: Path, change: dict[str, Any], says: str) -> None:
    given = {**ways(keys), **{name: keys / value if name == "authority" and value else value
                              for name, value in change.items()}}  # fmt: skip
    host = f"{given.pop('host', '127.0.0.1')}:{secure.port}"
    store = server.ServerStore(server.Config(hosts=[host], **given), readonly.Config())
    with pytest.raises(StoreUnavailableError, match=says) as refused:
        store.open()
    assert str(refused.value).startswith(host)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"authority": "writer.key"}, "no certificate in PEM"),
        ({"certificate": "clickhouse.key"}, "not a certificate with its key"),
        ({"key": "clickhouse.key"}, "not a certificate with its key"),
        ({"certificate": None}, "a key without its certificate"),
    ],
)
def test_files_of_the_wrong_kind_are_named_at_the_start(keys: Path, change: dict[str, Any], says: str) -> None:
    given = {**ways(keys), **{name: value and keys / value for name, value in change.items()}}
    with pytest.raises(UserError, match=says) as wrong:
        server.ServerStore(server.Config(hosts=["127.0.0.1:1"], **given), readonly.Config()).open()
    assert str(keys) in str(wrong.value)


#: What the bare driver must be able to write and read: types, and values that break things.
TYPES: list[tuple[str, list[Any]]] = [
    *((f"UInt{bits}", [0, 2**bits - 1]) for bits in (8, 16, 32, 64, 128, 256)),
    *((f"Int{bits}", [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1]) for bits in (8, 16, 32, 64)),
    ("Float32", [0.5, -1.0]),
    ("Float64", [0.1, 1e300]),
    ("Bool", [True, False]),
    ("String", ["", "lũy tre\0\n" * 100]),
    ("FixedString(3)", ["abc", "xyz"]),
    ("UUID", [uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)]),
    ("IPv4", [IPv4Address("0.0.0.0"), IPv4Address("255.255.255.255")]),
    ("IPv6", [IPv6Address("::"), IPv6Address("2001:db8::1")]),
    ("DateTime('UTC')", [datetime(1970, 1, 1, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC)]),
    ("DateTime64(6, 'UTC')", [datetime(1970, 1, 1, 0, 0, 0, 1, UTC), datetime(2026, 11, 23, tzinfo=UTC)]),
    ("Enum8('up' = 1, 'a,(b' = -2)", ["up", "a,(b"]),
    ("Enum16('up' = 1000)", ["up", "up"]),
    ("LowCardinality(String)", ["", "x"]),
    ("LowCardinality(Nullable(String))", [None, "x"]),
    ("Nullable(UInt16)", [None, 7]),
    ("Array(LowCardinality(String))", [["a", "b", "a"], []]),
    ("Array(Array(UInt8))", [[[1], []], []]),
    ("Array(Nullable(String))", [[None, "x"], []]),
    ("Map(String, UInt64)", [{"a": 1}, {}]),
    ("Map(LowCardinality(String), Array(IPv6))", [{"a": [IPv6Address("::1")]}, {}]),
    ("Tuple(UInt8, String)", [(1, "x"), (2, "")]),
    ("Array(Tuple(UInt8, LowCardinality(String)))", [[(1, "x")], []]),
]


@pytest.mark.parametrize("compression", [False, "lz4", "zstd"])
def test_the_bridge_carries_every_type(bridge: Bridge, compression: bool | str) -> None:
    with Client("127.0.0.1", bridge.port, compression=compression) as client:
        client.execute("DROP TABLE IF EXISTS default.types")
        columns = ", ".join(f"c{number} {spec}" for number, (spec, _) in enumerate(TYPES))
        client.execute(f"CREATE TABLE default.types (n UInt8, {columns}) ENGINE = MergeTree ORDER BY n")
        rows = [(n, *(values[n] for _, values in TYPES)) for n in range(2)]
        client.execute("INSERT INTO default.types VALUES", rows)
        assert client.execute("SELECT * FROM default.types ORDER BY n") == rows
        client.execute("DROP TABLE default.types SYNC")


def test_the_bridge_takes_external_data_and_says_what_is_wrong(bridge: Bridge) -> None:
    with Client("127.0.0.1", bridge.port) as client:
        wanted = [{"name": "wanted", "structure": [("port", "UInt16")], "data": [{"port": 22}, {"port": 443}]}]
        assert client.execute("SELECT sum(port) FROM wanted", external_tables=wanted) == [(465,)]
        with pytest.raises(errors.ServerException, match="UNKNOWN_TABLE") as unknown:
            client.execute("SELECT * FROM wanted")
        assert unknown.value.code == 60
        with pytest.raises(errors.ServerException, match="does not know the type AggregateFunction") as type_:
            client.execute("SELECT sumState(1)")
        assert type_.value.code == 48
        progress = client.execute_with_progress("SELECT number FROM numbers(10)")
        assert len(progress.get_result()) == 10
        assert client.last_query.profile_info.rows == 10


def test_a_broken_frame_is_refused(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    from clickhouse_driver.streams import compressed

    monkeypatch.setattr(compressed, "CityHash128", lambda _: 0)
    with (
        Client("127.0.0.1", bridge.port, compression="lz4") as client,
        pytest.raises((EOFError, errors.Error, OSError)),
    ):
        client.execute("SELECT 1")
