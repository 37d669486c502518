"""Requests as the API server hands them to this package, without an API server."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from uuid import UUID

import pytest

from airflow_provider_exclusive.scopes.identity import Coordinate
from airflow_provider_exclusive.server import audit, callers
from airflow_provider_exclusive.server.callers import XCOM_REQUEST, Caller, XComRequest

TI_ID = UUID("0193b1a2-0000-7000-8000-000000000001")


class Session:
    """A database session without a database: it knows only whether its connection is in use."""

    def __init__(self):
        self.info, self.is_connected = {}, False

    def connection(self):
        self.is_connected = True
        return self

    def rollback(self):
        self.is_connected = False


@dataclass
class Trail:
    """An audit trail as a list; ``mode`` is that of the configuration."""

    mode: str = "denied"
    events: list = field(default_factory=list)
    triggers: list = field(default_factory=list)

    def records(self, event):
        return audit.AuditTrail(self.mode).records(event)

    def record(self, event, caller, *, requested, reason, method, trigger=None):
        self.events.append((event, caller and str(caller.identity), requested, reason, method))
        self.triggers.append(trigger)


@pytest.fixture
def trail():
    return Trail()


@pytest.fixture
def at(producer):
    return Coordinate.of(producer, "return_value")


@pytest.fixture
def session():
    return Session()


@pytest.fixture
def http():
    """The request of FastAPI, of which nothing else is used."""
    return SimpleNamespace(method="GET", query_params={}, scope={})


@pytest.fixture
def requesting(mocker, session, http, producer):
    """Let a task instance make the request of ``session``; None for a token of no known task instance."""

    def requesting(task, *, method="GET", is_live=True, standing_try=producer.ti_id):
        http.method = method
        caller = None if task is None else Caller(task, 1, is_live=is_live)
        session.info[XCOM_REQUEST] = XComRequest(TI_ID, method, http.scope, caller)
        mocker.patch.object(callers, "find_caller", return_value=caller)
        standing = frozenset() if task is None else frozenset({task.ti_id})
        mocker.patch.object(callers, "find_writer", return_value=(caller, standing))
        mocker.patch.object(callers, "find_reader", return_value=(caller, frozenset({standing_try})))
        return session.info[XCOM_REQUEST]

    return requesting
