"""What the agent itself consists of on this host: its changes are watched like those of accounts and units.

The spool is watched only where the kernel names who did something (fanotify): there the agent's own writing is left
out. Its files are not hashed; what is altered in them the collector notices by the hash chain.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import luytre_common

import luytre_agent

_PROGRAM = "luytre-agent"


@dataclass(frozen=True)
class Own:
    """places: files and folders, absolute. spool: the folder that only we write to; empty for none."""

    places: tuple[str, ...] = ()
    spool: str = ""


def own_parts(spool: Path, files: Iterable[Path]) -> Own:
    """Our programs, `files` (configuration, certificate, key) and the spool."""
    given = {os.path.abspath(one) for one in files}  # noqa: PTH100 - the name as given, no link followed
    programs = {str(Path(str(package.__file__)).parent) for package in (luytre_agent, luytre_common)}
    started = Path(sys.argv[0])
    if started.name == _PROGRAM and started.is_absolute():
        programs.add(str(started))
    return Own(tuple(sorted(given | programs)), os.path.abspath(spool))  # noqa: PTH100
