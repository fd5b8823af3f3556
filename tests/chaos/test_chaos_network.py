"""R7: the network is cut between workers and servers, in network namespaces made for the test."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dist_processes import ENVIRONMENT, ROOT
from dist_storm import Storm
from dist_worker import Job, arrays_only, undisturbed

pytestmark = pytest.mark.chaos

SERVER, WORKER = "10.77.0.1", "10.77.0.2"
CUT_SECONDS = 15.0

STATE = """
import sys
sys.path.insert(0, "tests")
from dist_worker import Job, model_of
from matrixslow.dist.client import Client
from matrixslow.dist.message import encode
job = Job([sys.argv[1]], 2, 0, "")
with Client(job.addresses, model_of(job), worker=0) as client:
    sys.stdout.buffer.write(encode(client._call(client._servers[0], "state", "state")))
"""


def run(command: str) -> None:
    subprocess.run(command.split(), check=True, capture_output=True, text=True, timeout=30)


@pytest.fixture
def namespaces() -> Iterator[tuple[list[str], list[str]]]:
    """Two machines with a wire between them; nothing outside of them is touched."""
    names = ("ms-server", "ms-worker")
    made = []
    try:
        for name in names:
            run(f"ip netns add {name}")
            made.append(name)
        run("ip link add ms-a netns ms-server type veth peer name ms-b netns ms-worker")
        for name, link, address in (("ms-server", "ms-a", SERVER), ("ms-worker", "ms-b", WORKER)):
            run(f"ip -n {name} addr add {address}/24 dev {link}")
            run(f"ip -n {name} link set {link} up")
            run(f"ip -n {name} link set lo up")
        yield tuple(["ip", "netns", "exec", name] for name in names)  # type: ignore[misc]
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no network namespaces here: {error}")
    finally:
        for name in made:
            run(f"ip netns del {name}")


CUTS = {
    "both ways": ("ip -n ms-worker link set ms-b down", "ip -n ms-worker link set ms-b up"),
    "to the server": (
        f"ip -n ms-worker route add blackhole {SERVER}/32",
        f"ip -n ms-worker route del blackhole {SERVER}/32",
    ),
    "to the worker": (
        f"ip -n ms-server route add blackhole {WORKER}/32",
        f"ip -n ms-server route del blackhole {WORKER}/32",
    ),
}


@pytest.mark.parametrize("cut", CUTS)
def test_a_cut_loses_nothing_and_ends_alone(
    tmp_path: Path, namespaces: tuple[list[str], list[str]], cut: str
) -> None:
    on_server, on_worker = namespaces
    within = {"server": on_server, "worker 0": on_server, "worker 1": on_worker}
    job = Job([], workers=2, steps=300, history="")
    storm = Storm(
        tmp_path,
        job,
        servers=1,
        flags=("--evict-after", "300", "--insecure"),
        late={0: 0.005},
        within=within,
        listen=f"{SERVER}:0",
    )
    with storm:
        while storm.progress() < 50:
            time.sleep(0.02)
        run(CUTS[cut][0])
        time.sleep(1.0)
        at_cut = storm.progress()
        time.sleep(CUT_SECONDS)
        assert storm.progress() <= at_cut + 1, "the control: it is cut indeed"
        run(CUTS[cut][1])
        storm.run([], seconds=240)
        state = subprocess.run(
            [*on_server, sys.executable, "-c", STATE, storm.addresses[0]],
            cwd=ROOT,
            env=ENVIRONMENT,
            check=True,
            capture_output=True,
            timeout=60,
        )
        assert [arrays_only(state.stdout)] == undisturbed(storm.job)


def test_who_is_cut_off_for_long_is_given_up(
    tmp_path: Path, namespaces: tuple[list[str], list[str]]
) -> None:
    """The others go on, and the one that was cut off joins again."""
    on_server, on_worker = namespaces
    within = {"server": on_server, "worker 0": on_server, "worker 1": on_worker}
    job = Job([], workers=2, steps=2000, history="")
    storm = Storm(
        tmp_path,
        job,
        servers=1,
        flags=("--evict-after", "10", "--insecure"),
        late={0: 0.02},
        within=within,
        listen=f"{SERVER}:0",
    )
    with storm:
        while storm.progress() < 50:
            time.sleep(0.02)
        run(CUTS["both ways"][0])
        began, at_cut = time.monotonic(), storm.progress()
        while storm.progress() < at_cut + 20:
            assert time.monotonic() - began < 40
            time.sleep(0.05)
        print(f"worker 0 went on after {time.monotonic() - began:.1f} s")
        run(CUTS["both ways"][1])
        storm.run([], seconds=240)
        assert "fenced" in storm.history(1).read_text()
