"""What tells this host from others, and this boot of it from the one before."""

from __future__ import annotations

import hmac
import re
from pathlib import Path

_KERNEL_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
#: machine-id(5); the second is where D-Bus keeps it without systemd.
_MACHINE_IDS = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
#: machine-id(5) asks that the id itself leaves the host never, and that each application derives its own from it.
_APPLICATION = b"luytre machine 1"
_ID = re.compile(r"[0-9a-f]{32}")


def kernel_boot_id() -> str:
    """The kernel's name for its present boot (random(4))."""
    return _KERNEL_BOOT_ID.read_text().strip()


def machine_id(paths: tuple[Path, ...] = _MACHINE_IDS) -> str:
    """HMAC-SHA-256 of the id of this installation, hexadecimal; empty if it has none."""
    for path in paths:
        try:
            found = path.read_text(errors="replace").strip().lower()
        except OSError:
            continue
        if _ID.fullmatch(found):
            return hmac.digest(_APPLICATION, found.encode(), "sha256").hex()
    return ""
