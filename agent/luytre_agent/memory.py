"""Giving memory back: what the start and bursts took would else stay with us for good (mallopt(3), malloc_trim(3))."""

from __future__ import annotations

import ctypes
import gc

# malloc.h of glibc
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
#: Larger blocks are mapped by themselves, and so given back as soon as they are freed.
_MAPPED_BYTES = 512 << 10
#: Few threads allocate much at a time; the default, eight a core, holds a rest of every burst in each.
_ARENAS = 2

_libc = ctypes.CDLL(None)


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
