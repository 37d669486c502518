"""
The worker of :mod:`clean_executor`: forks a process for each workload, ``python clean_worker.py PARALLELISM``.

Standard input is a socket: in come lines of a number and a workload as JSON, out go lines of number and exit code.
It does with a workload what ``airflow.sdk.execution_time.execute_workload`` does, without importing Airflow each time.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import traceback

import airflow.sdk.execution_time.task_runner  # noqa: F401  # imported once here, so that no fork has to
from airflow.executors import workloads
from airflow.executors.base_executor import BaseExecutor
from airflow.sdk.log import configure_logging
from airflow.settings import dispose_orm
from pydantic import TypeAdapter

POLL_SECONDS = 0.05


def main(parallelism: int) -> None:
    dispose_orm(do_log=False)
    configure_logging(output=sys.stdout.buffer, json_output=True)
    decoder = TypeAdapter(workloads.All)
    channel = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    unread, waiting, running, is_open = b"", [], {}, True
    while is_open or waiting or running:
        if select.select([channel] if is_open else [], [], [], POLL_SECONDS)[0]:
            received = channel.recv(65536)
            is_open = bool(received)
            *lines, unread = (unread + received).split(b"\n")
            waiting += lines
        while waiting and len(running) < parallelism:
            number, _, workload = waiting.pop(0).partition(b" ")
            running[fork(decoder.validate_json(workload), channel)] = number.decode()
        reap(running, channel)


def fork(workload, channel: socket.socket) -> int:
    pid = os.fork()
    if pid:
        return pid
    channel.close()
    try:
        # How the task ended, its supervisor tells the API server; here only a broken supervisor is a failure.
        BaseExecutor.run_workload(workload)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def reap(running: dict[int, str], channel: socket.socket) -> None:
    for pid in list(running):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            answer = [running.pop(pid), os.waitstatus_to_exitcode(status)]
            channel.sendall(json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
