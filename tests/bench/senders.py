"""Sender processes of the collector's benches, and what a process of ours holds in memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from luytre_collector import pki

from deploy.demo.services import Service, ServiceError, Site

_ROOT = Path(__file__).parents[2]


def send(site: Site, file: Path, names: Sequence[str], rounds: int) -> list[dict[str, Any]]:
    """Several agents send a file at the same time, as fast as they can; what each says at the end."""
    processes = [start(site, file, name, rounds, 0) for name in names]
    answers = [process.communicate(timeout=600)[0] for process in processes]
    if any(process.returncode for process in processes):
        raise ServiceError("a sender failed; see above")
    return [json.loads(answer) for answer in answers]


def start(site: Site, file: Path, name: str, rounds: int, rows_per_second: int) -> subprocess.Popen[bytes]:
    """One agent, with a certificate of its own."""
    pki.issue(site.certificates, name, "agent")
    command = [sys.executable, "-m", "tests.bench.sender", site.address, str(site.certificates), name, str(file),
               str(rounds), str(rows_per_second)]  # fmt: skip
    return subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE)


def resident(service: Service, key: str) -> int:
    """Bytes: `VmRSS` now, `VmHWM` at most so far."""
    for line in Path(f"/proc/{service.pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    return 0
