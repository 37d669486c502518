"""
Define the commands.

Every ``airflow`` command imports this module, so it imports no other module of this package: each command is loaded
when it is called.
"""

from __future__ import annotations

from typing import Any

from airflow.cli.cli_config import (
    ARG_BUNDLE_NAME,
    ARG_DAG_ID,
    ARG_DAGFILE_PATH,
    ActionCommand,
    Arg,
    GroupCommand,
    lazy_load_command,
)


def _argument(*flags: str, **options: Any) -> Arg:
    return Arg(flags, **options)  # type: ignore[no-untyped-call]  # Airflow's class has no annotations


_ARG_OUTPUT = _argument("-o", "--output", help="Output format", choices=("text", "json"), default="text")
_ARG_OUTPUT_OR_DIAGRAM = _argument(
    "-o", "--output", help="Output format", choices=("text", "json", "mermaid"), default="text"
)
_ARG_CHECK = _argument("--check", help="Exit with 1 if the Dag contradicts its consumer scopes", action="store_true")
_ARG_RUN_ID = _argument("run_id", nargs="?", help="The id of the Dag run; without it, the latest run")

_COMMANDS = (
    ActionCommand(
        name="keygen",
        help="Generate a key pair: a private key for the API server, a public key for the workers",
        description="Prints a new key pair, ready to paste, and which component needs which key. Stores nothing.",
        func=lazy_load_command("airflow_provider_exclusive.cli.keygen.keygen"),
        args=(_ARG_OUTPUT,),
    ),
    ActionCommand(
        name="scopes",
        help="Show who may read which output of a Dag",
        description="Parses the Dag and shows each exclusive task's keys, their consumers, the tasks that take them as "
        "input, and every contradiction between the two. Also works for a Dag that the Dag processor refuses.",
        func=lazy_load_command("airflow_provider_exclusive.cli.scopes.scopes"),
        args=(ARG_DAG_ID, _ARG_CHECK, _ARG_OUTPUT_OR_DIAGRAM, ARG_BUNDLE_NAME, ARG_DAGFILE_PATH),
    ),
    ActionCommand(
        name="lineage",
        help="Show each exclusive output of a run: its producer, who may read it, who did, and who was refused",
        description="Reads the metadata database, and looks in the store which payloads are gone. Opens no values and "
        "needs no keys.",
        func=lazy_load_command("airflow_provider_exclusive.cli.lineage.lineage"),
        args=(ARG_DAG_ID, _ARG_RUN_ID, _ARG_OUTPUT),
    ),
    ActionCommand(
        name="doctor",
        help="Check settings, keys, store and API server; exit with 1 on any error",
        description="Checks the configuration of the component where it runs. Only where the API server or a scheduler "
        "runs can it prove that the API server's plugin refuses.",
        func=lazy_load_command("airflow_provider_exclusive.cli.doctor.command.doctor"),
        args=(_ARG_OUTPUT,),
    ),
)


def get_cli_commands() -> list[GroupCommand]:
    """Return the commands that Airflow adds to its command line."""
    return [
        GroupCommand(name="exclusive", help="Exclusive XComs: keys, scopes, lineage, checks", subcommands=_COMMANDS)
    ]
