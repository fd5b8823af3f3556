"""The Ray engine: Ray places servers and workers on machines, and restarts them; gRPC carries data.

A process of the job is the child of a Ray actor. If the process fails, its actor starts it again;
if the actor or its machine fails, Ray starts the actor again, elsewhere if need be. A worker joins
again by itself. A server goes on from its folder, which must be there: it has to come back to the
same machine, at the same address.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from matrixslow.dist.plan import Plan, Process
from matrixslow.dist.supervisor import (
    POLL,
    SERVER_GRACE,
    Say,
    Supervised,
    free_ports,
    told_to_stop,
    watch,
)
from matrixslow.errors import MissingExtra

LOOPBACK = "127.0.0.1"


class Host:
    """Runs one process of a job, on the machine where Ray puts it."""

    def __init__(self) -> None:
        self._stopping: list[int] = []

    def address(self, host: str | None) -> str:
        """Where a server on this machine may listen; by default for other machines too."""
        import ray

        return f"{host or ray.util.get_node_ip_address()}:{free_ports(1)[0]}"

    def run(self, name: str, command: list[str], environment: dict[str, str], restarts: int) -> int:
        """Run a process until it ends well, fails for good, or `stop` is called."""
        each = Supervised(
            Process(name, command, environment),
            restarts=restarts,
            say=lambda line: print(line, flush=True),
        )
        try:
            return watch([], [each], self._stopping, print)
        finally:
            each.stop(SERVER_GRACE)

    def stop(self) -> None:
        """End the process."""
        self._stopping.append(15)


def run_on_ray(plan: Plan, *, restarts: int, say: Say, address: str | None = None) -> int:
    """Run a job on Ray until all workers are done.

    Args:
        plan: What to run.
        restarts: How often each process is started again.
        say: Prints a line.
        address: Of a Ray cluster; by default Ray is started here, on loopback alone.

    Returns:
        0 where all workers ended well; else the status of one that failed for good, or that of the
        signal that ended the job.

    Raises:
        MissingExtra: Ray is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise MissingExtra(
            "launch --engine ray needs Ray, which is not installed",
            hint="pip install 'matrixslow[ray]'",
        ) from error
    here: Mapping[str, Any] = {"address": address}
    if address is None:
        cores = plan.workers + plan.servers
        here = {"_node_ip_address": LOOPBACK, "include_dashboard": False, "num_cpus": cores}
    ray.init(**here)
    try:
        with told_to_stop() as stopping:
            return _run(ray, plan, restarts, say, stopping, LOOPBACK if address is None else None)
    finally:
        ray.shutdown()


def _run(
    ray: Any, plan: Plan, restarts: int, say: Say, stopping: list[int], own: str | None
) -> int:
    # A call is repeated on the actor that Ray has started again; `stop` comes in beside `run`.
    host = ray.remote(Host).options(
        num_cpus=1, max_restarts=restarts, max_task_retries=restarts, max_concurrency=2
    )
    hosts = [host.remote() for _ in range(plan.servers + plan.workers)]
    servers = hosts[: plan.servers]
    addresses = ray.get([each.address.remote(own) for each in servers])
    processes = [plan.server(shard, address) for shard, address in enumerate(addresses)]
    processes += [plan.worker(rank, addresses) for rank in range(plan.workers)]
    running = [
        each.run.remote(x.name, list(x.command), dict(x.environment), restarts)
        for each, x in zip(hosts, processes, strict=True)
    ]
    for x in processes:
        say(f"{x.name} is placed by Ray")
    status = _wait(ray, running[: plan.servers], running[plan.servers :], stopping)
    ray.get([each.stop.remote() for each in hosts])
    ray.wait(running, num_returns=len(running), timeout=SERVER_GRACE + 5)
    return status


def _wait(ray: Any, servers: list[Any], workers: list[Any], stopping: list[int]) -> int:
    """Until all workers are done, or anybody has failed for good; gives the exit status."""
    waiting = list(workers)
    while waiting and not stopping:
        done, _ = ray.wait([*servers, *waiting], num_returns=1, timeout=POLL)
        for each in done:
            status: int = ray.get(each)
            if status or each in servers:
                return status or 1
            waiting.remove(each)
        time.sleep(POLL)
    return 128 + stopping[0] if stopping else 0
