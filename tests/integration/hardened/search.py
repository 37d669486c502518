"""
The search for values and keys in bytes at rest, whatever form they took on the way there.

It finds what lies there as it is or in the spellings below, not what was compressed or encrypted: where a server
compresses by default, a test has to switch that off.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgpack
import sqlalchemy as sa

from stack.airflow import AirflowStack

LEAST_BYTES = 8
"""What is shorter occurs by accident once it is spelled in base64."""


def spellings_of_text(text: str) -> set[bytes]:
    """Return a text as UTF-8, which MessagePack, Arrow and JSON contain, and as UTF-16, each in every spelling."""
    encoded = (text.encode(encoding) for encoding in ("utf-8", "utf-16-le", "utf-16-be"))
    return {spelling for one in encoded for spelling in spellings(one)}


def spellings_of_number(number: int) -> set[bytes]:
    """Return a number in digits with and without separators, as MessagePack packs it and as Arrow lays it out."""
    forms = [msgpack.packb(number), number.to_bytes(8, "little"), number.to_bytes(8, "big")]
    return {str(number).encode(), f"{number:,}".encode()}.union(*map(spellings, forms))


def spellings(raw: bytes) -> set[bytes]:
    """Return bytes raw, in hexadecimal, as Python and JSON show them, and in base64 at each of its three offsets."""
    shown = repr(raw)[2:-1]
    spelled = {raw, raw.hex().encode(), raw.hex().upper().encode(), shown.encode(), json.dumps(shown)[1:-1].encode()}
    if len(raw) >= LEAST_BYTES:
        spelled |= {core for offset in range(3) for core in _base64_cores(raw, offset)}
    return spelled


def _base64_cores(raw: bytes, offset: int) -> set[bytes]:
    """Return what base64 makes of ``raw`` behind ``offset`` other bytes, less the digits that depend on neighbours."""
    first, last = -(-offset * 8 // 6), (offset + len(raw)) * 8 // 6
    behind = bytes(offset) + raw
    return {encode(behind)[first:last] for encode in (base64.b64encode, base64.urlsafe_b64encode)}


def places_of(spelled: Iterable[bytes], haystacks: Mapping[str, bytes]) -> list[str]:
    """Return the names of the haystacks in which one of ``spelled`` occurs."""
    wanted = set(spelled)
    assert wanted
    assert haystacks
    return [name for name, content in haystacks.items() if any(spelling in content for spelling in wanted)]


def dump_of_database(stack: AirflowStack) -> dict[str, bytes]:
    """Return the content of each column of each table of the metadata database, by ``table.column``."""
    names = sa.inspect(sa.create_engine(stack.variables["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])).get_table_names()
    dump: dict[str, list[bytes]] = {}
    for table in names:
        for row in stack.metadata.query(f'SELECT * FROM "{table}"'):
            for column, content in row.items():
                dump.setdefault(f"{table}.{column}", []).append(_as_bytes(content))
    return {place: b"\n".join(contents) for place, contents in dump.items()}


def content_of(folder: Path) -> dict[str, bytes]:
    """Return the content of each file below a folder, by its path there."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _as_bytes(content: Any) -> bytes:
    if isinstance(content, (bytes, memoryview)):
        return bytes(content)
    text = content if isinstance(content, str) else json.dumps(content, default=str, ensure_ascii=False)
    return text.encode()
