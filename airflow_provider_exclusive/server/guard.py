"""
The rule on writes, as a dependency of the execution API, where path and token are already resolved.

It stands in place of Airflow's own ``has_xcom_access``, which it asks first. Reads pass here: whether one is permitted
depends on the row, which :mod:`airflow_provider_exclusive.server.middleware` sees on its way out.
"""

from typing import Annotated, Any

from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.execution_api.routes.xcoms import has_xcom_access
from airflow.api_fastapi.execution_api.security import CurrentTIToken
from fastapi import HTTPException, Path, Query, Request, status

from airflow_provider_exclusive.coordinates import Requested
from airflow_provider_exclusive.exceptions import AccessDeniedError
from airflow_provider_exclusive.scopes import TaskIdentity
from airflow_provider_exclusive.server import audit, callers, decisions
from airflow_provider_exclusive.server.audit import AuditTrail

LETTER = "exclusive_letter"
"""Where the middleware leaves the reference of a letter that it opened, in the ASGI scope."""

PROBE_DAG = "airflow_provider_exclusive"
"""No task may read or write an XCom of this Dag: ``airflow exclusive doctor`` asks for one to see itself refused."""

_READS = frozenset({"GET", "HEAD", "OPTIONS"})


def create_guard(trail: AuditTrail) -> Any:
    """Return the dependency that takes the place of ``has_xcom_access``."""

    def guard_xcom_access(
        dag_id: str,
        run_id: str,
        task_id: str,
        xcom_key: Annotated[str, Path(alias="key", min_length=1)],
        request: Request,
        session: SessionDep,
        token: Any = CurrentTIToken,
        map_index: Annotated[int | None, Query()] = None,
    ) -> bool:
        permitted = has_xcom_access(dag_id, run_id, task_id, xcom_key, request, session, token)
        if dag_id == PROBE_DAG:
            raise _forbidden(AccessDeniedError("This is how the plugin refuses.", reason="exclusive-probe"))
        if request.method not in _READS:
            target = TaskIdentity(dag_id, run_id, task_id, -1 if map_index is None else map_index)
            _check_write(token.id, target, xcom_key, request, trail)
        return permitted

    return guard_xcom_access


def _check_write(ti_id: Any, target: TaskIdentity, key: str, request: Request, trail: AuditTrail) -> None:
    try:
        writer = _writer(ti_id)
        decisions.check_write(writer, target, key)
        if (letter := request.scope.get(LETTER)) is not None and writer is not None:
            decisions.check_letter(letter, writer, key)
    except AccessDeniedError as denied:
        asked = Requested(target.dag_id, target.run_id, target.task_id, target.map_index, key)
        trail.record(audit.WRITE_DENIED, callers.find_caller(ti_id), asked, reason=denied.reason, method=request.method)
        raise _forbidden(denied) from denied


def _writer(ti_id: Any) -> TaskIdentity | None:
    try:
        return callers.identity_of(ti_id)
    except LookupError:
        return None


def _forbidden(denied: AccessDeniedError) -> HTTPException:
    return HTTPException(status.HTTP_403_FORBIDDEN, detail={"reason": denied.reason, "message": str(denied)})
