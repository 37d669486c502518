"""How a scope is declared, what its hook does in a running task, and where it is found on one."""

from __future__ import annotations

import pytest
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.execution_time import xcom

from airflow_provider_exclusive.definitions.hook import consumers, create_hook, find_hook, is_scope
from airflow_provider_exclusive.exceptions import ConfigurationError, InvalidScopeError
from airflow_provider_exclusive.execution_time import redaction, running_task
from airflow_provider_exclusive.execution_time.running_task import RunningTask
from airflow_provider_exclusive.scopes import source_line
from airflow_provider_exclusive.scopes.consumers import DOWNSTREAM, Consumer, OutputDeclaration, ScopeDeclaration
from airflow_provider_exclusive.scopes.identity import TaskIdentity

EXTRACT = TaskIdentity("etl", "run-1", "extract")


def my_hook(context):
    """A hook of the user's own."""


class TestScopesThatAreRefused:
    @pytest.mark.parametrize("then", ["my_hook", 7, [my_hook]])
    def test_a_hook_that_cannot_be_called(self, then):
        with pytest.raises(InvalidScopeError, match="is not callable; expected a pre_execute hook"):
            consumers("load", then=then)

    def test_a_second_scope(self):
        with pytest.raises(InvalidScopeError, match="A task has one scope, and this one would get two"):
            consumers("load", then=consumers("*"))

    def test_a_second_scope_behind_a_condition(self):
        @task.run_if(lambda context: True)
        @task(pre_execute=consumers("*"))
        def extract(): ...

        with pytest.raises(InvalidScopeError, match="A task has one scope"):
            consumers("load", then=extract.kwargs["pre_execute"])

    @pytest.mark.parametrize("codec", ["json", "", 3])
    def test_a_codec_that_is_not_there(self, codec):
        with pytest.raises(
            InvalidScopeError, match="expected one of 'arrow', 'classes', 'cloudpickle', 'msgpack', 'serde'"
        ):
            consumers("load", codec=codec)

    @pytest.mark.parametrize("mask", ["yes", 1, None])
    def test_a_mask_that_is_neither_yes_nor_no(self, mask):
        with pytest.raises(InvalidScopeError, match=r"mask=.* is not valid; expected True or False"):
            consumers("load", mask=mask)

    @pytest.mark.parametrize("clauses", [("",), (3,), ("a b",), ({},), ({"": "load"},), ("load", None)])
    def test_an_impossible_clause(self, clauses):
        with pytest.raises(InvalidScopeError):
            consumers(*clauses)

    def test_the_refusal_begins_with_the_line_of_the_dag(self):
        with pytest.raises(InvalidScopeError) as refusal:
            consumers("a b")
        assert str(refusal.value).startswith(f"{__file__}:")

    def test_that_line_is_named_once(self):
        with pytest.raises(InvalidScopeError) as refusal, source_line.naming_the_line():
            consumers("a b")
        assert str(refusal.value).count(__file__) == 1

    def test_it_is_left_out_where_no_dag_is(self, mocker):
        mocker.patch.object(source_line, "calling_line", return_value=None)
        with pytest.raises(InvalidScopeError, match=r"^A consumer's task is empty"):
            consumers("")


def clauses_of(hook):
    return hook.declaration.by_key


class TestDeclaredScopes:
    def test_nothing_at_all_means_downstream(self):
        assert clauses_of(consumers()) == clauses_of(create_hook(None)) == {"*": (DOWNSTREAM,)}

    def test_an_empty_list_means_nobody(self):
        assert clauses_of(consumers([])) == {"*": ()}

    def test_several_clauses_are_one_scope(self):
        assert clauses_of(consumers("load", "b:c")) == {"*": (Consumer("load"), Consumer("c", dag="b"))}

    def test_a_mapping_goes_key_by_key(self):
        assert clauses_of(consumers({"rows": "load"})) == {"rows": (Consumer("load"),)}

    def test_the_running_task_knows_scope_and_codec(self):
        outputs = consumers("load", codec="arrow").outputs
        assert outputs == OutputDeclaration(ScopeDeclaration.parse("load"), "arrow")

    def test_the_running_task_knows_whether_to_mask(self):
        assert consumers("load", mask=True).outputs.mask
        assert not consumers("load").outputs.mask

    def test_the_line_of_the_dag_is_remembered(self):
        line = consumers("load").declared_at
        assert line.path == __file__
        assert str(line) == f"{__file__}:{line.line}"

    def test_its_text_shows_no_hook(self):
        assert "my_hook" not in repr(consumers("load", then=my_hook))


class Backend(xcom.XCom):
    __module__ = "airflow_provider_exclusive.xcom.backend"


@pytest.fixture
def backend(mocker):
    """An XCom backend that counts as the exclusive one."""
    mocker.patch.object(xcom, "XCom", Backend)


@pytest.fixture
def prepare(mocker):
    return mocker.patch.object(redaction, "prepare")


@pytest.fixture
def running(mocker, prepare):
    running = RunningTask(EXTRACT, task=None)
    mocker.patch.object(running_task, "current", return_value=running)
    return running


@pytest.fixture
def context():
    """The context of task ``extract``, in a Dag without default_args."""
    with DAG("etl", schedule=None):
        return {"task": PythonOperator(task_id="extract", python_callable=print)}


@pytest.fixture
def context_with_default():
    """Return the context of a task in a Dag whose default_args give every task ``hook``."""

    def make(hook):
        with DAG("etl", schedule=None, default_args={"pre_execute": hook}):
            return {"task": PythonOperator(task_id="extract", python_callable=print)}

    return make


class TestTheHookRefuses:
    def test_to_run_where_no_task_does(self, mocker, context):
        mocker.patch.object(running_task, "current", return_value=None)
        with pytest.raises(InvalidScopeError, match="it runs in a task, and none runs here"):
            consumers("load")(context)

    def test_another_backend(self, running, context):
        with pytest.raises(AirflowFailException, match=r"\[core\] xcom_backend is not .*ExclusiveXComBackend"):
            consumers("load", then=pytest.fail)(context)
        assert running.outputs is None


@pytest.mark.usefixtures("backend")
class TestTheHook:
    def test_it_says_what_the_outputs_are(self, running, context):
        hook = consumers("load", codec="arrow")
        hook(context)
        assert running.outputs == hook.outputs

    def test_it_keeps_results_out_of_the_log(self, running, context):
        consumers("load")(context)
        assert context["task"].show_return_value_in_logs is False

    def test_it_prepares_to_keep_values_out_of_records(self, running, context, prepare):
        consumers("load")(context)
        prepare.assert_called_once_with()

    def test_an_unknown_airflow_stops_no_output(self, running, context, prepare):
        prepare.side_effect = ConfigurationError("unsupported")
        consumers("load")(context)
        assert running.outputs is not None

    def test_it_runs_the_users_hook_last(self, running, context):
        seen = []
        consumers("load", then=lambda context: seen.append((context, running.outputs is not None)))(context)
        assert seen == [(context, True)]

    def test_an_error_of_that_hook_fails_the_task(self, running, context):
        def failing(context):
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            consumers("load", then=failing)(context)


@pytest.mark.usefixtures("backend", "running")
class TestInheritedHooks:
    @pytest.fixture
    def seen(self):
        return []

    def test_consumers_does_not_run_a_default_hook(self, seen, context_with_default):
        consumers("load")(context_with_default(lambda context: seen.append("default")))
        assert seen == []

    def test_an_exclusive_task_does(self, seen, context_with_default):
        create_hook("load", inherits=True)(context_with_default(lambda context: seen.append("default")))
        assert seen == ["default"]

    def test_it_runs_the_hook_behind_a_default_scope(self, seen, context_with_default):
        default = consumers("*", then=lambda context: seen.append("behind"))
        create_hook("load", inherits=True)(context_with_default(default))
        assert seen == ["behind"]

    def test_there_may_be_none_behind_it(self, running, context_with_default):
        hook = create_hook("load", inherits=True)
        hook(context_with_default(consumers("*")))
        assert running.outputs == hook.outputs

    def test_its_own_hook_comes_first(self, seen, context_with_default):
        hook = create_hook("load", inherits=True, then=lambda context: seen.append("own"))
        hook(context_with_default(lambda context: seen.append("default")))
        assert seen == ["own"]


def conditioned(hook):
    """Return the hook that a task with ``hook`` has under a condition."""

    @task.skip_if(lambda context: False)
    @task.run_if(lambda context: True)
    @task(pre_execute=hook)
    def extract(): ...

    return extract.kwargs["pre_execute"]


class TestWhereAHookIsFound:
    @pytest.mark.parametrize("hook", [None, my_hook, consumers, conditioned(my_hook)])
    def test_a_plain_hook_is_none(self, hook):
        assert not is_scope(hook)

    def test_a_plain_task_has_none(self, context):
        assert find_hook(context["task"]) is None

    def test_a_scope_is_one_with_or_without_a_condition(self):
        assert is_scope(consumers("load"))
        assert is_scope(conditioned(consumers("load")))

    @pytest.mark.parametrize("wrap", [lambda hook: hook, conditioned])
    def test_it_is_found_on_a_task_and_a_mapped_one(self, wrap):
        hook = consumers("load")
        arguments = {"python_callable": print, "pre_execute": wrap(hook)}
        with DAG("etl", schedule=None):
            single = PythonOperator(task_id="single", **arguments)
            mapped = PythonOperator.partial(task_id="mapped", **arguments).expand(op_args=[[1]])
        assert find_hook(single) is hook
        assert find_hook(mapped) is hook

    def test_it_is_found_in_default_args(self):
        hook = consumers("load")
        with DAG("etl", schedule=None, default_args={"pre_execute": hook}):
            assert find_hook(PythonOperator(task_id="extract", python_callable=print)) == hook


def test_the_users_hook_logs_as_its_task(mocker, backend, running, context):
    from airflow.sdk.execution_time import callback_runner

    runner = mocker.patch.object(callback_runner, "create_executable_runner")
    consumers("load", then=my_hook)(context)
    (hook, _), settings = runner.call_args
    assert (hook, settings["logger"]) == (my_hook, context["task"].log)
    runner.return_value.run.assert_called_once_with(context)
