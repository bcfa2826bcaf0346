"""A real ClickHouse server, of 2018: Debian's own package, fetched with apt, unpacked beside its libraries into
`build/clickhouse-18.16` and never installed. It knows no TTL, codecs, IPv6 or DateTime64, but its protocol is the one
that servers speak today: what it takes from the store's client, a server's own code has taken.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
UNPACKED = ROOT / "build" / "clickhouse-18.16"
SERVER = Path("usr/sbin/clickhouse-server")
#: Seconds that a mirror gets.
FETCH_S = 120


class NotHereError(Exception):
    """The package cannot be had here; says why."""


def fetch() -> Path:
    """The folder with the server in it; fetched once. NotHereError if apt is not there or cannot reach it."""
    if (UNPACKED / SERVER).exists():
        return UNPACKED
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise NotHereError("no apt-get here to fetch Debian's clickhouse-server with")
    fresh = UNPACKED.with_name(f"{UNPACKED.name}.{os.getpid()}")
    archives = fresh / "archives"
    (archives / "partial").mkdir(parents=True)
    try:
        download = ["-o", f"Dir::Cache::archives={archives}/", "--download-only", "--yes", "--no-install-recommends"]
        try:
            _apt(*download, "install", "clickhouse-server")
        except NotHereError:
            _apt("update")
            _apt(*download, "install", "clickhouse-server")
        for package in archives.glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, fresh], check=True, timeout=FETCH_S)
        if not (fresh / SERVER).exists():
            raise NotHereError("clickhouse-server is installed here already, or apt has another one")
        shutil.rmtree(archives)
        fresh.rename(UNPACKED)
    except OSError as error:
        if not (UNPACKED / SERVER).exists():  # or another run was faster
            raise NotHereError(f"{fresh}: {error}") from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return UNPACKED


def _apt(*arguments: str) -> None:
    # No locks: nothing of the system's is written, and another apt may be at work.
    command = ["apt-get", "-qq", "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root", *arguments]
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=FETCH_S, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise NotHereError(f"apt-get {arguments[-1]}: no answer in {FETCH_S} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["failed"]
        raise NotHereError(f"apt-get cannot fetch clickhouse-server: {lines[-1]}")


_CONFIG = """<yandex>
  <logger><level>warning</level><console>1</console></logger>
  <tcp_port>{port}</tcp_port>
  <listen_host>127.0.0.1</listen_host>
  <path>{data}/</path>
  <tmp_path>{data}/tmp/</tmp_path>
  <mark_cache_size>100000000</mark_cache_size>
  <timezone>UTC</timezone>
  <users_config>{users}</users_config>
  <default_profile>default</default_profile>
  <default_database>default</default_database>
</yandex>
"""

_USERS = """<yandex>
  <profiles>
    <default><allow_experimental_low_cardinality_type>1</allow_experimental_low_cardinality_type></default>
    <readonly><readonly>1</readonly></readonly>
  </profiles>
  <users>
    <default><password></password><networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile><quota>default</quota></default>
    <reader><password>secret</password><networks><ip>127.0.0.1</ip></networks>
      <profile>readonly</profile><quota>default</quota></reader>
  </users>
  <quotas><default/></quotas>
</yandex>
"""


@dataclass
class OldServer:
    """One process on a free port of the loopback interface; a context manager."""

    folder: Path
    port: int = 0
    process: subprocess.Popen[bytes] = field(init=False)

    def __enter__(self) -> OldServer:
        home = fetch()
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port = int(sock.getsockname()[1])
        (self.folder / "data").mkdir(parents=True)
        config, users = self.folder / "config.xml", self.folder / "users.xml"
        config.write_text(_CONFIG.format(port=self.port, data=self.folder / "data", users=users))
        users.write_text(_USERS)
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [home / SERVER, f"--config-file={config}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                env={"LD_LIBRARY_PATH": ":".join(map(str, _libraries(home))), "TZ": "UTC"},
            )  # fmt: skip
        self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(timeout=20)

    def _wait(self) -> None:
        for _ in range(600):
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
            except OSError:
                try:
                    self.process.wait(timeout=0.1)
                except subprocess.TimeoutExpired:
                    continue
            else:
                return
        self.process.kill()
        last = (self.folder / "log").read_text(errors="replace").splitlines()[-1:]
        raise NotHereError(f"the old server does not start: {' '.join(last)}")


def _libraries(home: Path) -> Sequence[Path]:
    return sorted({found.parent for found in home.rglob("lib*.so.*")})
