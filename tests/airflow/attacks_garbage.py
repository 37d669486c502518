"""What people write into the ``conf`` of a run by hand, and what the operator writes there."""

from __future__ import annotations

from typing import Any

GARBAGE = (
    "none", "empty", "is null", "is text", "is a list", "other case", "nested", "field too many", "field missing", "true for 1",
    "number as text", "index too small", "index too large", "id is a number", "id with NUL", "id no text",
    "the record itself",
)  # fmt: skip
TO_NO_TASK = "index too large"
"""The only one that is well-formed: it is as if the task that it names had withdrawn its record."""


def pointer_to(place: Any) -> dict[str, Any]:
    return {"dag_id": place.dag, "run_id": place.run, "task_id": place.task, "map_index": place.map_index}


def garbage_conf(kind: str, trigger: Any, run: Any) -> Any:
    pointer = pointer_to(trigger)
    confs = {
        "none": None,
        "empty": {},
        "is null": {"exclusive": None},
        "is text": {"exclusive": str(pointer)},
        "is a list": {"exclusive": [pointer]},
        "other case": {"Exclusive": pointer},
        "nested": {"exclusive": {"exclusive": pointer}},
        "field too many": {"exclusive": pointer | {"key": "rows"}},
        "field missing": {"exclusive": {name: pointer[name] for name in ("dag_id", "run_id", "task_id")}},
        "true for 1": {"exclusive": pointer | {"map_index": True}},
        "number as text": {"exclusive": pointer | {"map_index": str(trigger.map_index)}},
        "index too small": {"exclusive": pointer | {"map_index": -2}},
        "index too large": {"exclusive": pointer | {"map_index": 2**40}},
        "id is a number": {"exclusive": pointer | {"run_id": 7}},
        "id with NUL": {"exclusive": pointer | {"task_id": f"{trigger.task}\x00"}},
        "id no text": {"exclusive": pointer | {"dag_id": f"{trigger.dag}\ud800"}},
        "the record itself": {
            "exclusive": {"dag_id": run.dag, "run_id": run.run, "keys": {"rows": pointer | {"key": "rows"}}}
        },
    }
    return confs[kind]
