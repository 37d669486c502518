"""
Masks exclusive values in the logs, for tasks that ask for it by ``mask=True``.

Airflow's secrets masker replaces a text wherever it is logged. It holds each text in memory and searches every line for
all of them, so only short texts, and not too many, can be masked.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any, Final

log = logging.getLogger(__name__)

MOST_TEXTS: Final = 100
MOST_CHARACTERS: Final = 4096
_SEQUENCES: Final = (list, tuple, set, frozenset)


def mask(value: Any) -> None:
    """Let Airflow show ``***`` for ``value`` and the texts in it, in the logs of this task from now on."""
    from airflow.sdk.log import mask_secret

    texts = list(dict.fromkeys(_texts(value)))
    short: list[Any] = [text for text in texts if len(text) <= MOST_CHARACTERS][:MOST_TEXTS]
    if short:
        mask_secret(short)  # in one request to the supervisor, which writes the log
    if len(short) < len(texts):
        log.warning(
            "%d texts of an exclusive value with mask=True are not masked in this log: of one value, the first %d "
            "texts of at most %d characters are.",
            len(texts) - len(short),
            MOST_TEXTS,
            MOST_CHARACTERS,
        )


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts in ``value``, but not the keys of mappings; each container is searched once."""
    waiting, seen = [value], set()
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            yield part
        elif isinstance(part, (Mapping, *_SEQUENCES)) and id(part) not in seen:
            seen.add(id(part))
            parts = part.values() if isinstance(part, Mapping) else part
            waiting.extend(reversed(list(parts)))
