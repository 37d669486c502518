"""The type of bytes that codecs, cipher and drivers pass on, and memory for large values."""

from __future__ import annotations

import mmap
from typing import Final

Chunk = bytes | bytearray | memoryview
"""
Bytes, or a view of plain bytes. Nothing else uses memory that is writable, so a decoded value may keep it.
"""

_HUGE_PAGE_BYTES: Final = 1 << 21


def fresh_memory(size: int) -> bytearray | memoryview:
    """
    Return zeroed memory that nothing else uses.

    Large blocks use huge pages: the first access to a page costs about the same whatever its size, and the memory of a
    value is used only once.

    :param size: bytes.
    :raises MemoryError: if there is not enough memory.
    """
    if size < _HUGE_PAGE_BYTES or not hasattr(mmap, "MADV_HUGEPAGE"):
        return bytearray(size)
    whole_pages = -(-size // _HUGE_PAGE_BYTES) * _HUGE_PAGE_BYTES  # the kernel aligns only whole huge pages
    try:
        pages = mmap.mmap(-1, whole_pages, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        pages.madvise(mmap.MADV_HUGEPAGE)
    except OSError:  # no huge pages in this kernel; or no memory, and then bytearray raises MemoryError
        return bytearray(size)
    return memoryview(pages)[:size]
