"""Keeps the memory of one password hash for the next: to get 46 MiB from the kernel costs half as much as the hash.

By default glibc returns so large a block with each `free`, and the kernel then clears each of its pages anew. The
settings are those of this process (mallopt(3)). On a system without glibc nothing is changed.
"""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_MIB = 1 << 20

_libc = ctypes.CDLL(None)


def keep_freed_blocks(mib_max: int) -> None:
    """Keep freed blocks of up to so much in all, until `give_back`. To be called before threads are started."""
    if hasattr(_libc, "mallopt"):
        # One heap for all threads, since that of the first thread alone can be given back.
        _libc.mallopt(_M_ARENA_MAX, 1)
        _libc.mallopt(_M_MMAP_THRESHOLD, mib_max * _MIB)
        _libc.mallopt(_M_TRIM_THRESHOLD, mib_max * _MIB)


def give_back() -> None:
    """Return to the kernel what is free."""
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)
