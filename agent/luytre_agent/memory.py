"""Giving memory back: what the start and bursts took would else stay with us for good.

By mallopt(3), malloc_trim(3), and madvise(2) on the code that only the start has needed.
"""

from __future__ import annotations

import ctypes
import gc
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

# malloc.h of glibc; asm-generic/mman-common.h
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
_MADV_DONTNEED = 4
#: Larger blocks are mapped by themselves, and so given back as soon as they are freed.
_MAPPED_BYTES = 512 << 10
#: Few threads allocate much at a time; the default, eight a core, holds a rest of every burst in each.
_ARENAS = 2

#: A private mapping of a library that cannot be written to, in /proc/PID/smaps. Only libraries: they stay where they
#: are for good, while the place of another file may be given to somebody else before we get there.
_READ_ONLY = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ \S+ +/.+\.so[0-9.]*$")
_ANY = re.compile(r"[0-9a-f]+-[0-9a-f]+ ")

_libc = ctypes.CDLL(None, use_errno=True)


def be_frugal() -> None:
    """For the whole process; to be called before there are threads. Other C libraries than glibc know better."""
    if hasattr(_libc, "mallopt"):
        _libc.mallopt(_M_ARENA_MAX, _ARENAS)
        _libc.mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)


def started() -> None:
    """Everything that was made until now stays: no garbage collection need look at it again."""
    gc.collect()
    gc.freeze()
    trim()


def trim() -> None:
    """Give unused pages back to the kernel."""
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)


def forget_code() -> None:
    """Let go of the pages of libraries: what is still needed comes back from the page cache, what only
    the start has needed does not."""
    try:
        smaps = Path("/proc/self/smaps").read_text()
    except OSError:
        return
    for begin, end in clean_mappings(smaps.splitlines()):
        _libc.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), _MADV_DONTNEED)


def clean_mappings(smaps: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Read-only mappings of libraries in which no page was changed (by relocation, say): all of it is in the file."""
    place: tuple[int, int] | None = None
    for line in smaps:
        if _ANY.match(line):
            match = _READ_ONLY.match(line)
            place = (int(match[1], 16), int(match[2], 16)) if match else None
        elif place and line.startswith("Private_Dirty:") and line.split()[1] == "0":
            yield place
