"""
Masks exclusive values in the logs, for tasks that ask for it by ``mask=True``.

Airflow's secrets masker replaces a text wherever it is logged. It holds each text in memory and searches every line for
all of them, so only short texts, and not too many, can be masked.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from airflow_provider_exclusive.execution_time.parts import parts_of

log = logging.getLogger(__name__)

MOST_TEXTS: Final = 100
MOST_CHARACTERS: Final = 4096


def mask(value: Any) -> None:
    """Let Airflow show ``***`` for ``value`` and the texts in it, in the logs of this task from now on."""
    from airflow.sdk.log import mask_secret

    texts = list(dict.fromkeys(part for part in parts_of(value) if isinstance(part, str)))
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
