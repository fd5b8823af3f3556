"""How long, how much, how many: R4, R5, R10, R15. The figures are printed (pytest -s)."""

from __future__ import annotations

import random
import resource
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dist_parts import push, same, small_model, values
from dist_processes import ServerProcess, client_of, servers
from test_dist_log import outcome
from test_dist_log import run as live

import matrixslow as ms
from matrixslow.dist.message import encode
from matrixslow.dist.model import Model
from matrixslow.dist.recipe import describe
from matrixslow.dist.rows import TableSpec
from matrixslow.dist.wire import load_grpc, method

pytestmark = pytest.mark.chaos


def large_model(size: int, optimizer: ms.optimizers.Optimizer) -> Model:
    return Model("job", 1, [("w", (size,), "float32")], describe(optimizer))


def test_recovery_takes_time_by_the_size(tmp_path: Path) -> None:
    """R4: serving within 3 s + state / 0.5 GB/s, of snapshot and log."""
    size = 8_000_000
    model, w = large_model(size, ms.optimizers.Adam(0.1)), np.ones(size, "float32")
    with servers(tmp_path) as started, client_of(started, model, 0) as client:
        client.setup({"w": w})
        client.join()
        for step in range(1, 6):
            client.push(step, samples=1, dense={"w": w}).wait()
        before, _ = client.state()
        started[0].kill()
        kept = sum(path.stat().st_size for path in (tmp_path / "0").iterdir())
        began = time.monotonic()
        started[0] = ServerProcess(tmp_path / "0", listen=client._servers[0].address)
        assert started[0].fields["step"] == 5
        took = time.monotonic() - began
        print(f"R4: {kept / 1e6:.0f} MB in {took:.2f} s")
        assert same(client.state()[0], before)
        assert took < 3 + kept / 0.5e9


def steps_per_second(folder: Path, durability: str, *, sparse: bool, computing: float) -> float:
    """Steps of one worker that computes for so many seconds a step."""
    dense = large_model(400_000, ms.optimizers.SGD(0.1))
    tables = [TableSpec("table", 16)] if sparse else []
    model = Model("job", 1, [] if sparse else dense.variables, dense.optimizer, tables)
    rng = np.random.default_rng(0)
    w, ids = np.ones(400_000, "float32"), np.unique(rng.integers(0, 10**6, 4096))
    slopes = np.ones((len(ids), 16), "float32")
    with ExitStack() as stack:
        started = stack.enter_context(servers(folder, "--durability", durability))
        with client_of(started, model, 0) as client:
            client.setup({} if sparse else {"w": w})
            client.join()
            taken = []
            for step in range(1, 151):
                began = time.perf_counter()
                time.sleep(computing)
                given: dict[str, Any] = {"rows": {"table": (ids, slopes)}} if sparse else {}
                given |= {} if sparse else {"dense": {"w": w}}
                client.push(step, samples=1, **given).wait()
                client.pull(step, ids={"table": ids} if sparse else {}).wait()
                taken.append(time.perf_counter() - began)
    return float(1 / np.median(taken[10:]))


@pytest.mark.parametrize(("sparse", "computing", "least"), [(False, 0.0, 0.6), (True, 0.03, 0.9)])
def test_the_price_of_the_log(tmp_path: Path, sparse: bool, computing: float, least: float) -> None:
    """R5: the price is one flush of the disk a commit, 3 ms on the disk of our figures."""
    without, logged = (
        steps_per_second(tmp_path / kind, kind, sparse=sparse, computing=computing)
        for kind in ("memory", "logged")
    )
    name = "sparse" if sparse else "dense"
    print(f"R5 {name}: {logged:.0f} of {without:.0f} steps/s, {logged / without:.2f}")
    assert logged / without >= least


def test_ten_thousand_damages(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """R10: all of them are noticed, or made up for."""
    rng = random.Random(request.config.getoption("--seed"))
    state = live(tmp_path / "life", snapshots=(2, 5))
    counts = {"refused": 0, "recovered": 0}
    for number in range(10_000):
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "life", folder)
        path = rng.choice(sorted(folder.iterdir()))
        content = bytearray(path.read_bytes())
        if rng.random() < 0.5:
            for _ in range(rng.choice([1, 1, 3])):
                place = rng.randrange(8 * len(content))
                content[place // 8] ^= 1 << place % 8
        else:
            del content[rng.randrange(len(content)) :]
        path.write_bytes(content)
        counts[outcome(folder, state)] += 1
        shutil.rmtree(folder)
    print(f"R10: {counts}")


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 8192:
        pytest.skip(f"{hard} files may be open, 8192 are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def resident(server: ServerProcess) -> float:
    """Megabytes of memory."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def test_two_thousand_idle_and_two_thousand_waiting(tmp_path: Path, many_files: None) -> None:
    """R15: other calls stay fast, and memory below 300 MB."""
    grpc, waiters = load_grpc(), 2000
    with servers(tmp_path, "--evict-after", "600") as started:
        server, model = started[0], small_model(2)
        host, _, port = server.address.rpartition(":")
        with ExitStack() as idle, client_of(started, model, 0) as client:
            for _ in range(2000):
                idle.enter_context(socket.create_connection((host, int(port)), timeout=30))
            client.setup(values())
            client.join()
            message = client._message(
                client._servers[0], "pull", {"step": 5, "incarnation": client.incarnation}
            )
            request = encode(message)
            options = (("grpc.use_local_subchannel_pool", 1),)
            channels = [grpc.insecure_channel(server.address, options) for _ in range(20)]
            pulls = [channel.unary_unary(method("pull")) for channel in channels]
            calls = [pulls[number % 20].future(request, timeout=300) for number in range(waiters)]
            ends = time.monotonic() + 120
            while client.status()[0]["waiting"] < waiters:
                assert time.monotonic() < ends
                time.sleep(0.1)
                # gRPC turns some away where more than 1,000 come at once: they come again.
                for number, call in enumerate(calls):
                    if call.done():
                        calls[number] = pulls[number % 20].future(request, timeout=300)
            taken = []
            for _ in range(200):
                began = time.perf_counter()
                client.status()
                taken.append(time.perf_counter() - began)
            memory = resident(server)
            print(f"R15: status in {1e3 * np.median(taken):.1f} ms, {memory:.0f} MB")
            assert np.median(taken) < 0.1
            assert memory < 300
            for channel in channels:
                channel.close()
            assert len(calls) == waiters


def test_memory_does_not_grow_with_steps(tmp_path: Path) -> None:
    model = small_model(1)
    with ExitStack() as stack:
        started = stack.enter_context(servers(tmp_path, "--snapshot-mb", "1"))
        with client_of(started, model, 0) as client:
            client.setup(values())
            client.join()
            sizes = []
            for step in range(1, 3001):
                dense = dict(push(0, step).dense)
                client.push(step, samples=1, dense=dense).wait()
                if step in (1000, 3000):
                    sizes.append(resident(started[0]))
            print(f"memory after 1,000 and 3,000 steps: {sizes} MB")
            assert sizes[1] - sizes[0] < 10
