"""Hosts are told apart without being named."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from luytre_agent.machine import kernel_boot_id, machine_id


def test_an_id_of_our_own(tmp_path: Path) -> None:
    file, second = tmp_path / "machine-id", tmp_path / "dbus"
    file.write_text("0123456789abcdef0123456789abcdef\n")
    found = machine_id((file,))
    assert found == hmac.new(b"luytre machine 1", b"0123456789abcdef0123456789abcdef", hashlib.sha256).hexdigest()
    second.write_text("0123456789ABCDEF0123456789ABCDEF")
    assert machine_id((tmp_path / "none", second)) == found


def test_none(tmp_path: Path) -> None:
    file = tmp_path / "machine-id"
    file.write_text("uninitialized\n")
    assert machine_id((file, tmp_path / "none")) == ""


def test_the_boot() -> None:
    assert len(kernel_boot_id()) == 36
    assert kernel_boot_id() == kernel_boot_id()
