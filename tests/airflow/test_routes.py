"""
Every route of the execution API, in every version of it: is it one that was looked at?

A release of Airflow that adds a way to read XComs fails here, before anybody reads one by it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from airflow.api_fastapi.execution_api.app import create_task_execution_api_app
from airflow.api_fastapi.execution_api.datamodels.xcom import XComResponse
from airflow.api_fastapi.execution_api.routes.xcoms import has_xcom_access
from airflow.api_fastapi.execution_api.versions import bundle
from fastapi.routing import APIRoute
from pydantic import JsonValue, TypeAdapter

XCOM = "/xcoms/{dag_id}/{run_id}/{task_id}/{key:path}"
# The reads go through the middleware, which knows what each of them answers; the writes through the guard.
XCOM_ROUTES = {
    ("GET", XCOM),
    ("GET", f"{XCOM}/item/{{offset}}"),
    ("GET", f"{XCOM}/slice"),
    ("HEAD", XCOM),
    ("POST", XCOM),
    ("DELETE", XCOM),
}
NO_CONTENT = 204
VERSIONS = [version.value for version in bundle.versions]

_ASSET = "extras of assets and of their events, which outlets and the REST API write; no XCom is read"
_CONF = "a Dag run with its conf, which is written when it is triggered; no XCom is read"
_STORE = "Airflow's own store of states, in a table of its own; no XCom is read"
_HITL = "what a person was asked and chose, in a table of its own; no XCom is read"
_MESSAGE = "says that it worked, or repeats what was sent"
# Whatever else can answer any JSON, has a field "value", or does not say what it answers: why it shows no XCom.
REVIEWED = {
    ("GET", "/asset-events/by-asset"): _ASSET,
    ("GET", "/asset-events/by-asset-alias"): _ASSET,
    ("GET", "/assets/by-alias"): _ASSET,
    ("GET", "/assets/by-name"): _ASSET,
    ("GET", "/assets/by-uri"): _ASSET,
    ("GET", "/dag-runs/previous"): _CONF,
    ("GET", "/dag-runs/{dag_id}/previous"): _CONF,
    ("GET", "/dag-runs/{dag_id}/{run_id}"): _CONF,
    ("GET", "/health"): _MESSAGE,
    ("GET", "/health/ping"): _MESSAGE,
    ("GET", "/hitlDetails/{task_instance_id}"): _HITL,
    ("PATCH", "/hitlDetails/{task_instance_id}"): _HITL,
    ("POST", "/hitlDetails/{task_instance_id}"): _HITL,
    ("GET", "/openapi.json"): "describes this API",
    ("HEAD", "/openapi.json"): "describes this API",
    ("GET", "/store/asset/by-name/value"): _STORE,
    ("GET", "/store/asset/by-uri/value"): _STORE,
    ("GET", "/store/ti/{task_instance_id}/{key:path}"): _STORE,
    ("GET", "/task-instances/breadcrumbs"): "ids, states, dates and operators of task instances",
    ("GET", "/task-instances/states"): "states by task id",
    ("PATCH", "/task-instances/{task_instance_id}/run"): "the run, its conf, what the task deferred with, and from "
    "which XComs its arguments come (ids and keys, no values)",
    ("PUT", "/task-instances/{task_instance_id}/rtif"): _MESSAGE,
    ("GET", "/variables/{variable_key:path}"): "an Airflow variable",
    ("PUT", "/variables/{variable_key:path}"): _MESSAGE,
}


@pytest.fixture(scope="module")
def routers():
    app = create_task_execution_api_app()
    app._cadwyn_initialize()  # what the first request does
    assert list(app.router.versioned_routers) == VERSIONS
    return app.router.versioned_routers


def methods_of(route) -> Iterator[tuple[str, str]]:
    for method in sorted(route.methods):
        yield method, route.path


def may_show_a_value(route) -> bool:
    """Return whether an XCom could be in an answer of the route, for all that its path and its model say."""
    if "xcom" in route.path.lower():
        return True
    if not isinstance(route, APIRoute) or route.response_model is None:
        return getattr(route, "status_code", None) != NO_CONTENT
    return allows_anything(TypeAdapter(route.response_model).json_schema(mode="serialization"))


def allows_anything(schema) -> bool:
    """Return whether some part of a JSON schema takes any value, or is called so."""
    if isinstance(schema, bool):
        return schema
    typed = {"type", "$ref", "anyOf", "oneOf", "allOf", "enum", "const"}
    if not typed & schema.keys():
        return True
    if schema.get("type") == "object" and "properties" not in schema and "additionalProperties" not in schema:
        return True
    if "value" in schema.get("properties", ()):
        return True
    parts = [schema[name] for name in ("items", "additionalProperties") if name in schema]
    parts += [part for name in ("properties", "$defs") for part in schema.get(name, {}).values()]
    parts += [part for name in ("anyOf", "oneOf", "allOf", "prefixItems") for part in schema.get(name, ())]
    return any(map(allows_anything, parts))


def dependencies_of(dependant) -> Iterator[object]:
    for dependency in dependant.dependencies:
        yield dependency.call
        yield from dependencies_of(dependency)


@pytest.mark.parametrize("version", VERSIONS)
class TestEveryVersion:
    def test_every_route_that_could_show_an_xcom_was_reviewed(self, routers, version):
        routes = routers[version].routes
        showing = {at for route in routes if may_show_a_value(route) for at in methods_of(route)}

        assert showing - REVIEWED.keys() - XCOM_ROUTES == set()

    def test_every_reviewed_route_of_xcoms_is_there(self, routers, version):
        found = {at for route in routers[version].routes for at in methods_of(route) if "xcom" in at[1].lower()}

        assert found == XCOM_ROUTES

    def test_every_route_of_xcoms_asks_the_guard(self, routers, version):
        routes = [route for route in routers[version].routes if "xcom" in route.path.lower()]

        assert len(routes) == len(XCOM_ROUTES)
        # Cadwyn wraps dependencies in callables that equal them, which is also how an override finds them.
        assert [route.path for route in routes if has_xcom_access not in dependencies_of(route.dependant)] == []

    def test_the_narrower_routes_come_first(self, routers, version):
        reads = [path for route in routers[version].routes for method, path in methods_of(route) if method == "GET"]
        reads = [path for path in reads if path.startswith(XCOM)]

        assert reads.index(XCOM) == len(reads) - 1

    def test_no_route_is_hidden_in_an_application_of_its_own(self, routers, version):
        assert [route for route in routers[version].routes if not hasattr(route, "methods")] == []


class TestTheDetector:
    """The enumeration must see a new way to read, or it is worth nothing."""

    @pytest.mark.parametrize(
        "model", [JsonValue, dict, dict[str, Any], list[JsonValue], Any, None, XComResponse, str | dict[str, JsonValue]]
    )
    def test_it_sees_a_route_that_could_show_a_value(self, model):
        assert may_show_a_value(APIRoute("/results/{id}", endpoint=lambda: None, response_model=model))

    @pytest.mark.parametrize("model", [int, str, list[str], dict[str, int]])
    def test_it_lets_pass_what_cannot(self, model):
        assert not may_show_a_value(APIRoute("/results/{id}", endpoint=lambda: None, response_model=model))

    def test_it_sees_a_name_that_says_so(self):
        assert may_show_a_value(APIRoute("/task-xcoms/{id}", endpoint=lambda: None, response_model=int))
