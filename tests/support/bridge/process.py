"""Bridges as processes that a test starts and stops."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).parents[3]


@dataclass
class Bridge:
    """One process with its port on the loopback interface; a context manager."""

    folder: Path
    options: Sequence[str] = ()
    port: int = 0
    process: subprocess.Popen[bytes] = field(init=False)

    def __enter__(self) -> Bridge:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, on the same port as before if it ran before; returns when it listens."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "tests.support.bridge", str(self.folder), "--port", str(self.port)]
        self.process = subprocess.Popen(
            [*command, *self.options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ, "TZ": "UTC"},
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the bridge ended with {self.process.wait()}"
        self.port = int(line)

    def stop(self) -> None:
        """Let it end."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.signal(signal.SIGCONT)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.kill()
        self.process.stdout.close()

    def kill(self) -> None:
        """End it as a power cut would."""
        self.signal(signal.SIGKILL)
        self.process.wait(timeout=20)

    def signal(self, number: signal.Signals) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"


def write_config(
    path: Path,
    grants: Sequence[str] | None = None,
    settings: dict[str, str] | None = None,
    policies: Mapping[str, str] | None = None,
) -> Path:
    """A configuration of ClickHouse whose only user may do what `grants` say (`GRANT SELECT ON luytre.*`), with the
    settings of a profile, and row policies by table of luytre. For `Bridge(options=["--config", path])`."""
    allowed = "".join(f"<query>{escape(grant)}</query>" for grant in grants or [])
    profile = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in (settings or {}).items())
    filters = "".join(
        f"<{table}><filter>{escape(condition)}</filter></{table}>" for table, condition in (policies or {}).items()
    )
    users = path.with_suffix(".users.xml")
    users.write_text(
        "<clickhouse><users><default><password></password><networks><ip>::/0</ip></networks>"
        "<profile>default</profile><quota>default</quota>"
        + (f"<grants>{allowed}</grants>" if grants is not None else "")
        + (f"<databases><luytre>{filters}</luytre></databases>" if filters else "")
        + f"</default></users><profiles><default>{profile}</default></profiles><quotas><default/></quotas></clickhouse>"
    )
    path.write_text(f"<clickhouse><users_config>{users}</users_config></clickhouse>")
    return path
