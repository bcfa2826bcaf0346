from __future__ import annotations

import os
import socket
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from luytre_agent.sources.host.ports import owners, read, sockets

HEAD = b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
TAIL = b"00000000:00000000 00:00000000 00000000  33        0 1060 1 0 100\n"


def test_only_listeners() -> None:
    data = HEAD + b"0: 0100007F:0016 00000000:0000 0A " + TAIL + b"1: 0100007F:0016 0100007F:9999 01 " + TAIL
    assert list(sockets(data, "tcp")) == [("127.0.0.1:22", 1060, "33")]
    data = HEAD + b"0: 00000000:0035 00000000:0000 07 " + TAIL + b"1: 00000000:9000 00000000:0000 07 " + TAIL
    assert list(sockets(data, "udp", 32768)) == [("0.0.0.0:53", 1060, "33")]


def test_our_own_socket_with_our_name() -> None:
    with socket.create_server(("127.0.0.1", 0)) as v4, socket.create_server(("::1", 0), family=socket.AF_INET6) as v6:
        found = read(Path("/"))
        ours = found[f"tcp 127.0.0.1:{v4.getsockname()[1]}"]
        assert ours["executable"] == str(Path("/proc/self/exe").readlink())
        assert ours["uid"] == str(os.geteuid())
        assert f"tcp [::1]:{v6.getsockname()[1]}" in found


def test_processes_that_vanish_stay_unknown(tmp_path: Path) -> None:
    (tmp_path / "7/fd").mkdir(parents=True)
    (tmp_path / "7/fd/3").symlink_to("socket:[55]")
    (tmp_path / "7/fd/4").symlink_to("socket:[x]")
    (tmp_path / "8").mkdir()
    (tmp_path / "9").write_text("no folder")
    assert owners(tmp_path, {55}) == {}


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    list(sockets(HEAD + data, "tcp"))
    list(sockets(HEAD + b"0: " + data + b":0016 00000000:0000 0A " + TAIL, "tcp"))
