"""What can be known of the server store without a server: how it fails, and what it asks the driver for."""

from __future__ import annotations

import socket
import sys
import threading
from pathlib import Path
from typing import Literal

import pytest
from luytre_collector.store import readonly, server
from luytre_collector.store.base import StoreUnavailableError
from luytre_common.errors import UserError


def make_store(config: server.Config) -> server.ServerStore:
    return server.ServerStore(config, readonly.Config())


def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_a_refused_connection_is_for_later() -> None:
    store = make_store(server.Config(hosts=[f"127.0.0.1:{closed_port()}"]))
    with pytest.raises(StoreUnavailableError, match="refused") as error:
        store.open()
    assert "\n" not in str(error.value)
    with pytest.raises(StoreUnavailableError, match="not open"):
        store.query("SELECT 1")


def test_what_is_no_clickhouse_is_for_later_and_every_host_is_tried() -> None:
    asked: list[str] = []

    def answer(listener: socket.socket, name: str) -> None:
        sock, _ = listener.accept()
        with sock:
            asked.append(name)
            sock.recv(1)
            sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    threads = [
        threading.Thread(target=answer, args=(listener, name))
        for listener, name in zip(listeners, ("first", "second"), strict=True)
    ]
    for thread in threads:
        thread.start()
    hosts = [f"127.0.0.1:{closed_port()}", *(f"127.0.0.1:{one.getsockname()[1]}" for one in listeners)]
    with pytest.raises(StoreUnavailableError):
        make_store(server.Config(hosts=hosts, timeout_s=5, connect_timeout_s=5)).open()
    assert "first" in asked
    for listener in listeners:
        if len(asked) < 2:
            socket.create_connection(listener.getsockname()).close()
    for thread in threads:
        thread.join(timeout=5)
    for listener in listeners:
        listener.close()


@pytest.mark.parametrize("method", ["lz4", "zstd"])
def test_compression_without_its_packages_names_them(
    method: Literal["lz4", "zstd"], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("base", method):  # as if never imported
        monkeypatch.delitem(sys.modules, f"clickhouse_driver.compression.{name}", raising=False)
    for name in ("clickhouse_cityhash", "clickhouse_cityhash.cityhash"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=r"install luytre-collector\[compression\]"):
        make_store(server.Config(compression=method)).open()


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gone: no password in it"):
        make_store(server.Config(password_file=tmp_path / "gone")).open()
    with pytest.raises(UserError, match=r"gone.pem: no such file; see \[store.server\]"):
        make_store(server.Config(tls=True, authority=tmp_path / "gone.pem")).open()
    empty = tmp_path / "empty"
    empty.write_text("")
    with pytest.raises(UserError, match="no password in it"):
        make_store(server.Config(password_file=empty)).open()
