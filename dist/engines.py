"""Engines: what starts the processes of a job on machines that others look after."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from matrixslow.dist.plan import Plan, Process
from matrixslow.dist.supervisor import (
    Say,
    Supervised,
    free_ports,
    start_servers,
    told_to_stop,
    watch,
)
from matrixslow.errors import ArgumentError, ClusterError

SERVER_PORT = 5000
"""The port of server 0 on a Slurm cluster; the others follow."""


def mpi_command(plan: Plan, *, mpiexec: str = "mpiexec", hosts: Path | None = None) -> list[str]:
    """The command that starts the workers by MPI.

    Args:
        plan: What to run.
        mpiexec: The program of the MPI that mpi4py was built for.
        hosts: A file that lists machines, as that program wants it.
    """
    where = [] if hosts is None else ["-hostfile", str(hosts)]
    own = [plan.python, "-m", "matrixslow.dist.rank", *plan.script]
    return [mpiexec, *where, "-n", str(plan.workers), *own]


def run_mpi(plan: Plan, command: Sequence[str], *, say: Say) -> int:
    """Run a job by MPI, with servers, if it has any, on this machine.

    A worker that is lost ends the job. Returns the exit status.
    """
    addresses = [f"127.0.0.1:{port}" for port in free_ports(plan.servers)]
    process = Process("mpi", command, plan.shared(addresses))
    with ExitStack() as stack, told_to_stop() as stopping:
        servers = start_servers(stack, plan, addresses, restarts=3, say=say)
        workers = Supervised(process, restarts=0, say=say)
        stack.callback(workers.stop, 5.0)
        return watch(servers, [workers], stopping, say)


def mpiexec_of(python: str) -> str:
    """The `mpiexec` beside an interpreter, as the `mpich` package puts it there, or on the path.

    Raises:
        ClusterError: There is none.
    """
    beside = Path(python).parent / "mpiexec"
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    if found is None:
        raise ClusterError(
            "launch: no mpiexec", hint="pip install 'matrixslow[mpi]' mpich, or load your MPI"
        )
    return found


def slurm_script(plan: Plan, *, restarts: int) -> str:
    """A script for `sbatch`: servers on the first machine, workers on all.

    Servers and workers that fail are started again where they were, without the others. Workers
    that sum by themselves end together, and start again from their checkpoint.

    Args:
        plan: What to run; with servers it needs a token, since other machines reach them.
        restarts: How often each process is started again.

    Raises:
        ArgumentError: There are servers, and no token.
    """
    if plan.servers and plan.token_file is None:
        raise ArgumentError(
            "launch: servers that other machines reach need a token",
            hint="openssl rand -hex 32 > token; launch --token-file token ...",
        )
    lines = [
        "#!/bin/bash",
        f"#SBATCH --job-name={plan.job}",
        f"#SBATCH --ntasks={plan.workers + plan.servers}",
        "#SBATCH --output=%x-%j.log",
        "",
        "# Run a command, and again when it fails.",
        f'again() {{ for try in {{0..{restarts}}}; do "$@" && return; done; return 1; }}',
        "export -f again",
    ]
    if plan.servers:
        lines += ["", 'first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)']
        addresses = [f"$first:{SERVER_PORT + shard}" for shard in range(plan.servers)]
        for shard, address in enumerate(addresses):
            run = _quoted(plan.server(shard, "ADDRESS").command).replace("ADDRESS", f'"{address}"')
            lines.append(
                f'srun --nodes=1 --ntasks=1 --nodelist="$first" bash -c \'again "$@"\' _ {run} &'
            )
        lines.append("servers=$(jobs -p)")
        lines += [f"export {k}={_value(v)}" for k, v in plan.shared(addresses).items()]
        lines += [
            f"srun --ntasks={plan.workers} --no-kill --kill-on-bad-exit=0 "
            f"bash -c 'again \"$@\"' _ {_quoted([plan.python, *plan.script])}",
            "status=$?",
            "kill $servers",
            "wait",
            "exit $status",
        ]
    else:
        lines += [f"export {k}={_value(v)}" for k, v in plan.shared([]).items()]
        rank = [plan.python, "-m", "matrixslow.dist.rank", *plan.script]
        lines.append(
            f"again srun --ntasks={plan.workers} --mpi=pmi2 --kill-on-bad-exit=1 {_quoted(rank)}"
        )
    return "\n".join(lines) + "\n"


def submit(script: str) -> int:
    """Hand a script to `sbatch`; returns its exit status.

    Raises:
        ClusterError: This machine has none.
    """
    if shutil.which("sbatch") is None:
        raise ClusterError(
            "launch: no sbatch on this machine",
            hint="run it where Slurm is, or take the script from --dry-run",
        )
    return subprocess.run(["sbatch"], input=script, text=True, check=False).returncode


def _quoted(command: Sequence[str]) -> str:
    return shlex.join(command)


def _value(text: str) -> str:
    """Text for a shell's double quotes, in which variables are filled in."""
    return f'"{text}"'
