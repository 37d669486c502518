"""How the outputs are written that a trigger hands over or collects, where they lie, and how one is collected."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, task, task_group
from airflow.sdk.definitions.xcom_arg import PlainXComArg

from airflow_provider_exclusive.access.hand_over import Source
from airflow_provider_exclusive.definitions.hook import consumers
from airflow_provider_exclusive.definitions.inputs import exclusive_input
from airflow_provider_exclusive.exceptions import HandOverError, InvalidScopeError
from airflow_provider_exclusive.execution_time import dag_runs
from airflow_provider_exclusive.operators import outputs
from airflow_provider_exclusive.scopes.identity import Coordinate

TI = SimpleNamespace(dag_id="etl", run_id="run-1", map_index=2)


@pytest.fixture
def dag():
    """A Dag that is being defined, with one task ``extract``."""
    with DAG("etl", schedule=None) as dag:
        EmptyOperator(task_id="extract")
        yield dag


@pytest.fixture
def extract(dag):
    return dag.get_task("extract")


class TestKeysThatAreRefused:
    @pytest.mark.parametrize(("keys", "kind"), [(["extract"], "list"), ("extract", "str"), (7, "int")])
    def test_keys_that_are_no_mapping(self, dag, keys, kind):
        with pytest.raises(InvalidScopeError, match=f"exclusive_keys must be a mapping .* of type {kind}"):
            outputs.parse_keys(keys)

    @pytest.mark.parametrize("name", ["", None, 7])
    def test_a_name_that_is_no_text(self, dag, name):
        with pytest.raises(InvalidScopeError, match=f"exclusive_keys has the invalid name {name!r}"):
            outputs.parse_keys({name: "extract"})

    def test_a_task_that_is_not_defined(self, dag):
        EmptyOperator(task_id="clean")
        with pytest.raises(InvalidScopeError, match="names task 'extrcat', which is not defined yet") as refusal:
            outputs.parse_keys({"rows": "extrcat"})
        assert "defined so far: 'clean', 'extract'. Define it before this operator" in str(refusal.value)

    def test_a_task_id_without_a_dag(self):
        with pytest.raises(InvalidScopeError, match="defined so far: no Dag"):
            outputs.parse_keys({"rows": "extract"})

    @pytest.mark.parametrize("combine", [lambda x: x.map(str), lambda x: x.zip(x), lambda x: x.concat(x)])
    def test_outputs_that_are_combined(self, extract, combine):
        with pytest.raises(InvalidScopeError, match=r"exclusive_keys\['rows'\] combines or maps outputs"):
            outputs.parse_keys({"rows": combine(extract.output)})

    @pytest.mark.parametrize("default", [3, None])
    def test_an_input_with_a_default(self, dag, default):
        with pytest.raises(InvalidScopeError, match=r"with a default.*Write exclusive_input\('it'\) here"):
            outputs.parse_keys({"rows": exclusive_input("it", default=default)})

    @pytest.mark.parametrize("output", [("extract",), ("extract", "a", 0), ("extract", 3), ("", "a"), "", None, 7, {}])
    def test_what_is_no_output(self, dag, output):
        with pytest.raises(InvalidScopeError, match=r"exclusive_keys\['rows'\] is .*; expected an output of this Dag"):
            outputs.parse_keys({"rows": output})


class TestKeysThatAreAccepted:
    def test_no_keys(self):
        assert outputs.parse_keys(None) == outputs.parse_keys({}) == {}

    @pytest.mark.parametrize(
        ("written", "key"),
        [("extract", "return_value"), (("extract", "rows"), "rows"), (["extract", "rows"], "rows")],
    )
    def test_a_task_id_alone_or_with_a_key(self, extract, written, key):
        found = outputs.parse_keys({"mine": written})["mine"]
        assert (found.operator, found.key) == (extract, key)

    def test_an_output_and_an_input_stay_as_they_are(self, extract):
        keys = {"output": extract.output, "input": exclusive_input("rows")}
        assert outputs.parse_keys(keys) == keys

    def test_a_given_dag_comes_before_the_current_one(self, dag):
        with DAG("other", schedule=None) as other:
            report = EmptyOperator(task_id="report")
        assert outputs.parse_keys({"rows": "report"}, dag=other)["rows"].operator is report


class TestCollect:
    @pytest.mark.parametrize("spec", ["summarise", ["summarise"], 7])
    def test_what_is_no_mapping_is_refused(self, spec):
        with pytest.raises(InvalidScopeError, match="collect must be a mapping from names to task ids"):
            outputs.parse_collect(spec)

    @pytest.mark.parametrize("where", ["", ("a", "b", "c"), None, ("a", 1), {}])
    def test_what_is_no_place_is_refused(self, where):
        with pytest.raises(InvalidScopeError, match=r"collect\['s'\] is .*; expected a task id or a pair"):
            outputs.parse_collect({"s": where})

    def test_an_output_of_this_dag_is_refused(self, extract):
        with pytest.raises(InvalidScopeError, match=r"collect\['s'\] is .* of type PlainXComArg"):
            outputs.parse_collect({"s": extract.output})

    def test_a_name_that_is_no_text_is_refused(self):
        with pytest.raises(InvalidScopeError, match="collect has the invalid name ''"):
            outputs.parse_collect({"": "summarise"})

    def test_nothing_may_be_collected(self):
        assert outputs.parse_collect(None) == outputs.parse_collect({}) == {}

    def test_a_place_is_a_task_and_a_key(self):
        written = {"task": "summarise", "pair": ("summarise", "count"), "list": ["summarise", "count"]}
        assert outputs.parse_collect(written) == {
            "task": ("summarise", "return_value"),
            "pair": ("summarise", "count"),
            "list": ("summarise", "count"),
        }


def locate(output, trigger=None):
    return outputs.locate(output, trigger or output.operator, TI)


class TestWhereAnOutputLies:
    def test_an_input_that_was_not_handed_over_is_nowhere(self):
        with (
            exclusive_input.overriding({"rows": 3}),
            pytest.raises(HandOverError, match="Test values are not stored"),
        ):
            locate(exclusive_input("rows"), EmptyOperator(task_id="hand_over"))

    def test_an_input_lies_where_this_run_was_told(self, mocker):
        found = Source(Coordinate("first", "run-0", "extract", -1, "rows"), is_exclusive=True)
        find = mocker.patch.object(outputs, "find_source", return_value=found)
        assert locate(exclusive_input("rows"), EmptyOperator(task_id="hand_over")) is found
        find.assert_called_once_with("rows")

    def test_an_output_lies_in_this_run_under_its_key(self, extract):
        at = Coordinate("etl", "run-1", "extract", -1, "rows")
        assert locate(PlainXComArg(extract, "rows")) == Source(at, is_exclusive=False)

    def test_an_output_with_a_scope_is_exclusive(self, dag):
        producer = PythonOperator(task_id="sealed", python_callable=print, pre_execute=consumers("load"))
        assert locate(producer.output).is_exclusive

    def test_a_mapped_task_means_all_its_instances(self, dag):
        mapped = task(task_id="mapped")(lambda x: x).expand(x=[1, 2])
        assert locate(mapped).at.map_index is None

    def test_in_a_mapped_group_it_is_that_of_the_sibling(self, dag):
        made = {}

        @task_group
        def group(x):
            made["output"] = task(task_id="extract")(lambda x: x)(x)
            made["trigger"] = EmptyOperator(task_id="hand_over")

        group.expand(x=[1, 2, 3])
        assert locate(made["output"], made["trigger"]).at.map_index == 2

    def test_from_outside_a_mapped_group_it_is_all(self, dag):
        made = {}

        @task_group
        def group(x):
            made["output"] = task(task_id="extract")(lambda x: x)(x)

        group.expand(x=[1, 2, 3])
        assert locate(made["output"], EmptyOperator(task_id="hand_over")).at.map_index is None


class RunThatEnded:
    """A task instance that knows the states of a triggered run's tasks."""

    def __init__(self, states=None):
        self.states = states

    def get_task_states(self, *, dag_id, task_ids, run_ids):
        assert (dag_id, task_ids, run_ids) == ("child", ["summarise"], ["run-7"])
        return self.states


def collect(ti=None, key="return_value"):
    return outputs.collect_one(
        "total", ("summarise", key), dag_id="child", run_id="run-7", ti=ti or RunThatEnded({"run-7": {}})
    )


class TestCollectingOne:
    @pytest.fixture
    def pull(self, mocker):
        return mocker.patch.object(dag_runs, "pull_result", return_value=dag_runs.MISSING)

    @pytest.mark.parametrize("states", [None, {}, {"run-7": None}, {"run-7": {}}, {"run-7": {"summarise_x": "failed"}}])
    def test_a_task_that_does_not_exist_is_told(self, pull, states):
        with pytest.raises(HandOverError) as missing:
            collect(RunThatEnded(states), key="count")
        assert str(missing.value) == (
            "collect={'total': …}: task 'summarise' of child (run run-7) does not exist, or was mapped over an empty "
            "list. Name a task of that Dag that runs each time."
        )

    @pytest.mark.parametrize(
        ("states", "told"),
        [
            ({"summarise": "skipped"}, "is 'skipped' and has not pushed 'return_value'"),
            ({"summarise_0": "success", "summarise_11": "failed"}, "is 'failed' and 'success' and has not"),
            ({"summarise_0": "success", "summarise_1": "success"}, r"\) is 'success' and has not"),
            ({"summarise_all": "failed", "summarise": "success"}, r"\) is 'success' and has not"),
        ],
    )
    def test_the_state_of_a_task_without_a_result_is_told(self, pull, states, told):
        with pytest.raises(HandOverError, match=told):
            collect(RunThatEnded({"run-7": states}))

    @pytest.mark.parametrize("value", ["a result", None, [], 0])
    def test_a_result_is_pulled_where_it_lies(self, pull, value):
        pull.return_value = value
        assert collect(key="count") is value
        pull.assert_called_once_with(Coordinate("child", "run-7", "summarise", None, "count"))


@pytest.mark.parametrize("parse", [outputs.parse_keys, outputs.parse_collect])
def test_a_refusal_begins_with_the_line_of_the_dag(parse):
    with pytest.raises(InvalidScopeError) as refusal:
        parse(["rows"])
    assert str(refusal.value).startswith(f"{__file__}:")
