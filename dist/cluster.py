"""Cluster: which worker this process is, how many there are, and where the servers listen."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matrixslow.errors import ArgumentError


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a worker knows of its job before it speaks to anybody.

    Attributes:
        rank: This worker's number, from 0. One that comes later to servers, beyond those that
            were to be, takes a number from `world` on.
        world: How many workers there are to be, for whom the first step waits.
        servers: The servers' addresses, "host:port", in the order of their shards.
        job: The job's name; one server serves one job.
        token: What the servers want to be shown, where they do.
        tls_ca: A file with the certificates that the servers' are checked against; TLS is
            spoken where it is given.
        tls_cert: A file with this worker's certificate, where the servers want one.
        tls_key: A file with the key to it.
        source: Who said which worker this is: "given", "MATRIXSLOW", "Ray", "Open MPI", "PMI",
            "Slurm", "RANK", or "alone".
    """

    rank: int = 0
    world: int = 1
    servers: tuple[str, ...] = ()
    job: str = "job"
    token: str | None = field(default=None, repr=False)
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    source: str = "alone"

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        within = self.rank < self.world or self.servers
        if self.world < 1 or self.rank < 0 or not within:
            raise ArgumentError(
                f"cluster: rank {self.rank} of {self.world} workers ({self.source})",
                hint="count the ranks from 0 to world - 1",
            )
        for address in self.servers:
            host, colon, port = address.rpartition(":")
            if not (host and colon and port.isdecimal() and 0 < int(port) < 1 << 16):
                raise ArgumentError(
                    f"cluster: {address!r} is no address of a server",
                    hint="give host:port, several with commas between them",
                )

    @property
    def first(self) -> bool:
        """Whether this is the worker that prints and writes files."""
        return self.rank == 0


VARIABLES = (
    ("MATRIXSLOW", "MATRIXSLOW_RANK", "MATRIXSLOW_WORLD"),
    ("Ray", "", ""),
    ("Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI", "PMI_RANK", "PMI_SIZE"),
    ("Slurm", "SLURM_PROCID", "SLURM_NTASKS"),
    ("RANK", "RANK", "WORLD_SIZE"),
)
"""Who may say which worker this is, in order, and by which variables of the environment."""


def cluster(
    *,
    rank: int | None = None,
    world: int | None = None,
    servers: Sequence[str] | None = None,
    job: str | None = None,
    token: str | None = None,
    tls_ca: Path | None = None,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Cluster:
    """Find out which worker this process is.

    What is given here goes first, then the environment: MATRIXSLOW_RANK and MATRIXSLOW_WORLD, a Ray
    Train session, Open MPI's and PMI's variables, Slurm's, RANK and WORLD_SIZE. With none of these
    the process is alone, and trains by itself. Servers, job, token and certificates, where they are
    not given, come from MATRIXSLOW_SERVERS ("host:port,host:port"), MATRIXSLOW_JOB,
    MATRIXSLOW_TOKEN_FILE, MATRIXSLOW_TLS_CA, MATRIXSLOW_TLS_CERT and MATRIXSLOW_TLS_KEY.

    Args:
        rank: This worker's number, from 0; goes together with `world`.
        world: How many workers there are to be.
        servers: The servers' addresses, in the order of their shards.
        job: The job's name.
        token: What the servers want to be shown.
        tls_ca: See `Cluster`.
        tls_cert: See `Cluster`.
        tls_key: See `Cluster`.
        environment: Where variables are read from.

    Raises:
        ArgumentError: A rank came without the number of workers, or a value makes no sense.

    >>> worker = ms.dist.cluster(environment={"PMI_RANK": "2", "PMI_SIZE": "8"})
    >>> worker.rank, worker.world, worker.source
    (2, 8, 'PMI')
    """
    found, counted, source = _place(rank, world, environment)
    listed = environment.get("MATRIXSLOW_SERVERS", "")
    return Cluster(
        rank=found,
        world=counted,
        servers=tuple(
            [x.strip() for x in listed.split(",") if x.strip()] if servers is None else servers
        ),
        job=job or environment.get("MATRIXSLOW_JOB") or "job",
        token=token or _token(environment.get("MATRIXSLOW_TOKEN_FILE")),
        tls_ca=tls_ca or _path(environment.get("MATRIXSLOW_TLS_CA")),
        tls_cert=tls_cert or _path(environment.get("MATRIXSLOW_TLS_CERT")),
        tls_key=tls_key or _path(environment.get("MATRIXSLOW_TLS_KEY")),
        source=source,
    )


def _place(
    rank: int | None, world: int | None, environment: Mapping[str, str]
) -> tuple[int, int, str]:
    """Rank, number of workers, and who said so."""
    if (rank is None) != (world is None):
        raise ArgumentError(f"cluster: rank={rank}, world={world}", hint="give both, or neither")
    if rank is not None and world is not None:
        return rank, world, "given"
    for source, rank_name, world_name in VARIABLES:
        if source == "Ray":
            session = _ray_session()
            if session is not None:
                return (*session, source)
        elif source == "Slurm" and "SLURM_STEP_ID" not in environment:
            continue  # a batch script, which srun has not split into tasks
        elif rank_name in environment or world_name in environment:
            found = [_number(name, environment) for name in (rank_name, world_name)]
            return found[0], found[1], source
    return 0, 1, "alone"


def _number(name: str, environment: Mapping[str, str]) -> int:
    text = environment.get(name)
    if text is None or not text.strip().isdecimal():
        raise ArgumentError(
            f"cluster: {name} must be a whole number, {text!r} came",
            hint="set both variables, or neither: rank, and number of workers",
        )
    return int(text)


def _ray_session() -> tuple[int, int] | None:
    """Rank and number of workers of a Ray Train session; None where there is none.

    Ray is not imported for that: a session has done so.
    """
    train = sys.modules.get("ray.train")
    if train is None:
        return None
    try:
        context = train.get_context()
        rank, world = context.get_world_rank(), context.get_world_size()
    except RuntimeError:  # imported, and not in a session
        return None
    return None if rank is None or world is None else (rank, world)


def _token(file: str | None) -> str | None:
    return Path(file).read_text("utf-8").strip() if file else None


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None
