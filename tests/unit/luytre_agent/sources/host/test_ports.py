from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

from luytre_agent.sources.host.ports import read

ROOT = Path("/")
ME = str(Path("/proc/self/exe").readlink())


def below_the_ephemeral(family: socket.AddressFamily, host: str) -> socket.socket:
    """A UDP socket at the first free port outside of the range for clients."""
    found = socket.socket(family, socket.SOCK_DGRAM)
    for port in range(20_000, 30_000):
        try:
            found.bind((host, port))
        except OSError:
            continue
        return found
    raise AssertionError("no port is free")


def test_our_own_sockets_with_our_name() -> None:
    with socket.create_server(("127.0.0.1", 0)) as v4, socket.create_server(("::1", 0), family=socket.AF_INET6) as v6:
        found = read(ROOT)
        for name in (f"tcp 127.0.0.1:{v4.getsockname()[1]}", f"tcp [::1]:{v6.getsockname()[1]}"):
            assert (found[name]["executable"], found[name]["uid"]) == (ME, str(os.geteuid()))
    assert name not in read(ROOT)


def test_datagrams_only_of_servers() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as client, below_the_ephemeral(socket.AF_INET, "127.0.0.1") as server:
        client.bind(("127.0.0.1", 0))
        found = read(ROOT)
        assert found[f"udp 127.0.0.1:{server.getsockname()[1]}"]["executable"] == ME
        assert f"udp 127.0.0.1:{client.getsockname()[1]}" not in found


def test_a_port_with_a_peer_does_not_listen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            assert f"tcp 127.0.0.1:{client.getsockname()[1]}" not in read(ROOT)
    with below_the_ephemeral(socket.AF_INET, "127.0.0.1") as peer:
        port = peer.getsockname()[1]
        peer.connect(("127.0.0.1", 9))
        assert f"udp 127.0.0.1:{port}" not in read(ROOT)


def test_several_holders_are_all_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.set_inheritable(True)
        pid = os.posix_spawn("/bin/sleep", ["sleep", "60"], {})
        try:
            port = server.getsockname()[1]
            assert set(read(ROOT)[f"tcp 127.0.0.1:{port}"]["process"].split(", ")) > {"sleep"}
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def test_processes_that_are_not_there_stay_unknown(tmp_path: Path) -> None:
    (tmp_path / "proc/7/fd").mkdir(parents=True)
    (tmp_path / "proc/8").mkdir()
    (tmp_path / "proc/9").write_text("no folder")
    with socket.create_server(("127.0.0.1", 0)) as server:
        facts = read(tmp_path)[f"tcp 127.0.0.1:{server.getsockname()[1]}"]
    assert facts == {"uid": str(os.geteuid()), "process": "", "executable": "", "unit": ""}
