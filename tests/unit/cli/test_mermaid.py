from dataclasses import replace

from airflow_provider_exclusive.cli.mermaid import draw
from airflow_provider_exclusive.cli.scope_report import DagScopes, KeyScope, TaskScopes


def key(name="rows", *, may_read=(), other_dags=(), input_of=()):
    return KeyScope(name, consumers=(), may_read=may_read, other_dags=other_dags, input_of=input_of)


def diagram(*keys, task_id="extract", contradictions=()):
    task = TaskScopes(task_id, declared_at=None, codec=None, keys=keys)
    return draw(DagScopes("etl", "etl.py", (task,), contradictions)).splitlines()


def test_an_argument_is_a_solid_arrow_and_a_permission_dotted():
    lines = diagram(key(may_read=("load", "audit"), input_of=("load",)))
    assert lines == [
        "flowchart LR",
        '    t0[["extract"]]',
        '    t1["load"]',
        '    t2["audit"]',
        '    t0 -->|"rows"| t1',
        '    t0 -.->|"rows"| t2',
    ]


def test_a_task_of_another_dag_has_a_shape_of_its_own():
    assert '    t1[/"reporting:*"/]' in diagram(key(other_dags=("reporting:*",)))


def test_the_caller_has_one_too():
    assert '    t1[/"caller (the task that triggered the run)"/]' in diagram(replace(key(), admits_caller=True))


def test_a_contradiction_is_a_comment_on_one_line():
    assert diagram(key(), contradictions=("first\nsecond",))[-1] == "    %% first\\nsecond"


def test_no_name_breaks_the_diagram():
    lines = diagram(key('a"|b#\n', input_of=("end",)), task_id="end")
    assert lines[1:] == ['    t0[["end"]]', '    t0 -->|"a#quot;|b#35;\\n"| t0']
