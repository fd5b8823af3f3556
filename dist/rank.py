"""Rank: runs a worker's script under MPI, and says which rank it was if it is killed.

    mpiexec -n 8 python -m matrixslow.dist.rank train.py

MPI ends the job when a process dies, and names it by its number on its machine, which tells nobody
which worker it was.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from collections.abc import Sequence

from matrixslow.dist.cluster import cluster
from matrixslow.dist.supervisor import die_with_parent


def main(arguments: Sequence[str]) -> int:
    """Run a script with its arguments in a child; returns its exit status."""
    place = cluster()
    child = os.fork()
    if child == 0:
        die_with_parent()
        sys.argv = list(arguments)
        sys.path[0] = os.path.dirname(os.path.abspath(arguments[0]))
        runpy.run_path(arguments[0], run_name="__main__")
        return 0
    _, ended = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(ended)
    if code < 0:
        name = signal.Signals(-code).name
        print(
            f"WorkerLost: worker {place.rank} of {place.world} was killed by {name}; "
            "the job ends, and goes on from its checkpoint when it is started again",
            file=sys.stderr,
            flush=True,
        )
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
