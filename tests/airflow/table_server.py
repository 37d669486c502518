"""Asks the API server in this process, as a task would that walks past the backend."""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import quote, unquote

from starlette.testclient import TestClient

from tests.airflow.table import ROUTES, Case
from tests.airflow.table_world import World


class Response(NamedTuple):
    """An answer of the API server."""

    status_code: int
    headers: dict[str, str]
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode()

    def json(self):
        return json.loads(self.content)


class Server:
    """The API server, with a token for every task instance of the world and one for none."""

    def __init__(self, client: TestClient, world: World) -> None:
        from airflow.api_fastapi.execution_api.app import _jwt_generator

        self.client, self.world = client, world
        mint = _jwt_generator()
        self.tokens = {
            place: mint.generate({"sub": ti_id, "scope": "execution"})
            for place, ti_id in [*world.ti_ids.items(), (None, str(uuid.uuid4()))]
        }

    def ask(self, case: Case, *, method: str | None = None):
        verb, suffix, query = ROUTES[case.route]
        verb = method or verb
        place = case.target
        # Airflow decodes a path before it looks for its parts, so half of the requests hide the slashes between them.
        slash = "%2F" if len(case.key) % 2 else "/"
        path = slash.join(quote(part, safe="") for part in (place.dag, place.run, place.task, case.key)) + suffix
        if place.map_index >= 0 and verb != "HEAD":
            query += f"&map_index={place.map_index}"
        headers = {"authorization": f"Bearer {self.tokens[case.caller]}"}
        if case.version is not None:
            headers["airflow-api-version"] = case.version
        return self.client.portal.call(self.send, verb, f"/execution/xcoms/{path}", query, headers)

    async def send(self, method: str, path: str, query: str, headers: dict[str, str]) -> Response:
        """Do what the test client does for a request, at a third of its cost."""
        body = b'"written by a test"' if method == "POST" else b""
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "server": ("testserver", 80),
            "client": ("testclient", 50000),
            "root_path": "",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [
                (name.encode(), content.encode())
                for name, content in {"host": "testserver", "content-type": "application/json", **headers}.items()
            ],
        }
        sent = []

        async def receive():
            return {"type": "http.request", "body": body, "more_body": False}

        async def keep(message):
            sent.append(message)

        # The server answers 500 before it raises; that is for the table to judge.
        with suppress(Exception):
            await self.client.app(scope, receive, keep)
        kept = {name.decode(): content.decode() for name, content in sent[0]["headers"]}
        return Response(sent[0]["status"], kept, b"".join(message.get("body", b"") for message in sent[1:]))

    def restore(self, case: Case) -> None:
        """Undo a permitted write."""
        cell = self.world.cells.get((case.target, case.key))
        if cell is None:
            assert self.ask(case, method="DELETE").status_code == 200
            return
        assert self.ask(case, method="POST").status_code == 201
        self.world.restore(case.target, case.key, cell.row)
