"""Nothing acknowledged is lost, nothing is applied twice, nobody waits for ever.

The short form; tests/chaos has the long one. Each check has a control, in which the mechanism is
switched off and the check fails.
"""

from __future__ import annotations

import collections
import random
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dist_parts import same, slopes, small_model, values
from dist_processes import ServerProcess, client_of, servers, until
from dist_storm import Storm, kill_plan
from dist_worker import Job, arrays_only, undisturbed

import matrixslow as ms
from matrixslow.dist.client import Client
from matrixslow.dist.message import Message, encode, header
from matrixslow.dist.model import Model
from matrixslow.dist.recipe import describe
from matrixslow.dist.wire import load_grpc, method
from matrixslow.errors import ServerLost

FORGETFUL = """
import matrixslow.dist.log as log
log.Log.append = lambda self, records: None
"""
"""Switches the log off: what was acknowledged is not on the disk."""

DEAF = """
import asyncio
import matrixslow.dist.server as server
async def wait(self, call):
    return self._applier.ask(call).result()
server.Server._ask = wait
"""
"""A handler waits in its thread for another worker, as MatrixSlow's did."""

UNCOUNTED = """
import matrixslow.dist.store as store
kept = store.Store.push
def push(self, push):
    self.version = min(self.version, push.step - 1)
    return kept(self, push)
store.Store.push = push
"""
"""A push that comes again is taken for a new one."""

SMOOTH = """
import matrixslow.dist.history as history
kept = history.History.append
def append(self, records):
    try:
        kept(self, records)
    except OSError:
        pass
history.History.append = append
"""
"""An error of the log is passed over."""


BROKEN = """
import matrixslow.dist.log as log
from matrixslow.errors import LogBroken
def append(self, records):
    raise LogBroken("log-0: a write failed")
log.Log.append = append
"""


def test_a_storm_of_kills_changes_no_bit(tmp_path: Path) -> None:
    """R1: servers and workers are killed, and it ends as if nothing had been."""
    job = Job([], workers=3, steps=60, history="")
    plan = kill_plan(4, steps=60, kills=10, servers=2, workers=3, together=5)
    with Storm(tmp_path, job, flags=("--evict-after", "300")) as storm:
        storm.run(plan, seconds=240)
        assert storm.kills == 10
        found = [arrays_only(state) for state in storm.states()]
        assert found == undisturbed(storm.job)
        # What was acknowledged to anybody is in the state that all agree on.
        assert storm.progress() == 60


def resumed(folder: Path, patch: str) -> tuple[int, int]:
    """The steps that a server acknowledged before a kill, and those that it came back with."""
    server = ServerProcess(folder, patch=patch)
    try:
        with client_of([server], small_model(1), 0) as client:
            client.setup(values())
            client.join()
            for step in range(1, 4):
                client.push(step, samples=1, dense=slopes(0, step)).wait()
    finally:
        server.kill()
    again = ServerProcess(folder)
    step = again.fields["step"]
    again.kill()
    return 3, step


def test_a_killed_server_has_what_it_acknowledged(tmp_path: Path) -> None:
    assert resumed(tmp_path / "kept", "") == (3, 3)
    assert resumed(tmp_path / "forgotten", FORGETFUL) == (3, 0)


def counted_twice(folder: Path, patch: str) -> float:
    """How much a push counts that was sent twice: its first weight, which grows by one a push."""
    recipe = describe(ms.optimizers.SGD(1.0))
    model = Model("job", 1, [("w", (2,), "float32")], recipe)
    server = ServerProcess(folder, patch=patch)
    try:
        with client_of([server], model, 0) as client:
            client.setup({"w": np.zeros(2, "float32")})
            client.join()
            for _ in range(2):
                client.push(1, samples=1, dense={"w": -np.ones(2, "float32")}).wait()
            return float(client.pull(1).wait().dense["w"][0])
    finally:
        server.kill()


def test_a_push_that_comes_again_is_not_applied_again(tmp_path: Path) -> None:
    assert counted_twice(tmp_path / "counted", "") == 1
    assert counted_twice(tmp_path / "uncounted", UNCOUNTED) == 2


def full_disk(folder: Path, patch: str) -> tuple[set[int], int, int]:
    """Steps acknowledged while the disk was full, all of them, and those that came back."""
    server = ServerProcess(folder, patch=patch)
    try:
        with client_of([server], small_model(1), 0) as client:
            client.setup(values())
            client.join()
            done: set[int] = set()

            def work() -> None:
                for step in range(1, 13):
                    client.push(step, samples=1, dense=slopes(0, step)).wait()
                    done.add(step)

            thread = threading.Thread(target=work)
            pid = server.process.pid
            log = max(folder.glob("log-*"))
            unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (log.stat().st_size + 2000, unlimited[1]))
            thread.start()
            if patch:
                thread.join(60)
            else:
                until(lambda: status(client)["failed_commits"] >= 3, "the disk is full")
            while_full = set(done)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
            thread.join(60)
            assert not thread.is_alive()
    finally:
        server.kill()
    again = ServerProcess(folder)
    step = again.fields["step"]
    again.kill()
    return while_full, max(done), step


def status(client: Client) -> dict[str, Any]:
    return dict(client._call(client._servers[0], "status", "status").fields)


def test_a_full_disk_stops_acknowledging_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    """R9."""
    while_full, done, kept = full_disk(tmp_path / "full", "")
    assert len(while_full) < 12
    assert (done, kept) == (12, 12)
    while_full, done, kept = full_disk(tmp_path / "smooth", SMOOTH)
    assert len(while_full) == 12
    assert kept < done


def late_worker(folder: Path, mode: str, workers: int, patch: str = "") -> bool:
    """Whether all finish a step although one comes when all the others wait already."""
    model = small_model(workers)
    server = ServerProcess(folder, "--mode", mode, "--evict-after", "300", patch=patch)
    clients = []
    try:
        clients = [client_of([server], model, rank, limit=20.0) for rank in range(workers)]
        clients[0].setup(values())
        for client in clients:
            client.join()
        tickets = []
        for client in clients[1:]:
            tickets.append(client.push(1, samples=5, dense=slopes(client.worker, 1)))
            tickets.append(client.pull(1))
        with pytest.raises(ServerLost) if mode == "sync" else nullcontext():
            tickets[0].wait(0.5)
        try:
            clients[0].push(1, samples=5, dense=slopes(0, 1)).wait(5.0)
            for ticket in tickets:
                ticket.wait(20.0)
        except ServerLost:
            return False
        return True
    finally:
        for client in clients:
            client.close()
        server.kill()


@pytest.mark.parametrize("mode", ["sync", "ssp", "async"])
def test_a_late_worker_holds_up_nobody_but_the_barrier(tmp_path: Path, mode: str) -> None:
    """R16: eight workers for each thread that a server of threads would have on this machine."""
    assert late_worker(tmp_path, mode, 16)


def test_handlers_that_wait_would_hang(tmp_path: Path) -> None:
    """The control of the test above."""
    assert not late_worker(tmp_path, "sync", 4, DEAF)


def test_sigterm_in_a_step(tmp_path: Path) -> None:
    """R18: it ends within ten seconds with status 0, and the step is finished after the restart."""
    model = small_model(2)
    with servers(tmp_path) as started:
        first, second = (client_of(started, model, rank) for rank in range(2))
        first.setup(values())
        first.join(), second.join()
        for step in (1, 2):
            for ticket in [
                x.push(step, samples=5, dense=slopes(x.worker, step)) for x in (first, second)
            ]:
                ticket.wait()
        before, _ = first.state()
        waiting = first.push(3, samples=5, dense=slopes(0, 3))
        until(lambda: status(second)["waiting"] == 1, "the push waits for the other worker")
        address, began = started[0].address, time.monotonic()
        assert started[0].terminate() == 0
        assert time.monotonic() - began < 10
        assert [line["message"] for line in started[0].lines[1:]][-1] == "ended at step 2"
        started[0] = ServerProcess(tmp_path / "0", listen=address)
        assert started[0].fields["step"] == 2
        assert same(first.state()[0], before)
        second.push(3, samples=5, dense=slopes(1, 3)).wait()
        assert waiting.wait() == 3
        first.close(), second.close()


def test_a_server_whose_log_is_broken_ends(tmp_path: Path) -> None:
    """It acknowledges nothing, and says which file is at fault; a new start recovers."""
    server = ServerProcess(tmp_path, patch=BROKEN)
    try:
        client = client_of([server], small_model(1), 0, patience=1.0)
        with client, pytest.raises(ServerLost, match="setup by worker 0: server 0"):
            client.setup(values())
        assert server.process.wait(20) == 1
    finally:
        server.kill()
    errors = [line for line in server.lines if line.get("error") == "LogBroken"]
    assert errors[0]["message"] == "log-0: a write failed"


def test_a_damaged_log_is_named(tmp_path: Path) -> None:
    """R10 through the process: damage is refused with the file and the offset, status 1."""
    assert resumed(tmp_path / "state", "") == (3, 3)
    for path in (tmp_path / "state").glob("snapshot-*"):
        path.unlink()
    log = min((tmp_path / "state").glob("log-*"))
    content = bytearray(log.read_bytes())
    content[200] ^= 1
    log.write_bytes(content)
    server = ServerProcess(tmp_path / "state")
    assert server.end() == 1
    assert server.lines[-1]["error"] == "FormatError"
    assert f"{log}, offset " in server.lines[-1]["message"]


# ---- noise on the wire --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shelled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with servers(tmp_path_factory.mktemp("state"), "--mode", "async") as started:
        with client_of(started, small_model(2, table=True), 0) as client:
            client.setup(values())
        yield started[0]


KINDS = ("push", "pull", "setup", "leave", "heartbeat", "gather", "state", "status", "x")
"""What strangers call. Not "join": one that is sound lets them in, and then they are none."""


def noise(rng: random.Random, sound: list[bytes]) -> bytes:
    """A message that was a sound one, until some bits flipped or parts were lost or doubled."""
    content = bytearray(rng.choice(sound))
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(content) + 1)
        match rng.randrange(5):
            case 0 if place < len(content):
                content[place] ^= 1 << rng.randrange(8)
            case 1:
                del content[place : place + rng.randrange(30)]
            case 2:
                content[place:place] = rng.randbytes(rng.randrange(30))
            case 3:
                content = content.replace(
                    rng.choice([b"0", b"1", b"worker", b"float32", b"step"]),
                    rng.choice([b"-1", b"null", b"1e999", b"[]", b'"x"', b"9" * 40, b"true"]),
                    1,
                )
            case 4:
                content[place:place] = content[: rng.randrange(len(content) + 1)]
    return bytes(content)


def sound_messages() -> list[bytes]:
    """Messages of every kind as a stranger could make them: none is of a worker that is in."""
    about = {"job": "job", "shard": 0, "shards": 1, "worker": 1, "map": 1, "incarnation": 7}
    arrays = {f"dense/{name}": x for name, x in values().items()}
    rows = {"ids/table": np.array([3]), "rows/table": np.ones((1, 2), "float32")}
    return [
        encode(Message("push", {**about, "step": 1, "samples": 3}, {**arrays, **rows})),
        encode(Message("pull", {**about, "step": 0}, {"ids/table": np.array([3])})),
        encode(Message("setup", {**about, "model": small_model(2, table=True).to_json()})),
        encode(Message("gather", {**about, "key": "epoch 0", "said": {"loss": 1}})),
        encode(Message("leave", about)),
        encode(Message("heartbeat", about)),
    ]


def shell(server: ServerProcess, seconds: float, seed: int) -> dict[str, int]:
    """Send noise; gives how often each status came back."""
    rng, sound, grpc = random.Random(seed), sound_messages(), load_grpc()
    outcomes: dict[str, int] = {}
    ends = time.monotonic() + seconds
    with grpc.insecure_channel(server.address) as channel:
        while time.monotonic() < ends:
            calls = []
            for _ in range(20):
                pieces = [noise(rng, sound) for _ in range(rng.choice([1, 1, 1, 2, 3]))]
                call = channel.stream_stream(method(rng.choice(KINDS)))(iter(pieces), timeout=5.0)
                calls.append(call)
            for call in calls:
                with suppress(grpc.RpcError):
                    collections.deque(call, maxlen=0)  # the status comes after the answer
                code = call.code().name
                outcomes[code] = outcomes.get(code, 0) + 1
    return outcomes


def throw(server: ServerProcess, seed: int, times: int) -> None:
    """Throw bytes at the port which are not even HTTP/2."""
    rng = random.Random(seed)
    host, _, port = server.address.rpartition(":")
    for _ in range(times):
        with socket.create_connection((host, int(port)), timeout=5) as plain:
            start = rng.choice(
                [b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"]
            )
            plain.sendall(start + rng.randbytes(200))


def test_noise_changes_nothing(shelled: ServerProcess) -> None:
    """R12, for some seconds."""
    with client_of([shelled], small_model(2, table=True), 0) as client:
        client.join()
        before, _ = client.state()
        outcomes = shell(shelled, 10.0, seed=12)
        throw(shelled, 13, 50)
        assert same(client.state()[0], before)
        assert set(outcomes) <= {
            "OK", "INVALID_ARGUMENT", "FAILED_PRECONDITION", "UNIMPLEMENTED", "RESOURCE_EXHAUSTED",
        }, outcomes  # fmt: skip
        assert sum(outcomes.values()) > 100
        assert not [line for line in shelled.lines if line.get("level") == "error"]
        # The control: a push that makes sense is seen by the same comparison.
        client.push(1, samples=3, dense=slopes(0, 1)).wait()
        assert not same(client.state()[0], before)


def test_a_long_message_is_refused_before_memory_is_taken(shelled: ServerProcess) -> None:
    forged = header(Message("push", {"worker": 0, "incarnation": 1}, {"x": np.ones(1)}))
    forged = forged.replace(b"[1]", b"[1152921504606846976]")
    start = len(forged) - 12
    forged = forged[:8] + start.to_bytes(4, "little") + forged[12:]
    with load_grpc().insecure_channel(shelled.address) as channel:
        call = channel.stream_stream(method("push"))(iter([forged]), timeout=5.0)
        assert call.code().name == "INVALID_ARGUMENT"
        call = channel.stream_stream(method("push"))(iter([bytes(5 << 20)]), timeout=5.0)
        assert call.code().name == "RESOURCE_EXHAUSTED"
