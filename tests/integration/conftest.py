"""Real processes for every test, and none of them left behind."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from deploy.demo.services import Service, Site

Start = Callable[[Service], Service]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A folder with an authority and a collector's configuration, at a port that stays the same over restarts."""
    made = Site(tmp_path)
    made.make(listen=f"127.0.0.1:{free_port()}")
    return made


@pytest.fixture
def ours() -> Iterator[Start]:
    """Remembers services, and ends those that still run when the test is over."""
    services: list[Service] = []

    def remember(service: Service) -> Service:
        services.append(service)
        return service

    yield remember
    for service in reversed(services):
        service.kill()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def command(arguments: Sequence[str | Path], timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Run a command as a user would."""
    texts = [str(one) for one in arguments]
    return subprocess.run(
        texts, capture_output=True, text=True, timeout=timeout_s, check=False, stdin=subprocess.DEVNULL
    )
