"""launch: a script on several workers, with parameter servers if need be."""

from __future__ import annotations

import shlex
from argparse import REMAINDER, ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from matrixslow.commands.command import Command, count
from matrixslow.commands.page import Page
from matrixslow.dist.engines import mpi_command, mpiexec_of, run_mpi, slurm_script, submit
from matrixslow.dist.options import Mode
from matrixslow.dist.plan import Plan
from matrixslow.dist.supervisor import run_here

ENGINES = ("local", "mpi", "slurm", "ray")


def options(parser: ArgumentParser) -> None:
    """Declare what it takes."""
    add = parser.add_argument
    add("--engine", choices=ENGINES, default="local", help="what starts the processes (local)")
    add("--workers", type=count, default=1, help="processes that run the script (1)")
    add("--servers", type=int, default=0, help="parameter servers (0)")
    add("--mode", choices=get_args(Mode), default="sync", help="how workers keep step (sync)")
    add("--staleness", type=int, default=0, help="steps that a worker may be ahead in mode ssp")
    add("--state-dir", type=Path, default=Path("matrixslow-state"), metavar="FOLDER", help="what "
        "the servers keep (matrixslow-state); a job that is there goes on")  # fmt: skip
    add("--token-file", type=Path, metavar="FILE", help="a secret that servers ask workers for")
    add("--job", default="job", help="the job's name (job)")
    add("--restarts", type=int, default=3, help="how often a process is started again (3)")
    add("--hosts", type=Path, metavar="FILE", help="for --engine mpi: machines, one a line")
    add("--dry-run", action="store_true", help="only print what would be run")
    add("script", nargs=REMAINDER, help="the script and its arguments")


def run(options: Namespace, page: Page) -> Mapping[str, Any]:
    """Run the job until its workers are done."""
    plan = Plan(
        options.script,
        workers=options.workers,
        servers=options.servers,
        mode=options.mode,
        staleness=options.staleness,
        state=options.state_dir,
        token_file=options.token_file,
        job=options.job,
    )
    if options.engine == "slurm":
        script = slurm_script(plan, restarts=options.restarts)
        page.text(script.rstrip())
        page.status = 0 if options.dry_run else submit(script)
    elif options.engine == "mpi":
        command = mpi_command(plan, mpiexec=mpiexec_of(plan.python), hosts=options.hosts)
        page.text(shlex.join(command))
        page.status = 0 if options.dry_run else run_mpi(plan, command, say=page.text)
    elif options.dry_run:
        addresses = [f"127.0.0.1:{5000 + shard}" for shard in range(plan.servers)]
        processes = [plan.server(shard, address) for shard, address in enumerate(addresses)]
        processes += [plan.worker(rank, addresses) for rank in range(plan.workers)]
        for process in processes:
            variables = [f"{name}={value}" for name, value in process.environment.items()]
            page.text(f"{process.name}: {shlex.join([*variables, *process.command])}")
    elif options.engine == "ray":
        from matrixslow.dist.ray_engine import run_on_ray

        page.status = run_on_ray(plan, restarts=options.restarts, say=page.text)
    else:
        page.status = run_here(plan, restarts=options.restarts, say=page.text)
    return {"engine": options.engine, "status": page.status}


LAUNCH = Command(
    "launch",
    "run a script on several workers, with parameter servers",
    "launch --servers 1 --workers 3 examples/distributed_mnist.py --smoke",
    options,
    run,
)
