from __future__ import annotations

import mmap
from types import SimpleNamespace

import pytest

from airflow_provider_exclusive import buffers
from airflow_provider_exclusive.buffers import fresh_memory

SIZES = [0, 1, (1 << 21) - 1, 1 << 21, (1 << 21) + 1, 5_000_000]


def use(size):
    """Fill all of it, and see that a second one of the same size is zeroed and apart."""
    first, second = fresh_memory(size), fresh_memory(size)
    view = memoryview(first)
    view[:] = b"x" * size
    assert len(first) == len(second) == size
    assert bytes(second) == bytes(size)
    assert bytes(first) == b"x" * size


@pytest.mark.parametrize("size", SIZES)
def test_it_is_as_large_as_asked_for_zeroed_and_nobody_elses(size):
    use(size)


class Refusing(mmap.mmap):
    def madvise(self, *_):
        raise OSError(22, "Invalid argument")


def no_memory(*_, **__):
    raise OSError(12, "Cannot allocate memory")


@pytest.mark.parametrize("replacement", [Refusing, no_memory], ids=["no huge pages", "no mapping"])
@pytest.mark.parametrize("size", SIZES)
def test_where_huge_pages_cannot_be_had_it_is_ordinary_memory(mocker, replacement, size):
    mocker.patch.object(buffers.mmap, "mmap", replacement)
    use(size)


@pytest.mark.parametrize("size", SIZES)
def test_where_huge_pages_are_unknown_it_is_ordinary_memory(mocker, size):
    mocker.patch.object(buffers, "mmap", SimpleNamespace())
    use(size)


def test_what_lies_in_it_stays_as_long_as_a_view_of_it():
    view = memoryview(fresh_memory(1 << 22))[5:10]
    view[:] = b"12345"
    assert bytes(view) == b"12345"


def test_more_than_there_can_be_is_a_memory_error():
    with pytest.raises(MemoryError):
        fresh_memory(1 << 60)
