"""Find one Dag among the Dag files and parse it, even if the parse check would refuse it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from airflow_provider_exclusive.cli.output import did_you_mean, fail, only_the_answer

_PARSE_CHECK: Final = "AIRFLOW__EXCLUSIVE__PARSE_CHECK"
_SHOWN_ERRORS: Final = 5


def load_dag(dag_id: str, *, bundle_names: Sequence[str] = (), dag_file: str | None = None) -> Any:
    """
    Return the ``airflow.sdk.DAG`` of that id.

    Nothing is written to the metadata database. Airflow's own way to parse a Dag for a command does write to it, and
    would store a Dag that the Dag processor refused.

    :param bundle_names: where to look; empty means every bundle.
    :param dag_file: the one file to look in instead.
    :raises SystemExit: if it is not found, naming the nearest id and the files that failed to import.
    """
    known: set[str] = set()
    errors: dict[str, str] = {}
    with _without_parse_check(), only_the_answer():
        for bag in _parse(bundle_names, dag_file):
            if dag_id in bag.dags:
                return bag.dags[dag_id]
            known.update(bag.dags)
            errors.update(bag.import_errors)
    return fail(_describe_failure(dag_id, known, errors))


@contextmanager
def _without_parse_check() -> Iterator[None]:
    before = os.environ.get(_PARSE_CHECK)
    os.environ[_PARSE_CHECK] = "off"
    try:
        yield
    finally:
        del os.environ[_PARSE_CHECK]
        if before is not None:
            os.environ[_PARSE_CHECK] = before


def _parse(bundle_names: Sequence[str], dag_file: str | None) -> Iterator[Any]:
    from airflow.dag_processing.dagbag import BundleDagBag

    if dag_file is not None and not Path(dag_file).is_file():
        fail(f"There is no file {dag_file!r}. Pass the path of a Dag file, or omit --dagfile-path.")
    if dag_file is not None and not bundle_names:
        path = Path(dag_file).resolve()
        yield BundleDagBag(dag_folder=path, bundle_path=path.parent)
        return
    for bundle in _find_bundles(bundle_names):
        bundle.initialize()
        yield BundleDagBag(dag_folder=dag_file or bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)


def _find_bundles(names: Sequence[str]) -> list[Any]:
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    try:
        manager = DagBundlesManager()  # type: ignore[no-untyped-call]  # Airflow's class has no annotations
        bundles = {bundle.name: bundle for bundle in manager.get_all_dag_bundles()}
    except Exception as failure:  # noqa: BLE001  # a bundle may be any class
        fail(
            f"Could not read the Dag bundles ({type(failure).__name__}: {failure}). Check [dag_processor] "
            "dag_bundle_config_list, or pass one file with --dagfile-path."
        )
    if unknown := [name for name in names if name not in bundles]:
        fail(f"There is no Dag bundle {unknown[0]!r}; the configured bundles are {_listed(bundles)}.")
    return [bundles[name] for name in names] if names else list(bundles.values())


def _describe_failure(dag_id: str, known: set[str], errors: dict[str, str]) -> str:
    return "\n".join([f"There is no Dag {dag_id!r}{did_you_mean(dag_id, known) or '.'}", *_describe_errors(errors)])


def _describe_errors(errors: dict[str, str]) -> Iterator[str]:
    if not errors:
        return
    yield f"It may be in a file that failed to import ({len(errors)} in all):"
    for path, error in sorted(errors.items())[:_SHOWN_ERRORS]:
        yield f"  {path}: {(error.strip().splitlines() or [''])[-1]}"


def _listed(names: dict[str, Any]) -> str:
    return ", ".join(map(repr, sorted(names))) or "none"
