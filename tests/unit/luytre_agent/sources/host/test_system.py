from __future__ import annotations

import platform
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from luytre_agent.sources.host import system

MOUNTINFO = (
    b"22 27 0:21 / /proc rw,relatime - proc proc rw\n"
    b"23 27 8:1 /srv/x /mnt/a\\040b ro,nosuid shared:1 master:2 - ext4 /dev/sda1 rw\n"
    b"24 27 0:4 net:[1] /run/netns/a rw - nsfs nsfs rw\nnonsense\n"
)


def test_mounts() -> None:
    assert system.mounts(MOUNTINFO) == {
        "/proc": {"type": "proc", "source": "proc", "inside": "", "options": "rw,relatime"},
        "/mnt/a b": {"type": "ext4", "source": "/dev/sda1", "inside": "/srv/x", "options": "ro,nosuid"},
    }


def test_modules() -> None:
    data = b"evil 16384 0 - Live 0x0000000000000000 (OE)\nxfs 900 2 a,b, Live 0x0\nnonsense\n"
    assert system.modules(data) == {"evil": {"size": "16384", "taints": "OE"}, "xfs": {"size": "900", "taints": ""}}


def test_os_release() -> None:
    assert system.os_release(b"NAME='A B'\nVERSION_ID=\"12\nHOME=x\n") == {
        "operating system": {"name": "A B", "version": '"12'}
    }


def test_this_host() -> None:
    root = Path("/")
    assert system.read_kernel(root)["linux"]["release"] == platform.release()
    assert "/proc" in system.read_mounts(root)
    names = ["kernel.randomize_va_space", "kernel.none_such", "../../etc/passwd"]
    assert system.read_sysctls(root, names).keys() == {"kernel.randomize_va_space"}


def test_a_setting_cannot_lead_out_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    assert system.read_sysctls(tmp_path, ["/../../secret", ".././secret"]) == {}


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    system.mounts(data)
    system.mounts(b"1 2 3 / / rw" + data)
    system.modules(data)
    system.os_release(b"NAME=" + data)
