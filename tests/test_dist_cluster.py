"""Which worker a process is: who may say so, in what order, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import matrixslow as ms
from matrixslow.errors import ArgumentError

SOURCES = {
    "MATRIXSLOW": ("MATRIXSLOW_RANK", "MATRIXSLOW_WORLD"),
    "Open MPI": ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    "PMI": ("PMI_RANK", "PMI_SIZE"),
    "Slurm": ("SLURM_PROCID", "SLURM_NTASKS"),
    "RANK": ("RANK", "WORLD_SIZE"),
}


def environment(*sources: str) -> dict[str, str]:
    """Variables of these sources; each says another rank, its place in the list above."""
    return {
        name: text
        for source in sources
        for name, text in zip(SOURCES[source], (str(list(SOURCES).index(source)), "9"), strict=True)
    } | {"SLURM_STEP_ID": "0"}


@pytest.mark.parametrize("first", range(len(SOURCES)))
def test_the_first_of_the_list_is_believed(first: int) -> None:
    found = ms.dist.cluster(environment=environment(*list(SOURCES)[first:]))
    assert (found.rank, found.world, found.source) == (first, 9, list(SOURCES)[first])


def test_what_is_given_goes_before_the_environment() -> None:
    found = ms.dist.cluster(rank=1, world=2, environment=environment(*SOURCES))
    assert (found.rank, found.world, found.source) == (1, 2, "given")


def test_alone_without_any_sign() -> None:
    assert ms.dist.cluster(environment={}) == ms.dist.Cluster()
    assert ms.dist.cluster(environment={}).first


def test_a_batch_script_of_slurm_is_no_task() -> None:
    variables = {"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}
    assert ms.dist.cluster(environment=variables).source == "alone"


def test_servers_token_and_certificates_come_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    variables = {
        "MATRIXSLOW_SERVERS": "a:1, b:2,",
        "MATRIXSLOW_JOB": "mnist",
        "MATRIXSLOW_TOKEN_FILE": str(tmp_path / "token"),
        "MATRIXSLOW_TLS_CA": "ca.pem",
    }
    found = ms.dist.cluster(environment=variables)
    assert found == ms.dist.Cluster(
        servers=("a:1", "b:2"), job="mnist", token="secret", tls_ca=Path("ca.pem")
    )
    assert "secret" not in repr(found)
    given = ms.dist.cluster(servers=["c:3"], job="other", token="t", environment=variables)
    assert (given.servers, given.job, given.token) == (("c:3",), "other", "t")


@pytest.mark.parametrize(
    ("variables", "rule"),
    [
        ({"PMI_RANK": "2"}, "PMI_SIZE must be a whole number, None came"),
        ({"RANK": "x", "WORLD_SIZE": "2"}, "RANK must be a whole number, 'x' came"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "rank 2 of 2 workers (RANK)"),
        ({"RANK": "0", "WORLD_SIZE": "0"}, "rank 0 of 0 workers (RANK)"),
        ({"MATRIXSLOW_SERVERS": "localhost"}, "'localhost' is no address of a server"),
        ({"MATRIXSLOW_SERVERS": "a:99999"}, "'a:99999' is no address of a server"),
    ],
)
def test_what_makes_no_sense_is_refused(variables: dict[str, str], rule: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(f"cluster: {rule}")):
        ms.dist.cluster(environment=variables)


def test_a_rank_needs_the_number_of_workers() -> None:
    with pytest.raises(ArgumentError, match="cluster: rank=1, world=None"):
        ms.dist.cluster(rank=1, environment={})
