"""Which outputs a trigger hands to its run, and what it writes down about that."""

from __future__ import annotations

import datetime
import json
import warnings
from dataclasses import replace

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import task, task_group
from airflow.sdk.exceptions import AirflowException
from airflow.serialization.serialized_objects import DagSerialization

from airflow_provider_exclusive import (
    ExclusiveTriggerDagRunOperator,
    consumers,
    exclusive_input,
    exclusive_task,
    wiring,
)
from airflow_provider_exclusive.access.hand_over import CONF_KEY, RECORD_KEY, Source, read_pointer
from airflow_provider_exclusive.definitions.declared_dag import DeclaredDag
from airflow_provider_exclusive.definitions.hook import find_hook
from airflow_provider_exclusive.definitions.parse_check import find_contradictions
from airflow_provider_exclusive.exceptions import InvalidScopeError
from airflow_provider_exclusive.execution_time import dag_runs
from airflow_provider_exclusive.format.reference import Reference, is_reference_row
from airflow_provider_exclusive.operators import trigger_dagrun
from airflow_provider_exclusive.scopes.identity import Coordinate
from airflow_provider_exclusive.xcom import pull, push
from tests.airflow.handing_over import Outcomes, Triggered, record_of
from tests.airflow.running import Run, a_dag
from tests.fakes import CountingDriver


def hand_over(**kwargs):
    """The operator under test, with arguments that seldom matter."""
    return ExclusiveTriggerDagRunOperator(
        **{"task_id": "hand_over", "trigger_dag_id": "child", "logical_date": None} | kwargs
    )


@exclusive_task(consumers=["*hand_over*"])
def extract(value="rows"):
    return value


@pytest.fixture
def nothing():
    """A run of a Dag that does nothing, to be triggered."""
    with a_dag() as child:
        EmptyOperator(task_id="nothing")
    return Triggered(child)


class TestBadArguments:
    def refused(self, *fragments: str, **kwargs) -> None:
        with a_dag():
            value = extract()
            arguments = {name: make(value) if callable(make) else make for name, make in kwargs.items()}
            with pytest.raises(InvalidScopeError) as caught:
                hand_over(**arguments)
        for fragment in fragments:
            assert fragment in str(caught.value)

    @pytest.mark.parametrize("keys", [["extract"], "extract", 7])
    def test_keys_that_are_no_mapping_are_refused(self, keys):
        self.refused("exclusive_keys", "mapping", "extract.output", exclusive_keys=keys)

    def test_an_output_without_a_name_for_it_is_refused(self):
        self.refused("mapping", exclusive_keys=lambda value: value)

    def test_an_unknown_task_is_refused_with_the_known_ones(self):
        self.refused("'extrcat'", "'extract'", "Define it before", exclusive_keys={"rows": "extrcat"})

    def test_a_task_id_without_a_dag_is_refused(self):
        with pytest.raises(InvalidScopeError, match="no Dag"):
            hand_over(exclusive_keys={"rows": "extract"})

    @pytest.mark.parametrize(
        "combine", [lambda value: value.map(str), lambda value: value.zip(value), lambda value: value.concat(value)]
    )
    def test_an_output_made_of_outputs_is_refused(self, combine):
        self.refused(
            "'rows'",
            ".map, .zip, .concat",
            "Hand over its parts",
            exclusive_keys=lambda value: {"rows": combine(value)},
        )

    @pytest.mark.parametrize(
        "output", [("extract",), ("extract", "key", 0), ("extract", 3), ("", "key"), "", None, 7, {}]
    )
    def test_what_is_no_output_is_refused(self, output):
        self.refused("exclusive_keys['rows']", "expected", "XComArg", exclusive_keys={"rows": output})

    def test_handing_over_an_input_with_a_default_is_refused(self):
        keys = {"rows": exclusive_input("rows", default=3)}
        self.refused("exclusive_keys['rows']", "default", "in the triggered Dag", exclusive_keys=keys)

    @pytest.mark.parametrize("name", ["", None, 7])
    def test_a_name_that_is_no_text_is_refused(self, name):
        self.refused("exclusive_keys", "'rows'", exclusive_keys={name: "extract"})

    @pytest.mark.parametrize(
        "collect",
        [
            "summarise",
            ["summarise"],
            {"": "summarise"},
            {"s": ""},
            {"s": ("a", "b", "c")},
            {"s": None},
            {"s": ("a", 1)},
        ],
    )
    def test_a_collect_that_names_no_output_is_refused(self, collect):
        self.refused("collect", "expected" if isinstance(collect, dict) else "mapping", collect=collect)

    def test_an_output_of_this_dag_cannot_be_collected(self):
        self.refused("collect['s']", "task id", collect=lambda value: {"s": value})

    def test_a_user_conf_under_the_pointer_key_is_refused(self):
        self.refused("'exclusive'", "another key", exclusive_keys={"rows": "extract"}, conf={CONF_KEY: 1})
        self.refused("'exclusive'", collect={"s": "summarise"}, conf={CONF_KEY: 1})
        with a_dag():
            assert hand_over(conf={CONF_KEY: 1}).conf == {CONF_KEY: 1}

    @pytest.mark.parametrize("argument", ["exclusive_keys", "collect"])
    def test_what_is_handed_over_cannot_be_expanded(self, argument):
        with a_dag(), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that the task was never mapped
            partial = ExclusiveTriggerDagRunOperator.partial(task_id="hand_over", trigger_dag_id="child")
            with pytest.raises(TypeError, match=f"unmappable or already specified.*{argument}"):
                partial.expand(**{argument: [{"rows": "extract"}]})
            del partial

    def test_invalid_keys_of_a_mapped_trigger_fail_at_parse_time(self):
        with a_dag(), pytest.raises(InvalidScopeError, match="'extrcat'"):
            ExclusiveTriggerDagRunOperator.partial(
                task_id="hand_over", trigger_dag_id="child", exclusive_keys={"rows": "extrcat"}
            )


class TestParseCheck:
    def test_handing_over_a_denied_output_is_an_error_with_a_fix(self):
        with a_dag() as dag:

            @exclusive_task(consumers={"count": ["hand_over"], "frame": []}, multiple_outputs=True)
            def extract() -> dict: ...

            output = extract()
            hand_over(exclusive_keys={"fine": output["count"], "rows": output["frame"]})

        (message,) = find_contradictions(DeclaredDag.of(dag))
        for fragment in ("'hand_over' hands over key 'frame' of task 'extract' as 'rows'", "test_trigger_operator.py:"):
            assert fragment in message
        assert (
            "Add 'hand_over' to the consumers of 'frame' in 'extract', or remove 'rows' from exclusive_keys" in message
        )

    def test_so_it_is_for_a_mapped_trigger(self):
        with a_dag() as dag:
            PythonOperator(task_id="extract", python_callable=print, pre_execute=consumers([]))
            ExclusiveTriggerDagRunOperator.partial(
                task_id="hand_over", trigger_dag_id="child", exclusive_keys={"rows": "extract"}
            ).expand(trigger_run_id=["one", "two"])

        (message,) = find_contradictions(DeclaredDag.of(dag))
        assert "'hand_over' hands over key 'return_value'" in message

    def test_other_trigger_arguments_are_ordinary_inputs(self):
        with a_dag() as dag:
            value = PythonOperator(task_id="extract", python_callable=print, pre_execute=consumers([])).output
            hand_over(conf={"rows": value})

        (message,) = find_contradictions(DeclaredDag.of(dag))
        assert "'hand_over' takes key 'return_value' of task 'extract' as input" in message

    def test_a_default_scope_lets_the_trigger_hand_over(self):
        with a_dag() as dag:
            hand_over(exclusive_keys={"rows": exclusive_task(lambda: 1, task_id="extract")()})

        assert find_contradictions(DeclaredDag.of(dag)) == []


class TestRecord:
    def test_every_way_to_name_an_output_leads_to_it(self, nothing):
        with a_dag() as dag:

            @exclusive_task(consumers=["*hand_over*"], multiple_outputs=True)
            def several() -> dict:
                return {"count": 1, "frame": 2}

            plain = task(task_id="plain")(lambda: 1)
            mapped = extract.override(task_id="mapped").expand(value=[1, 2])
            keys = {
                "output": extract(),
                "task_id": "extract",
                "pair": ("extract", "other"),
                "list": ["extract", "other"],
                "part": several()["count"],
                "mapped": mapped,
                "plain": plain(),
            }
            single = hand_over(exclusive_keys=keys, conf={"mine": 1}, **nothing.target)
            ids = [f"run_{number}" for number in range(2)]
            expanded = ExclusiveTriggerDagRunOperator.partial(
                task_id="hand_over_expanded",
                trigger_dag_id=nothing.child.dag_id,
                logical_date=None,
                exclusive_keys=keys,
            ).expand(trigger_run_id=ids)
        producers = {"extract", "several", "mapped", "plain"}
        assert single.upstream_task_ids == expanded.upstream_task_ids == producers
        assert find_contradictions(DeclaredDag.of(dag)) == []

        run = Run(dag)

        assert run.state == "success", run.states
        record = record_of(run)

        def at(task_id, map_index=-1, key="return_value"):
            return Source(Coordinate(run.dag_id, run.run_id, task_id, map_index, key), is_exclusive=True)

        assert record.sources == {
            "output": at("extract"),
            "task_id": at("extract"),
            "pair": at("extract", key="other"),
            "list": at("extract", key="other"),
            "part": at("several", key="count"),
            "mapped": at("mapped", map_index=None),
            "plain": replace(at("plain"), is_exclusive=False),
        }
        assert record.is_for(nothing.child.dag_id, nothing.run_id)
        assert read_pointer(nothing.dag_run.conf).is_same_task_instance(record.trigger)
        assert nothing.dag_run.conf["mine"] == 1
        for number in range(2):
            of_instance = record_of(run, "hand_over_expanded", number)
            assert of_instance.is_for(nothing.child.dag_id, ids[number])
            assert of_instance.sources == record.sources
        row = run.xcom_rows()["hand_over", -1, RECORD_KEY]
        assert is_reference_row(row)
        assert Reference.from_row(row).codec == "hand-over"
        assert Reference.from_row(row).store is None

    def test_a_trigger_in_a_mapped_group_hands_over_sibling_output(self, nothing):
        with a_dag() as dag:

            @task_group
            def group(x):
                hand_over(
                    trigger_dag_id=nothing.child.dag_id,
                    trigger_run_id="run_{{ ti.map_index }}",
                    exclusive_keys={"rows": extract(x)},
                )

            group.expand(x=["a", "b"])
            hand_over(
                task_id="hand_over_all",
                trigger_dag_id=nothing.child.dag_id,
                exclusive_keys={"rows": ("group.extract", "return_value")},
            )

        run = Run(dag)

        assert run.state == "success", run.states
        indexes = [record_of(run, "group.hand_over", number).sources["rows"].at.map_index for number in range(2)]
        assert indexes == [0, 1]
        assert record_of(run, "hand_over_all").sources["rows"].at.map_index is None

    def test_a_run_may_hand_on_what_it_was_handed(self, nothing):
        outcomes, grand_outcomes = Outcomes(), Outcomes()
        with a_dag() as grandchild:
            grand_outcomes.task("rows")()
        last = Triggered(grandchild)
        with a_dag() as child:
            hand_over(task_id="hand_on", exclusive_keys={"rows": exclusive_input("rows")}, **last.target)
            hand_over(
                task_id="too_much", exclusive_keys={"x": exclusive_input("other")}, trigger_dag_id=grandchild.dag_id
            )
            outcomes.task("rows")()
        middle = Triggered(child)
        with a_dag() as dag:
            hand_over(exclusive_keys={"rows": extract("from the start")}, **middle.target)
        parent = Run(dag)

        run = middle.run()
        last.run()

        assert (run.states["hand_on"], run.states["too_much"]) == ("success", "failed")
        assert outcomes["rows"] == grand_outcomes["rows"] == "from the start"
        assert record_of(run, "hand_on").sources["rows"] == record_of(parent).sources["rows"]

    def test_a_rerun_rewrites_it_for_the_same_run(self, nothing):
        values, outcomes = ["first"], Outcomes()
        with a_dag() as child:
            outcomes.task("rows")()
        triggered = Triggered(child)
        with a_dag() as dag:
            rows = exclusive_task(consumers=["hand_over"])(lambda: values[-1])
            hand_over(exclusive_keys={"rows": rows.override(task_id="rows")()}, reset_dag_run=True, **triggered.target)
        before = Run(dag, **triggered.same_date)
        first = before.xcom_rows()["hand_over", -1, RECORD_KEY]
        triggered.run()
        assert outcomes["rows"] == "first"
        values.append("second")

        again = Run(dag, **triggered.same_date)

        assert again.state == "success", again.states
        assert again.run_id == before.run_id
        assert again.xcom_rows()["hand_over", -1, RECORD_KEY] != first
        triggered.run()
        assert outcomes["rows"] == "second"

    def test_nobody_else_may_write_under_its_key(self):
        refusals = []

        def push(ti):
            with pytest.raises(InvalidScopeError, match="reserved") as caught:
                ti.xcom_push(RECORD_KEY, {"dag_id": "d", "run_id": "r", "keys": {}})
            refusals.append(caught.value)

        with a_dag() as dag:
            PythonOperator(task_id="plain", python_callable=push)
            PythonOperator(task_id="exclusive", python_callable=push, pre_execute=consumers([]))

        run = Run(dag)

        assert run.state == "success"
        assert len(refusals) == 2
        assert not any(key == RECORD_KEY for _, _, key in run.xcom_rows())

    def test_a_conf_that_turns_out_to_use_its_key_fails_the_task(self, nothing):
        errors = []
        with a_dag() as dag:
            for name, conf in {
                "text": '{"exclusive": 1}',
                "list": "[1]",
                "output": task(task_id="conf")(lambda: {"exclusive": 1})(),
            }.items():
                hand_over(
                    task_id=f"hand_over_{name}",
                    trigger_dag_id=nothing.child.dag_id,
                    exclusive_keys={"rows": extract.override(task_id=f"of_{name}")()},
                    conf=conf,
                    on_failure_callback=lambda context: errors.append(context["exception"]),
                )

        Run(dag)

        assert [type(error).__name__ for error in errors] == ["InvalidScopeError"] * 3
        assert nothing.dag_run is None

    def test_a_run_that_somebody_else_triggered_is_not_reset(self, nothing):
        errors = []
        with a_dag() as dag:
            arguments = {**nothing.target, "exclusive_keys": {"rows": extract()}, "trigger_rule": "all_done"}
            hand_over(task_id="hand_over_first", **arguments) >> hand_over(
                task_id="hand_over_second",
                reset_dag_run=True,
                on_failure_callback=lambda context: errors.append(context["exception"]),
                **arguments,
            )
        nothing.run(conf={"by": "hand"})
        run = Run(dag)
        assert (run.states["hand_over_first"], run.states["hand_over_second"]) == ("failed", "failed")
        assert "not triggered by an ExclusiveTriggerDagRunOperator" in str(errors[0])

        nothing.run(conf={CONF_KEY: {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1}})
        Run(dag)

        assert [type(error).__name__ for error in errors] == ["HandOverError"] * 2
        assert "triggered by d.t" in str(errors[1])
        assert "Use another trigger_run_id, or delete that run" in str(errors[1])
        assert nothing.dag_run.state == "success"


class TestNothingIsCopied:
    @pytest.fixture
    def driver(self, mocker):
        counting = CountingDriver(wiring.current_driver())
        store = replace(wiring.current_store(), open_driver=lambda: counting)
        for direction in (push, pull):
            mocker.patch.object(direction, "current_store", return_value=store)
        return counting

    def test_many_or_large_values_cost_the_trigger_no_transfer(self, nothing, driver):
        many, seen = 40, []
        with a_dag() as child:
            task(task_id="read")(lambda large, parts: seen.append((len(large), parts)))(
                exclusive_input("large"), exclusive_input("parts")
            )
        triggered = Triggered(child)
        with a_dag() as dag:
            keys = {
                "large": exclusive_task(consumers="hand_over")(lambda: b"x" * 8_000_000).override(task_id="large")(),
                "parts": extract.expand(value=["x" * 600 + str(number) for number in range(many)]),
            }
            hand_over(exclusive_keys=keys, **triggered.target)

        run = Run(dag)

        assert run.state == "success", run.states
        assert driver.calls == {"store": many + 1}
        fields = run.rendered_fields("hand_over")
        assert "x" * 100 not in str(fields)
        triggered.run()
        (large, parts) = seen[0]
        assert (large, len(parts), parts[-1]) == (8_000_000, many, "x" * 600 + str(many - 1))
        assert 0 < driver.calls["read_many"] <= 2

    @pytest.mark.parametrize("total", [1, 500])
    def test_conf_grows_by_little_however_many_keys_there_are(self, nothing, total):
        with a_dag() as dag:
            exclusive_task(task_id="extract_the_daily_customers")(lambda: None)()
            hand_over(
                task_id="hand_over_to_the_reporting_dag",
                exclusive_keys={
                    f"name_{number}": ("extract_the_daily_customers", f"customers_{number}") for number in range(total)
                },
                conf={"mine": "stays"},
                **nothing.target,
            )

        run = Run(dag)

        assert run.state == "success"
        conf = nothing.dag_run.conf
        assert conf["mine"] == "stays"
        assert len(json.dumps(conf)) - len(json.dumps({"mine": "stays"})) <= 300
        assert len(record_of(run, "hand_over_to_the_reporting_dag").sources) == total


def test_its_scope_is_declared_where_the_dag_makes_it():
    with a_dag():
        trigger = ExclusiveTriggerDagRunOperator(
            task_id="trigger", trigger_dag_id="other", collect={"summary": "summarise"}
        )

    assert find_hook(trigger).declared_at.path == __file__


def test_the_serialized_dag_is_stable_and_names_no_memory():
    def define():
        with a_dag() as dag:
            keys = {"rows": extract(), "on": exclusive_input("on")}
            PythonOperator(task_id="take", python_callable=print, op_args=[exclusive_input("it", default=object())])
            hand_over(exclusive_keys=keys, collect={"summary": "summarise"})
            ExclusiveTriggerDagRunOperator.partial(
                task_id="hand_over_mapped", trigger_dag_id="child", exclusive_keys=keys, collect={"s": "summarise"}
            ).expand(trigger_run_id=["one"])
        return dag

    first, second = (DagSerialization.to_json(dag).replace(dag.dag_id, "id") for dag in (define(), define()))

    assert first == second
    assert "at 0x" not in first
    assert "exclusive_input('on')" in first
    assert "exclusive_input('it')" in first


class TestRetries:
    """A trigger that is retried after its worker died takes over the run that its earlier try made."""

    def die_once(self, mocker, died):
        trigger = trigger_dagrun.trigger_run

        def dying(request):
            assert trigger(request)
            if not died:
                died.append(request.dag_run_id)
                raise AirflowException("the worker died")
            return True

        mocker.patch.object(trigger_dagrun, "trigger_run", dying)
        mocker.patch.object(dag_runs, "withdraw_record")  # the dead withdraw nothing

    @pytest.mark.parametrize("is_named", [True, False])
    def test_a_retry_takes_over_the_run_of_its_earlier_try(self, nothing, mocker, is_named):
        died = []
        self.die_once(mocker, died)
        target = dict(nothing.target)
        if not is_named:
            del target["trigger_run_id"]
        with a_dag() as dag:
            hand_over(
                exclusive_keys={"rows": extract()},
                retries=1,
                retry_delay=datetime.timedelta(0),
                conf={"a": 1},
                **target,
            )

        run = Run(dag)

        assert run.state == "success", run.states
        assert run.xcom_rows()["hand_over", -1, "trigger_run_id"] == died[0]
        assert record_of(run).is_for(nothing.child.dag_id, died[0])

    def test_a_run_with_another_conf_is_not_taken_over(self, nothing, mocker):
        died, errors = [], []
        self.die_once(mocker, died)
        with a_dag() as dag:
            hand_over(
                exclusive_keys={"rows": extract()},
                retries=1,
                retry_delay=datetime.timedelta(0),
                conf={"try": "{{ ti.try_number }}"},
                on_failure_callback=lambda context: errors.append(context["exception"]),
                **nothing.target,
            )

        assert Run(dag).state == "failed"
        assert "with another conf" in str(errors[-1])

    def test_a_trigger_that_fails_withdraws_its_record(self, nothing, mocker):
        def refuse(request):
            raise AirflowException("refused")

        mocker.patch.object(trigger_dagrun, "trigger_run", refuse)
        with a_dag() as dag:
            hand_over(exclusive_keys={"rows": extract()}, **nothing.target)

        run = Run(dag)

        assert run.state == "failed"
        assert ("hand_over", -1, RECORD_KEY) not in run.xcom_rows()

    def test_a_run_that_was_made_meanwhile_withdraws_it_too(self, nothing, mocker):
        mocker.patch.object(trigger_dagrun, "trigger_run", return_value=False)
        with a_dag() as dag:
            hand_over(exclusive_keys={"rows": extract()}, **nothing.target)

        run = Run(dag)

        assert run.states["hand_over"] == "failed"
        assert ("hand_over", -1, RECORD_KEY) not in run.xcom_rows()
