"""A task walks over the outputs of a mapped one: few requests, and a refusal that ends the walk at its item."""

from __future__ import annotations

import pytest

from tests.runs import assert_succeeded

DAG = "walks"
COUNT = 12


@pytest.fixture(scope="module")
def run_id(hardened) -> str:
    run_id = hardened.run(DAG, timeout=180)
    assert_succeeded(hardened, DAG, run_id)
    return run_id


@pytest.fixture
def row_of(hardened, run_id):
    """``row_of(task_id, map_index)``: what the metadata database holds now."""

    def row_of(task_id, map_index=-1):
        rows = hardened.xcom_rows(dag_id=DAG, run_id=run_id)
        return next(row for row in rows if (row.task_id, row.map_index) == (task_id, map_index))

    return row_of


@pytest.fixture
def walk_again(hardened, run_id, printed):
    """Run the walker once more, and return what became of its walk over the exclusive outputs."""

    def walk_again():
        hardened.clear(DAG, run_id, ["walk"])
        assert hardened.wait(DAG, run_id) == "success"
        return printed(DAG, run_id, "walk")[-2]

    return walk_again


def test_all_items_arrive_in_five_requests(run_id, printed):
    exclusive, plain = printed(DAG, run_id, "walk")[:2]

    assert exclusive == plain == {"arrived": COUNT, "requests": 5, "ended": "complete"}


def test_a_task_outside_the_scope_gets_nothing(run_id, printed):
    (told,) = printed(DAG, run_id, "trespass")

    assert told["arrived"] == 0
    assert told["ended"].startswith("AccessDeniedError: ")


def test_a_copied_reference_ends_the_walk_at_its_item(hardened, row_of, walk_again):
    genuine = row_of("stones", 8)
    hardened.metadata.overwrite(genuine, row_of("gem").value)
    try:
        told = walk_again()
    finally:
        hardened.metadata.overwrite(genuine, genuine.value)

    assert told["arrived"] == 8
    assert told["ended"].startswith("EnvelopeError: ")


def test_a_refused_item_ends_the_walk_at_its_item(hardened, run_id, row_of, walk_again):
    old = row_of("stones", 5)
    hardened.clear(DAG, run_id, ["stones"])
    assert hardened.wait(DAG, run_id, timeout=180) == "success"
    hardened.metadata.overwrite(row_of("stones", 5), old.value)  # of an earlier try, which the API server refuses

    told = walk_again()

    assert told["arrived"] == 5
    assert told["ended"].startswith("AccessDeniedError: ")
    assert "earlier try" in told["ended"]
