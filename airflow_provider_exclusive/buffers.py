"""Bytes on their way: what codecs, cipher and drivers pass on, and memory for large payloads."""

from __future__ import annotations

import mmap
from typing import Final

Chunk = bytes | bytearray | memoryview
"""
Bytes, or a view of plain bytes. What can be written to is memory that nothing else uses, so a decoded value may keep
it.
"""

_HUGE_PAGE_BYTES: Final = 1 << 21


def fresh_memory(size: int) -> bytearray | memoryview:
    """
    Return zeroed memory that nothing else uses.

    Much of it comes in huge pages: the first touch of a page costs about as much whatever its size, and a payload's
    memory is touched once.

    :param size: bytes.
    :raises MemoryError: if there is not as much.
    """
    if size < _HUGE_PAGE_BYTES or not hasattr(mmap, "MADV_HUGEPAGE"):
        return bytearray(size)
    whole_pages = -(-size // _HUGE_PAGE_BYTES) * _HUGE_PAGE_BYTES  # only then does the kernel align them
    try:
        pages = mmap.mmap(-1, whole_pages, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        pages.madvise(mmap.MADV_HUGEPAGE)
    except OSError:  # no huge pages in this kernel; or no memory, of which a bytearray complains as one expects
        return bytearray(size)
    return memoryview(pages)[:size]
