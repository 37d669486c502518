"""A consumer reads what it was given, whichever operator, decorator or way of passing is used."""

from __future__ import annotations

import datetime
import logging
import sys

import pytest
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import BranchPythonOperator, PythonOperator, ShortCircuitOperator
from airflow.providers.standard.sensors.python import PythonSensor
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import BaseOperator, PokeReturnValue, TaskGroup, setup, task, task_group, teardown
from airflow.sdk.bases.xcom import BaseXCom

from airflow_provider_exclusive import DOWNSTREAM, consumers, exclusive_task
from airflow_provider_exclusive.exceptions import AccessDeniedError
from airflow_provider_exclusive.format.reference import is_reference_row
from tests.airflow.running import Run, a_dag


@pytest.fixture
def seen():
    return []


@pytest.fixture
def load(seen):
    @task
    def load(*values):
        seen.extend(values)

    return load


@pytest.fixture
def keep(seen):
    @task
    def keep(x):
        seen.append(x)

    return keep


def intruder_of(dag, task_id: str, refused: list, key="return_value", **kwargs):
    """Add a task that nobody named and that tries to read."""

    def intrude(ti):
        with pytest.raises(AccessDeniedError):
            ti.xcom_pull(task_ids=task_id, key=key, **kwargs)
        refused.append(task_id)

    return PythonOperator(task_id=f"intruder_of_{task_id}", python_callable=intrude, dag=dag, trigger_rule="all_done")


def check(dag, *producers: str, scope_for=None) -> Run:
    """Run, and check that each producer's rows are references which an intruder cannot read."""
    refused = []
    tasks = list(dag.tasks)
    for producer in producers:
        intruder = intruder_of(dag, producer, refused)
        # Not a direct downstream task of the producer, or DOWNSTREAM would let it in.
        tail = EmptyOperator(task_id=f"after_{producer}", dag=dag, trigger_rule="all_done")
        tasks_before = [task for task in tasks if task.task_id != producer] or tasks
        tasks_before >> tail >> intruder
        dag.get_task(producer) >> tail
    run = Run(dag)
    assert run.state == "success", run.states
    assert sorted(refused) == sorted(producers)
    rows = run.xcom_rows()
    for producer in producers:
        assert any(task_id == producer for task_id, _, _ in rows)
        assert all(
            is_reference_row(row)
            for (task_id, _, key), row in rows.items()
            if task_id == producer and key == "return_value"
        )
    return run


class TestDecorators:
    def test_the_bare_decorator_permits_direct_downstream_tasks(self, seen, load):
        with a_dag() as dag:

            @exclusive_task
            def extract():
                return "value"

            load(extract())

        run = check(dag, "extract")

        assert seen == ["value"]
        (row,) = [row for (task_id, _, _), row in run.xcom_rows().items() if task_id == "extract"]
        assert set(row["consumers"].split(", ")) == {"load", "after_extract"}

    def test_task_dot_exclusive_is_the_same(self, seen, load):
        with a_dag() as dag:

            @task.exclusive(consumers=["load"])
            def extract():
                return "value"

            load(extract())

        check(dag, "extract")

        assert seen == ["value"]
        assert dag.get_task("extract").custom_operator_name == "@task.exclusive"

    def test_a_hook_of_the_users_still_runs(self, seen, load):
        hooks = []
        with a_dag() as dag:

            @exclusive_task(consumers="load", pre_execute=lambda context: hooks.append(context["ti"].task_id))
            def extract():
                return "value"

            second = PythonOperator(
                task_id="second",
                python_callable=lambda: "other",
                pre_execute=consumers("load", then=lambda context: hooks.append(context["ti"].task_id)),
            )
            load(extract(), second.output)

        check(dag, "extract", "second")

        assert seen == ["value", "other"]
        assert sorted(hooks) == ["extract", "second"]

    def test_run_if_and_skip_if_keep_the_scope(self, seen, load):
        with a_dag() as dag:

            @task.run_if(lambda context: True)
            @exclusive_task(consumers="load")
            def extract():
                return "value"

            load(extract())

        check(dag, "extract")

        assert seen == ["value"]

    def test_tasks_in_other_interpreters(self, seen, load):
        with a_dag() as dag:

            @task.virtualenv(requirements=[], system_site_packages=True, pre_execute=consumers("load"))
            def installed():
                return ["from", "there"]

            @task.external_python(python=sys.executable, pre_execute=consumers("load"))
            def found():
                return {"from": "elsewhere"}

            load(installed(), found())

        check(dag, "installed", "found")

        assert seen == [["from", "there"], {"from": "elsewhere"}]

    def test_an_exclusive_argument_of_a_task_in_another_interpreter(self, seen, load):
        with a_dag() as dag:

            @exclusive_task(consumers="double")
            def extract():
                return 21

            @task.external_python(python=sys.executable, pre_execute=consumers("load"))
            def double(number):
                return number * 2

            load(double(extract()))

        check(dag, "extract", "double")

        assert seen == [42]

    def test_branch_and_short_circuit_still_steer(self):
        with a_dag() as dag:

            @task.branch(pre_execute=consumers("left"))
            def choose():
                return "left"

            @task.short_circuit(pre_execute=consumers([]))
            def check_it():
                return {"truthy": 1}

            check_it() >> choose() >> [EmptyOperator(task_id="left"), EmptyOperator(task_id="right")]

        run = Run(dag)

        assert run.states["left"] == "success"
        assert run.states["right"] == "skipped"
        rows = run.xcom_rows()
        assert rows["choose", -1, "skipmixin_key"] == {"followed": ["left"]}
        assert is_reference_row(rows["check_it", -1, "return_value"])

    def test_a_short_circuit_still_skips(self):
        with a_dag() as dag:
            ShortCircuitOperator(task_id="stop", python_callable=lambda: False, pre_execute=consumers([])) >> (
                EmptyOperator(task_id="after")
            )

        assert Run(dag).states["after"] == "skipped"

    def test_bash_and_sensors(self, seen, load):
        with a_dag() as dag:

            @task.bash(pre_execute=consumers("load"))
            def shell():
                return "echo from bash"

            @task.sensor(poke_interval=0.1, pre_execute=consumers("load"))
            def wait():
                return PokeReturnValue(is_done=True, xcom_value="from sensor")

            load(shell(), wait())

        check(dag, "shell", "wait")

        assert seen == ["from bash", "from sensor"]


class TestClassicOperators:
    def test_python_bash_branch_and_sensor_operators(self, seen):
        def pull(ti):
            for name in ("python", "bash", "branch"):
                seen.append(ti.xcom_pull(task_ids=name))

        with a_dag() as dag:
            scope = consumers("load")
            first = PythonOperator(task_id="python", python_callable=lambda: (1, 2), pre_execute=scope)
            second = BashOperator(task_id="bash", bash_command="echo hello", pre_execute=scope)
            wait = PythonSensor(task_id="wait", python_callable=lambda: True, pre_execute=scope)
            branch = BranchPythonOperator(task_id="branch", python_callable=lambda: "load", pre_execute=scope)
            first >> second >> wait >> branch >> PythonOperator(task_id="load", python_callable=pull)

        check(dag, "python", "bash")

        assert seen == [(1, 2), "hello", "load"]

    def test_explicit_push_and_pull_with_scopes_by_key(self, seen):
        def extract(ti):
            ti.xcom_push(key="row_count", value=42)
            ti.xcom_push(key="hidden", value="x")

        def load(ti):
            seen.append(ti.xcom_pull(key="row_count", task_ids="extract"))
            with pytest.raises(AccessDeniedError):
                ti.xcom_pull(key="hidden", task_ids="extract")

        with a_dag() as dag:
            PythonOperator(
                task_id="extract", python_callable=extract, pre_execute=consumers({"row_count": ["load"]})
            ) >> PythonOperator(task_id="load", python_callable=load)

        assert Run(dag).state == "success"
        assert seen == [42]

    def test_default_args_scope_a_whole_dag(self, seen, load):
        with a_dag(default_args={"pre_execute": consumers(DOWNSTREAM)}) as dag:

            @task
            def first():
                return 1

            second = PythonOperator(task_id="second", python_callable=lambda: 2)
            mapped = PythonOperator.partial(task_id="mapped", python_callable=lambda x: x).expand(op_args=[[3], [4]])

            @task
            def read(one, two, several):
                seen.append((one, two, list(several)))

            read(first(), second.output, mapped.output)

        run = check(dag, "first", "second")

        assert seen == [(1, 2, [3, 4])]
        assert is_reference_row(run.xcom_rows()["mapped", 0, "return_value"])

    def test_jinja_and_output_templates(self, seen):
        with a_dag() as dag:

            @exclusive_task
            def extract():
                return {"a": [1, 2]}

            value = extract()
            value >> PythonOperator(
                task_id="load",
                python_callable=lambda one, two: seen.append((one, two)),
                op_args=["{{ ti.xcom_pull(task_ids='extract')['a'][1] }}", value],
            )

        assert Run(dag).state == "success"
        assert seen == [("2", {"a": [1, 2]})]


class TestSeveralOutputs:
    def test_each_key_has_its_scope(self, seen):
        with a_dag() as dag:

            @exclusive_task(consumers={"count": ["both"], "frame": ["both", "one"]}, multiple_outputs=True)
            def extract() -> dict:
                return {"count": 42, "frame": [1, 2]}

            @task
            def both(count, frame, whole):
                seen.append((count, frame, whole))

            @task
            def one(frame, ti=None):
                seen.append(frame)
                with pytest.raises(AccessDeniedError):
                    ti.xcom_pull(task_ids="extract", key="count")

            output = extract()
            both(output["count"], output["frame"], output)
            one(output["frame"])

        run = Run(dag)

        assert run.state == "success"
        assert (42, [1, 2], {"count": 42, "frame": [1, 2]}) in seen
        assert [1, 2] in seen
        assert {key for _, _, key in run.xcom_rows() if _ != 0} >= {"count", "frame", "return_value"}


class TestMapping:
    def test_mapped_producer_and_mapped_consumer(self, seen):
        with a_dag() as dag:

            @exclusive_task
            def numbers():
                return [1, 2, 3]

            @exclusive_task(consumers=["collect"])
            def square(number):
                return number * number

            @task
            def collect(values):
                seen.append((list(values), values[0], values[1:], len(values)))

            collect(square.expand(number=numbers()))

        run = Run(dag)

        assert run.state == "success"
        assert seen == [([1, 4, 9], 1, [4, 9], 3)]
        assert all(is_reference_row(row) for row in run.xcom_rows().values())

    def test_map_zip_and_concat(self, seen, keep):
        with a_dag() as dag:

            @exclusive_task
            def letters():
                return ["a", "b"]

            @exclusive_task(consumers=["zipped", "joined", "mapped"])
            def numbers():
                return [1, 2]

            first, second = letters(), numbers()
            keep.override(task_id="mapped").expand(x=second.map(lambda number: number + 10))
            keep.override(task_id="zipped").expand(x=second.zip(first))
            keep.override(task_id="joined").expand(x=first.concat(second))

        assert Run(dag).state == "success"
        assert sorted(map(str, seen)) == sorted(map(str, [11, 12, (1, "a"), (2, "b"), "a", "b", 1, 2]))

    def test_pulling_all_and_some_map_indexes(self, seen):
        with a_dag() as dag:

            @exclusive_task(consumers=["collect"])
            def square(number):
                return number * number

            @task
            def collect(ti=None):
                seen.append(list(ti.xcom_pull(task_ids="square")))
                seen.append(ti.xcom_pull(task_ids="square", map_indexes=[0, 2]))
                seen.append(ti.xcom_pull(task_ids="square", map_indexes=1))

            square.expand(number=[1, 2, 3]) >> collect()

        assert Run(dag).state == "success"
        assert seen == [[1, 4, 9], [1, 9], 4]

    def test_a_mapped_task_group(self, seen):
        with a_dag() as dag:

            @exclusive_task(consumers=["group.*"])
            def numbers():
                return [1, 2]

            @task_group
            def group(number):
                @exclusive_task
                def double(number):
                    return number * 2

                @task
                def keep(number):
                    seen.append(number)

                keep(double(number))

            group.expand(number=numbers())

        assert Run(dag).state == "success"
        assert sorted(seen) == [2, 4]


class TestLifeCycle:
    def test_a_glob_scopes_a_task_group(self, seen, load):
        with a_dag() as dag:

            @exclusive_task(consumers=["etl.*"])
            def extract():
                return "value"

            value = extract()

            @task_group
            def etl():
                load(value)

            etl()

        check(dag, "extract")

        assert seen == ["value"]

    def test_setup_and_teardown(self, seen):
        with a_dag() as dag:

            @setup
            @exclusive_task(consumers=["close", "work"])
            def open_it():
                return "handle"

            @teardown
            def close(handle):
                seen.append(handle)

            @task
            def work(handle):
                seen.append(handle)

            handle = open_it()
            handle >> work(handle) >> close(handle)

        assert Run(dag).state == "success"
        assert seen == ["handle", "handle"]

    def test_a_deferred_task_keeps_its_scope(self, seen, load):
        class Deferring(BaseOperator):
            def execute(self, context):
                self.defer(trigger=TimeDeltaTrigger(datetime.timedelta(seconds=0.1)), method_name="resume")

            def resume(self, context, event=None):
                context["ti"].xcom_push(key="side", value="kept")
                return "after the wait"

        with a_dag() as dag:
            waiting = Deferring(task_id="waiting", pre_execute=consumers("load"))
            load(waiting.output)

        run = check(dag, "waiting")

        assert seen == ["after the wait"]
        assert is_reference_row(run.xcom_rows()["waiting", -1, "side"])

    @pytest.mark.parametrize("wrap", [lambda hook: hook, lambda hook: consumers(then=hook)])
    def test_a_default_args_hook_runs_for_exclusive_tasks(self, wrap):
        hooked = []

        def hook(context):
            hooked.append(context["ti"].task_id)

        with a_dag(default_args={"pre_execute": wrap(hook)}) as dag, TaskGroup("group"):
            exclusive_task(task_id="bare")(lambda: 1)()
            exclusive_task(task_id="mapped")(lambda x: x).expand(x=[1])
            exclusive_task(task_id="own", pre_execute=lambda context: hooked.append("its own"))(lambda: 1)()

        run = Run(dag)

        assert run.state == "success"
        assert sorted(hooked) == ["group.bare", "group.mapped", "its own"]
        assert is_reference_row(run.xcom_rows()["group.bare", -1, "return_value"])

    def test_a_mapped_task_asks_only_for_its_own_output(self, mocker, seen):
        def refuse(cls, **kwargs):
            raise AssertionError("the outputs of all map indexes were asked for")

        mocker.patch.object(BaseXCom, "get_all", classmethod(refuse))
        with a_dag() as dag:

            @exclusive_task(consumers=[])
            def work(x, ti=None):
                seen.append(ti.xcom_pull(task_ids="work", key="checkpoint", map_indexes=ti.map_index))
                ti.xcom_push("checkpoint", x)

            work.expand(x=[1, 2])

        assert Run(dag).state == "success"
        assert seen == [None, None]

    def test_an_output_named_like_a_key_of_airflows_is_sealed(self):
        with a_dag() as dag:

            @exclusive_task(consumers=[], multiple_outputs=True)
            def work():
                return {"trigger_run_id": "secret"}

            work()

        rows = Run(dag).xcom_rows()

        assert {place: is_reference_row(row) for place, row in rows.items()} == {
            ("work", -1, key): True for key in ("return_value", "trigger_run_id")
        }

    def test_empty_multiple_outputs_reach_readers_of_every_part(self, seen, load):
        with a_dag() as dag:

            @exclusive_task(consumers={"rows": ["load"], "count": ["load"]}, multiple_outputs=True)
            def work():
                return {}

            load(work())

        assert Run(dag).state == "success"
        assert seen == [{}]

    def test_callbacks_read_and_write_as_their_task(self, seen):
        def on_success(context):
            ti = context["ti"]
            seen.append(ti.xcom_pull(task_ids="extract"))
            ti.xcom_push(key="after", value="late")

        with a_dag() as dag:

            @exclusive_task(consumers=["load"])
            def extract():
                return "value"

            @exclusive_task(consumers=[], on_success_callback=on_success)
            def load(): ...

            extract() >> load()

        run = Run(dag)

        assert seen == ["value"]
        assert is_reference_row(run.xcom_rows()["load", -1, "after"])

    def test_a_callback_that_pulls_first_reads_as_its_task(self, seen):
        def on_success(context):
            with pytest.raises(AccessDeniedError) as refusal:
                context["ti"].xcom_pull(task_ids="extract")
            seen.append(str(refusal.value))

        with a_dag() as dag:

            @exclusive_task(consumers=["load"])
            def extract():
                return "value"

            @task(on_success_callback=on_success)
            def idle(): ...

            @task
            def load(value): ...

            load(extract()) >> idle()

        assert Run(dag).state == "success"
        assert ".idle (run" in seen[0]


def test_audit_all_logs_who_read_what(seen, load, monkeypatch, mocker, caplog):
    from airflow_provider_exclusive import wiring

    monkeypatch.setenv("AIRFLOW__EXCLUSIVE__AUDIT", "all")
    wiring._settings.cache_clear()
    with a_dag() as dag:

        @exclusive_task
        def extract():
            return "not in any log"

        load(extract())

    # By its own logger: an API server that ran in this process has set up logging anew.
    log = logging.getLogger("airflow_provider_exclusive.xcom.pull")
    mocker.patch.object(log, "disabled", False)
    mocker.patch.object(log, "propagate", False)
    mocker.patch.object(log, "handlers", [caplog.handler])
    with caplog.at_level("INFO", logger=log.name):
        Run(dag)
    wiring._settings.cache_clear()

    lines = [record.getMessage() for record in caplog.records if "exclusive.read" in record.getMessage()]
    assert len(lines) == 1
    assert ".load" in lines[0]
    assert ".extract" in lines[0]
    assert "not in any log" not in lines[0]
