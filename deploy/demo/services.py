"""The real collector and agent as processes: certificates, configuration files, start, readiness, end.

Also used by the integration tests and the benchmarks, so that all of them run what an admin runs.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from luytre_collector import config as configuration
from luytre_collector import pki, query

#: Python's own entry points of the two programs: no PATH, no installed scripts needed.
COLLECTOR = (sys.executable, "-m", "luytre_collector")
AGENT = (sys.executable, "-m", "luytre_agent")

#: A machine that is nearly full shows all the rest all the same.
_NEARLY_FULL_IS_WELL = """[disk]
low_water_bytes = 1
"""

_PR_SET_PDEATHSIG = 1  # prctl(2)
_libc = ctypes.CDLL(None)


class ServiceError(RuntimeError):
    """A service ended, or did not become ready; the message has its last lines."""


@dataclass
class Service:
    """One process, its log in a file. Ended by its own pid, and by the kernel if we die first."""

    name: str
    command: Sequence[str]
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        """Start it; standard output and error go to the end of `log`."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call, and we start services before threads
            )

    @property
    def pid(self) -> int:
        """The process, which must have been started."""
        assert self.process is not None
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self.process is not None and self.process.poll() is None

    def wait_until(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Wait for `ready`. ServiceError if the process ends first, or nothing happens in time."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            if not self.running:
                code = self.process.returncode if self.process else None
                raise ServiceError(f"{self.name} ended with {code}: {self.last_words()}")
            if time.monotonic() > deadline:
                raise ServiceError(f"{self.name} is not ready after {timeout_s:g} s: {self.last_words()}")
            time.sleep(0.05)

    def stop(self, timeout_s: float = 30.0) -> int:
        """Ask it to end (SIGTERM), wait, and its exit code; killed if it does not."""
        if self.process is None:
            return 0
        if self.running:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServiceError(f"{self.name} did not end within {timeout_s:g} s: {self.last_words()}") from None

    def kill(self) -> None:
        """End it at once (SIGKILL), as a crash would."""
        if self.process is not None and self.running:
            self.process.kill()
            self.process.wait(10)

    def cpu_seconds(self) -> float:
        """User and system time so far, of all its threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def log_text(self) -> str:
        """What it has said so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def last_words(self) -> str:
        """The last lines of its log."""
        return " | ".join(self.log_text().splitlines()[-3:]) or "it said nothing"


@dataclass
class Site:
    """A folder with an authority, a collector and its store; agents are added by name."""

    folder: Path

    def __post_init__(self) -> None:
        self.certificates = self.folder / "pki"
        self.collector_toml = self.folder / "collector.toml"
        self.ready_file = self.folder / "collector.ready"
        self._running: Service | None = None

    def make(
        self,
        *,
        listen: str = "127.0.0.1:0",
        internal: Sequence[str] = ("10.77.0.0/16", "fd77:7072::/32"),
        settings: str = "",
    ) -> None:
        """Make authority, collector certificate and collector.toml; `settings` is more TOML for its end."""
        pki.init_authority(self.certificates)
        pki.issue(self.certificates, "collector", "collector", ["localhost", "127.0.0.1"])
        self.collector_toml.write_text(
            f"""# Made by the demo: everything in one folder, a free port of this machine, short intervals.
[collector]
name = "demo"

[ingest]
listen = "{listen}"

{self._tls("ingest.tls", "collector")}
[store.embedded]
directory = {_toml(self.folder / "store")}

[quarantine]
directory = {_toml(self.folder / "quarantine")}

[notify.outbox]
directory = {_toml(self.folder / "outbox")}

[networks]
internal = {json.dumps(list(internal))}

[detect.correlations]
interval_s = 1.0

{"" if "[disk]" in settings else _NEARLY_FULL_IS_WELL}
[health]
interval_s = 1.0
{settings}"""
        )

    def collector(self) -> Service:
        """The collector, not started."""
        command = [*COLLECTOR, "run", "--config", str(self.collector_toml), "--ready-file", str(self.ready_file)]
        return Service("collector", command, self.folder / "collector.log")

    def start_collector(self, timeout_s: float = 60.0) -> Service:
        """The collector, ready. Its address is in `address` from then on."""
        self.ready_file.unlink(missing_ok=True)
        service = self.collector()
        service.start()
        try:
            service.wait_until(self.ready_file.exists, timeout_s)
        except BaseException:
            service.kill()
            raise
        self._running = service
        return service

    @property
    def address(self) -> str:
        """Where the collector that is ready listens."""
        return self.ready_file.read_text().strip()

    def agent_toml(self, name: str, settings: str = "", collector: str = "") -> Path:
        """Issue a certificate to the agent `name`, if it has none yet, and write its configuration.

        `settings` is more TOML for the end; `collector` the address, that of the collector that is ready if empty.
        """
        if not (self.certificates / f"{name}.pem").exists():
            pki.issue(self.certificates, name, "agent")
        path = self.folder / f"{name}.toml"
        path.write_text(
            f"""# Made by the demo.
[agent]
name = "{name}"

{self._tls("tls", name)}
[uplink]
collector = "{collector or self.address}"
reconnect_seconds = 1.0
drain_seconds = 30.0

[spool]
directory = {_toml(self.folder / f"spool-{name}")}

[health]
interval_seconds = 1.0

[sources]
state_directory = {_toml(self.folder / f"state-{name}")}
{settings}"""
        )
        return path

    def agent(self, config: Path) -> Service:
        """The agent with this configuration, not started."""
        return Service(f"agent {config.stem}", [*AGENT, "run", "--config", str(config)], config.with_suffix(".log"))

    def query(self, sql: str, timeout_s: float = 60.0) -> list[dict[str, Any]]:
        """Rows of a SELECT, times in UTC: from the collector if it runs, else by the command that people use."""
        if self._running is not None and self._running.running:
            answer = query.run_query(configuration.load(self.collector_toml).store, sql, query.FORMS["json"], utc=True)
        else:
            command = [*self.query_command(sql), "--json", "--utc"]
            done = subprocess.run(command, capture_output=True, timeout=timeout_s, check=False)
            if done.returncode != 0:
                words = done.stderr.decode(errors="replace").strip()
                raise ServiceError(f"query ended with {done.returncode}: {words}")
            answer = done.stdout
        return [json.loads(line) for line in answer.splitlines()]

    def query_command(self, sql: str) -> list[str]:
        """The command line that asks the store."""
        return [*COLLECTOR, "query", "--config", str(self.collector_toml), sql]

    def _tls(self, table: str, name: str) -> str:
        names = {"authority": "authority.pem", "certificate": f"{name}.pem", "key": f"{name}.key"}
        lines = [f"{key} = {_toml(self.certificates / file)}" for key, file in names.items()]
        return "\n".join([f"[{table}]", *lines, ""])


def _toml(path: Path) -> str:
    return json.dumps(str(path))


def _die_with_parent() -> None:
    # Runs in the child between fork and exec: if we are killed, the kernel ends the service too.
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
