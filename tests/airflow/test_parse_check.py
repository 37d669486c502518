"""A Dag that contradicts its own scopes is an error when it is parsed, and says how to mend it."""

from __future__ import annotations

import datetime
import re
import textwrap

import pytest
from airflow.dag_processing.dagbag import BundleDagBag, DagBag
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync
from airflow.sdk import DAG, TaskGroup, task, task_group

from airflow_provider_exclusive import DOWNSTREAM, Consumer, consumers, exclusive_task, wiring
from airflow_provider_exclusive.cli import scope_report
from airflow_provider_exclusive.definitions.declared_dag import DeclaredDag
from airflow_provider_exclusive.definitions.hook import CODECS, create_hook
from airflow_provider_exclusive.definitions.parse_check import find_contradictions
from airflow_provider_exclusive.exceptions import ConfigurationError, InvalidScopeError
from airflow_provider_exclusive.scopes.consumers import ScopeDeclaration


def a_dag(**kwargs):
    return DAG("a_dag", schedule=None, start_date=datetime.datetime(2023, 1, 1), **kwargs)


@task
def take(*args, **kwargs): ...


class TestForbiddenEdges:
    def refused(self, dag, *fragments):
        (message,) = find_contradictions(DeclaredDag.of(dag))
        for fragment in (*fragments, "test_parse_check.py:"):
            assert fragment in message

    def test_a_taskflow_argument_outside_the_scope_is_refused(self):
        with a_dag() as dag:

            @exclusive_task(consumers=["load"])
            def extract(): ...

            value = extract()
            take.override(task_id="load")(value)
            take.override(task_id="peek")(value)

        self.refused(dag, "'peek'", "'extract'", "'return_value'", "Add 'peek'")

    def test_an_argument_nested_in_a_list_is_refused(self):
        with a_dag() as dag:

            @exclusive_task(consumers=[])
            def extract(): ...

            take([{"x": extract()}])

        self.refused(dag, "'take'", "'extract'")

    def test_a_template_field_of_a_classic_operator_is_refused(self):
        with a_dag() as dag:
            extract = PythonOperator(task_id="extract", python_callable=print, pre_execute=consumers([]))
            BashOperator(task_id="peek", bash_command="true", env={"X": extract.output})

        self.refused(dag, "'peek'", "'extract'")

    def test_an_expanded_argument_is_refused(self):
        with a_dag() as dag:

            @exclusive_task(consumers=[])
            def extract(): ...

            take.expand(x=extract())

        self.refused(dag, "'take'", "'extract'")

    def test_a_partial_argument_is_refused(self):
        with a_dag() as dag:

            @exclusive_task(consumers=[])
            def extract(): ...

            take.partial(x=extract()).expand(y=[1, 2])

        self.refused(dag, "'take'", "'extract'")

    def test_expand_kwargs_of_a_classic_operator_are_refused(self):
        with a_dag() as dag:

            @exclusive_task(consumers=[])
            def extract(): ...

            PythonOperator.partial(task_id="peek", python_callable=print).expand_kwargs(extract())

        self.refused(dag, "'peek'", "'extract'")

    def test_tasks_of_a_mapped_group_are_readers_of_its_argument(self):
        with a_dag() as dag:

            @exclusive_task(consumers=["group.inner"])
            def extract(): ...

            @task_group
            def group(x):
                take.override(task_id="inner")(x)
                take.override(task_id="other")(x)

            group.expand(x=extract())

        self.refused(dag, "'group.other'", "'extract'")

    def test_globs_without_a_common_form_are_refused(self):
        with a_dag() as dag:

            @exclusive_task(consumers={"a": ["*_all"], "b": ["load*"]}, multiple_outputs=True)
            def extract(): ...

            take.override(task_id="load_all")(extract())

        self.refused(dag, "'load_all'", "'return_value'")

    def test_a_task_that_is_called_caller_is_told_how_to_name_it(self):
        with a_dag() as dag:

            @exclusive_task(consumers=["caller"])
            def extract(): ...

            take.override(task_id="caller")(extract())

        self.refused(dag, "Add Consumer(task='caller') to")

    def test_a_key_that_is_not_in_the_readers_scope_is_refused(self):
        with a_dag() as dag:

            @exclusive_task(consumers={"count": ["load"], "frame": ["other"]}, multiple_outputs=True)
            def extract() -> dict: ...

            output = extract()
            take.override(task_id="load")(output["count"], output["frame"])
            take.override(task_id="other")()

        self.refused(dag, "'load'", "key 'frame'")

    def test_the_whole_of_several_outputs_needs_every_part(self):
        with a_dag() as dag:

            @exclusive_task(consumers={"count": ["load", "audit"], "frame": ["load"]}, multiple_outputs=True)
            def extract() -> dict: ...

            output = extract()
            take.override(task_id="load")(output)
            take.override(task_id="audit")(output)

        self.refused(dag, "'audit'", "'return_value'")

    def test_mapped_zipped_and_concatenated_arguments_are_refused(self):
        with a_dag() as dag:

            @exclusive_task(consumers=[])
            def extract(): ...

            value = extract()
            take.override(task_id="mapped").expand(x=value.map(str))
            take.override(task_id="zipped").expand(x=value.zip(value))
            take.override(task_id="joined").expand(x=value.concat(value))

        assert len(find_contradictions(DeclaredDag.of(dag))) == 3


class TestUnknownConsumers:
    def test_a_misspelt_consumer_is_refused_with_the_nearest_task(self):
        with a_dag() as dag:

            @exclusive_task(consumers=["laod"])
            def extract(): ...

            extract() >> take.override(task_id="load")()

        (message,) = find_contradictions(DeclaredDag.of(dag))
        assert "'laod'" in message
        assert "did you mean 'load'?" in message
        assert re.search(r"test_parse_check.py:\d+", message)

    def test_a_consumer_named_without_its_group_gets_its_full_id(self):
        with a_dag() as dag:

            @exclusive_task(consumers=["store"])
            def extract(): ...

            @task_group
            def warehouse():
                take.override(task_id="store")()

            extract() >> warehouse()

        (message,) = find_contradictions(DeclaredDag.of(dag))
        assert "did you mean 'warehouse.store'?" in message

    @pytest.mark.parametrize(
        ("written", "hint"),
        [("etl", "its tasks|whose tasks are 'etl\\.\\*'"), ("DOWNSTREAM", "DOWNSTREAM without quotes")],
    )
    def test_a_group_and_a_quoted_downstream_are_explained(self, written, hint):
        with a_dag() as dag:

            @exclusive_task(consumers=[written])
            def extract(): ...

            @task_group
            def etl(value):
                take(value)

            extract() >> etl(1)

        (message,) = find_contradictions(DeclaredDag.of(dag))
        assert re.search(hint, message)

    def test_a_glob_that_matches_no_task_is_refused(self):
        with a_dag() as dag:
            PythonOperator(task_id="extract", python_callable=print, pre_execute=consumers("etl.*"))

        (message,) = find_contradictions(DeclaredDag.of(dag))
        assert "'etl.*'" in message

    def test_consumers_of_another_dag_cannot_be_checked_here(self):
        with a_dag() as dag:
            PythonOperator(task_id="extract", python_callable=print, pre_execute=consumers("reporting:*"))

        assert find_contradictions(DeclaredDag.of(dag)) == []


class TestDroppedScopes:
    def test_a_task_that_replaces_the_dag_wide_hook_is_refused(self):
        with a_dag(default_args={"pre_execute": consumers(DOWNSTREAM)}) as dag:
            PythonOperator(task_id="kept", python_callable=print)
            PythonOperator(task_id="dropped", python_callable=print, pre_execute=lambda context: None)

        (message,) = find_contradictions(DeclaredDag.of(dag))
        assert "'dropped'" in message
        assert "then=your_hook" in message

    def test_a_hook_that_lacks_its_parentheses_is_refused(self):
        with a_dag() as dag:
            PythonOperator(task_id="plain", python_callable=print, pre_execute=consumers)
            PythonOperator.partial(task_id="mapped", python_callable=print, pre_execute=consumers).expand(op_args=[[1]])

        found = find_contradictions(DeclaredDag.of(dag))

        assert len(found) == 2
        assert all("lacks its parentheses: write pre_execute=consumers(…)" in one for one in found)

    def test_run_if_that_replaces_the_dag_wide_hook_is_refused(self):
        with a_dag(default_args={"pre_execute": consumers(DOWNSTREAM)}) as dag:

            @task.run_if(lambda context: True)
            @task
            def dropped(): ...

            dropped()

        (message,) = find_contradictions(DeclaredDag.of(dag))
        assert "'dropped'" in message

    def test_overriding_an_exclusive_tasks_own_hook_is_refused(self):
        with a_dag() as dag:

            @exclusive_task
            def extract(): ...

            extract.override(pre_execute=lambda context: None)()

        (message,) = find_contradictions(DeclaredDag.of(dag))
        assert "'extract'" in message

    def test_so_is_a_mapped_one(self):
        with a_dag() as dag:

            @exclusive_task
            def extract(x): ...

            extract.override(pre_execute=print).expand(x=[1])

        (message,) = find_contradictions(DeclaredDag.of(dag))
        assert "'extract'" in message
        assert "then=your_hook" in message

    def test_a_task_that_replaces_the_hook_of_its_group_is_refused(self):
        with a_dag() as dag, TaskGroup("outer", default_args={"pre_execute": consumers("*")}), TaskGroup("inner"):
            PythonOperator(task_id="plain", python_callable=print)
            PythonOperator(task_id="dropping", python_callable=print, pre_execute=print)

        (message,) = find_contradictions(DeclaredDag.of(dag))
        assert "'outer.inner.dropping' drops the scope" in message

    def test_run_if_over_an_exclusive_task_keeps_its_scope(self):
        with a_dag() as dag:

            @task.skip_if(lambda context: False)
            @task.run_if(lambda context: True)
            @exclusive_task(consumers=[])
            def extract(): ...

            take(extract())

        (message,) = find_contradictions(DeclaredDag.of(dag))
        assert "'take'" in message


def test_an_output_written_past_the_backend_is_refused():
    with a_dag() as dag:
        DateTimeSensorAsync(
            task_id="wait", target_time="2030-01-01", end_from_trigger=True, pre_execute=consumers(DOWNSTREAM)
        )

    (message,) = find_contradictions(DeclaredDag.of(dag))
    assert "end_from_trigger" in message


class TestSoundDags:
    def test_every_permitted_way_passes(self):
        with a_dag() as dag:

            @exclusive_task
            def by_default(): ...

            @exclusive_task(consumers=["take", "group.*", Consumer(task="load", any_run=True)])
            def named(): ...

            @exclusive_task(
                consumers={"count": ["load", "audit"], "frame": ["load"], "return_value": "audit"},
                multiple_outputs=True,
            )
            def several() -> dict: ...

            output = several()
            take(by_default(), named())
            take.override(task_id="load")(output["count"], output["frame"], named())
            take.override(task_id="audit")(output, output["count"])

            @task_group
            def group(x):
                take.override(task_id="inner")(x)

            group.expand(x=named())

        # 'named' is called three times and so is three tasks; each has the same scope.
        assert find_contradictions(DeclaredDag.of(dag)) == []

    def test_a_mapped_groups_task_without_its_argument_is_no_reader(self):
        with a_dag() as dag:

            @exclusive_task(consumers=["group.first"])
            def numbers(): ...

            @task_group
            def group(number):
                take.override(task_id="second")(take.override(task_id="first")(number))

            group.expand(number=numbers())

        assert find_contradictions(DeclaredDag.of(dag)) == []

    def test_the_whole_of_several_outputs_of_a_mapped_task(self):
        with a_dag() as dag:

            @exclusive_task(consumers={"a": ["both", "one"], "b": ["both"]}, multiple_outputs=True)
            def extract(x): ...

            parts = extract.expand(x=[1, 2])
            take.override(task_id="both")(parts, parts["a"])
            take.override(task_id="one")(parts["a"])

        assert find_contradictions(DeclaredDag.of(dag)) == []
        (described,) = scope_report.describe(DeclaredDag.of(dag)).tasks
        assert {key.key: key.may_read for key in described.keys}["return_value"] == ("both",)

    def test_thousands_of_readers_are_checked_once(self, mocker):
        resolved = []
        resolve = ScopeDeclaration.resolve
        mocker.patch.object(
            ScopeDeclaration, "resolve", lambda *args, **kwargs: resolved.append(1) or resolve(*args, **kwargs)
        )
        with a_dag() as dag:

            @exclusive_task
            def extract(): ...

            value = extract()
            for number in range(100):
                take.override(task_id=f"take_{number}")(value)

        assert find_contradictions(DeclaredDag.of(dag)) == []
        assert len(resolved) == 1

    def test_a_part_pushed_by_hand_does_not_forbid_the_whole(self):
        with a_dag() as dag:

            @exclusive_task(consumers={"log": ["audit"], "*": ["load"]}, multiple_outputs=True)
            def extract() -> dict: ...

            take.override(task_id="load")(extract())
            take.override(task_id="audit")()

        assert find_contradictions(DeclaredDag.of(dag)) == []


class TestBadClauses:
    @pytest.mark.parametrize(
        "spec", ["", [""], [3], [None], {"key": [b"load"]}, {"": ["load"]}, {3: ["load"]}, {}, 7, ["a b"]]
    )
    def test_an_impossible_clause_is_refused_where_it_stands(self, spec):
        with pytest.raises(InvalidScopeError):
            exclusive_task(consumers=spec)(print)
        with pytest.raises(InvalidScopeError):
            consumers(spec)

    @pytest.mark.parametrize("codec", ["json", "hand-over", "", 3])
    def test_an_unknown_codec_is_refused_with_a_list_of_codecs(self, codec):
        with pytest.raises(
            InvalidScopeError, match="expected one of 'arrow', 'classes', 'cloudpickle', 'msgpack', 'serde'"
        ):
            consumers("load", codec=codec)

    def test_the_codecs_offered_are_those_of_the_deployment(self):
        known = wiring.create_codecs(allow_cloudpickle=True)

        assert set(CODECS) == set(known._codecs) - {"hand-over"}

    @pytest.mark.parametrize(
        "declare",
        [
            lambda: consumers("load", then=consumers("*")),
            lambda: exclusive_task(consumers=["load"], pre_execute=consumers("*"))(print),
        ],
    )
    def test_a_second_scope_is_refused(self, declare):
        with pytest.raises(InvalidScopeError, match="A task has one scope"):
            declare()

    @pytest.mark.parametrize("spec", ["load", ["load"], {"return_value": "load"}, Consumer("load"), DOWNSTREAM])
    def test_a_scope_may_stand_first_as_in_consumers(self, spec):
        with a_dag() as dag:
            exclusive_task(spec)(lambda: 1).override(task_id="extract")() >> take.override(task_id="load")(1)

        expected = create_hook(spec).declaration
        assert DeclaredDag.of(dag).tasks["extract"].scope == expected

    def test_two_scopes_are_refused(self):
        with pytest.raises(InvalidScopeError, match="got two scopes"):
            exclusive_task("load", consumers="other")

    @pytest.mark.parametrize("argument", ["consumers", "codec"])
    def test_an_override_of_the_scope_says_how(self, argument):
        with a_dag(), pytest.raises(InvalidScopeError, match=r"\.override\(pre_execute=consumers\(…\)\)"):
            exclusive_task(take.function).override(**{argument: "load"})()

    def test_a_then_that_cannot_be_called_is_refused(self):
        with pytest.raises(InvalidScopeError, match="then="):
            consumers("load", then="my_hook")


def test_the_scope_report_names_readers_of_the_combined_output():
    with a_dag() as dag:

        @exclusive_task(consumers={"count": ["load", "audit"], "frame": ["load"]}, multiple_outputs=True)
        def extract() -> dict: ...

        @exclusive_task(consumers=["load"], multiple_outputs=True)
        def flat() -> dict: ...

        extract()
        flat()
        for task_id in ("load", "audit"):
            take.override(task_id=task_id)()

    found = {
        task.task_id: {key.key: key.may_read for key in task.keys}
        for task in scope_report.describe(DeclaredDag.of(dag)).tasks
    }

    assert found == {
        "extract": {"count": ("audit", "load"), "frame": ("load",), "return_value": ("load",)},
        "flat": {"*": ("load",)},
    }


class TestModes:
    @pytest.fixture
    def dag_folder(self, tmp_path):
        (tmp_path / "bad.py").write_text(
            textwrap.dedent("""\
                import datetime
                from airflow.sdk import dag, task
                from airflow_provider_exclusive import exclusive_task

                @dag(schedule=None, start_date=datetime.datetime(2023, 1, 1))
                def contradictory():
                    @exclusive_task(consumers=["laod"])
                    def extract(): ...

                    @task
                    def load(x): ...

                    load(extract())

                contradictory()
                """)
        )
        return tmp_path

    def test_error_mode_is_the_default_and_gives_file_and_line(self, dag_folder):
        bag = DagBag(dag_folder)

        (message,) = bag.import_errors.values()
        assert "did you mean 'load'" in message
        assert "bad.py:7" in message
        assert "'load' takes key 'return_value' of task 'extract'" in message
        assert bag.dags == {}

    @pytest.mark.parametrize("mode", ["warn", "off"])
    def test_warn_and_off_let_the_dag_in(self, dag_folder, mode, monkeypatch):
        monkeypatch.setenv("AIRFLOW__EXCLUSIVE__PARSE_CHECK", mode)

        bag = DagBag(dag_folder)

        assert bag.import_errors == {}
        assert list(bag.dags) == ["contradictory"]

    def test_an_unknown_mode_is_refused_by_name(self, dag_folder, monkeypatch):
        monkeypatch.setenv("AIRFLOW__EXCLUSIVE__PARSE_CHECK", "strict")

        bag = DagBag(dag_folder)

        (message,) = bag.import_errors.values()
        assert "parse_check" in message
        assert "error, warn, off" in message

    def test_a_worker_does_not_check_again(self, dag_folder, monkeypatch):
        monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "contradictory")
        monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_TASK_ID", "load")

        bag = BundleDagBag(dag_folder, bundle_name="b", bundle_path=dag_folder)

        assert bag.import_errors == {}
        assert list(bag.dags) == ["contradictory"]


def test_an_unreadable_option_is_a_configuration_error(monkeypatch):
    from airflow_provider_exclusive.config import read_parse_check

    monkeypatch.setenv("AIRFLOW__EXCLUSIVE__PARSE_CHECK", "nope")

    with pytest.raises(ConfigurationError, match="nope"):
        read_parse_check()
