from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from luytre_agent.sources.host.packages import dpkg, marks, read, rpm

STATUS = b"""Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36
Description: library
 Version: 9

Package: libc6
Status: install ok installed
Architecture: i386
Version: 2.36

Package: gone
Status: deinstall ok config-files
Version: 1

Package: torn
Status: install ok half-installed
Version: 3"""


def test_dpkg() -> None:
    assert dpkg(STATUS) == {
        "libc6": {"version": "2.36", "architecture": "amd64", "status": ""},
        "libc6:i386": {"version": "2.36", "architecture": "i386", "status": ""},
        "torn": {"version": "3", "architecture": "", "status": "install ok half-installed"},
    }


def test_rpm() -> None:
    data = b"bash\t(none)\t5.1-9\tx86_64\nkernel\t1\t5-2\tx86_64\nkernel\t1\t5-1\tx86_64\nnonsense\n"
    assert rpm(data) == {
        "bash": {"version": "5.1-9", "architecture": "x86_64"},
        "kernel": {"version": "1:5-1,1:5-2", "architecture": "x86_64"},
    }


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    dpkg(b"Package: " + data)
    rpm(data)


@pytest.mark.skipif(not Path("/var/lib/dpkg/status").exists(), reason="no dpkg here")
def test_the_same_as_dpkg_says() -> None:
    listed = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package}\t${Version}\t${db:Status-Status}\n"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    expected = {
        line.split("\t")[0]: line.split("\t")[1] for line in listed.splitlines() if line.endswith("\tinstalled")
    }
    found = read(Path("/"))
    assert {name: found[name]["version"] for name in expected} == expected


def test_marks_change_with_the_file(tmp_path: Path) -> None:
    before = marks(tmp_path)
    (tmp_path / "var/lib/dpkg").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").write_bytes(STATUS)
    assert marks(tmp_path) != before
    assert read(tmp_path)["libc6"]["version"] == "2.36"
