"""Reuses the memory of one password hash for the next: fetching 46 MiB from the kernel costs half as much as a hash.

By default glibc returns so large a block with each `free`, and the kernel then clears each page again. The settings
apply to this process (mallopt(3)). Without glibc nothing changes.
"""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_MIB = 1 << 20

_libc = ctypes.CDLL(None)


def retain_freed_blocks(mib_max: int) -> None:
    """Retain freed blocks of up to `mib_max` in all, until `trim`. Call it before any thread starts."""
    if hasattr(_libc, "mallopt"):
        # One arena for all threads, since malloc_trim can return that of the main thread alone.
        _libc.mallopt(_M_ARENA_MAX, 1)
        _libc.mallopt(_M_MMAP_THRESHOLD, mib_max * _MIB)
        _libc.mallopt(_M_TRIM_THRESHOLD, mib_max * _MIB)


def trim() -> None:
    """Return free blocks to the kernel."""
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)
