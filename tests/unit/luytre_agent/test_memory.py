"""Memory is given back, and nothing that is needed is lost with it."""

from __future__ import annotations

import json
import subprocess
import sys

from luytre_agent.memory import clean_mappings

SMAPS = """\
55d0c0000000-55d0c0100000 r-xp 00000000 fd:00 11 /usr/lib/a library.so.1.2
Private_Dirty:         0 kB
55d0c0100000-55d0c0200000 r--p 00100000 fd:00 11 /usr/lib/a library.so.1.2
Private_Dirty:         4 kB
55d0c0200000-55d0c0300000 rw-p 00200000 fd:00 11 /usr/lib/a library.so.1.2
Private_Dirty:         0 kB
55d0c0400000-55d0c0500000 r--p 00000000 00:00 0 [vvar]
Private_Dirty:         0 kB
55d0c0500000-55d0c0600000 r--s 00000000 fd:00 12 /dev/ring
Private_Dirty:         0 kB
55d0c0600000-55d0c0700000 r--p 00000000 fd:00 13 /usr/lib/another.so
Private_Dirty:         0 kB
55d0c0700000-55d0c0800000 r--p 00000000 fd:00 14 /usr/lib/replaced.so (deleted)
Private_Dirty:         0 kB
55d0c0800000-55d0c0900000 r--p 00000000 fd:00 15 /usr/lib/locale/locale-archive
Private_Dirty:         0 kB
"""

GIVES_BACK = """
import re, ssl, sqlite3, luytre_agent.app
from pathlib import Path
from luytre_agent import memory

def mapped():
    return int(re.search(r"RssFile:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

before = mapped()
memory.forget_code()
after = mapped()
import json
print(json.dumps([before, after, sum(json.loads("[1, 2, 3]"))]))
"""


def test_only_what_is_whole_in_a_file_is_let_go() -> None:
    assert list(clean_mappings(SMAPS.splitlines())) == [
        (0x55D0C0000000, 0x55D0C0100000),
        (0x55D0C0600000, 0x55D0C0700000),
    ]


def test_code_is_let_go_and_comes_back() -> None:
    done = subprocess.run([sys.executable, "-c", GIVES_BACK], capture_output=True, text=True, check=True)
    before, after, total = json.loads(done.stdout)
    assert after < before
    assert total == 6
