"""Server and client as real processes on loopback: steps, restarts, refusals through the wire."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dist_parts import Site, push, same, slopes, small_model, values
from dist_processes import ServerProcess, client_of, copied, servers, until

from matrixslow.dist.client import Client
from matrixslow.dist.message import Message
from matrixslow.dist.model import Model
from matrixslow.dist.place import Place
from matrixslow.errors import (
    ArgumentError,
    ClusterError,
    FeedError,
    Fenced,
    MatrixSlowError,
    ServerLost,
)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server whose job is `small_model(2, table=True)`; it does not change in a refusal."""
    with servers(tmp_path_factory.mktemp("state"), "--mode", "async") as started:
        with client_of(started, small_model(2, table=True), 0) as client:
            client.setup(values())
        yield started[0]


def step(clients: list[Client], number: int) -> dict[str, Any]:
    """A step of all workers; gives the weights after it."""
    pushes = [
        client.push(number, samples=5 + client.worker, dense=slopes(client.worker, number))
        for client in clients
    ]
    for ticket in pushes:
        ticket.wait()
    return copied(dict(clients[0].pull(number).wait().dense))


def test_steps_through_the_wire_are_those_of_the_store(tmp_path: Path) -> None:
    model, site = small_model(2), Site(small_model(2))
    with servers(tmp_path) as started:
        clients = [client_of(started, model, rank) for rank in range(2)]
        clients[0].setup(values())
        clients[1].setup()
        assert [client.join() for client in clients] == [0, 0]
        for number in range(1, 6):
            for rank in range(2):
                site.store.push(push(rank, number))
            site.store.commit()
            assert same(step(clients, number), site.weights())
        # A server that comes back at the same address is the same server.
        address = started[0].address
        started[0].kill()
        started[0] = ServerProcess(tmp_path / "0", "--shard", "0/1", listen=address)
        assert started[0].fields["step"] == 5
        for rank in range(2):
            site.store.push(push(rank, 6))
        site.store.commit()
        assert same(step(clients, 6), site.weights())
        for client in clients:
            client.leave()
            client.close()
        assert started[0].terminate() == 0


def test_rows_and_blocks_are_put_together_from_all_servers(tmp_path: Path) -> None:
    model = small_model(1, table=True)
    ids = np.array([5, 900, 5, 12, 7])
    with servers(tmp_path, count=2) as started, client_of(started, model, 0) as client:
        client.setup(values())
        client.join()
        first = client.pull(0, ids={"table": ids}).wait()
        assert same(dict(first.dense), values())
        assert first.rows["table"].tobytes() == model.tables[0].first_rows(ids).tobytes()
        client.push(
            1, samples=4, dense=slopes(0, 1), rows={"table": (ids, np.ones((5, 2), "float32"))}
        ).wait()
        second = client.pull(1, ids={"table": np.array([900, 5, 13])}).wait()
        moved = second.rows["table"] - model.tables[0].first_rows(np.array([900, 5, 13]))
        np.testing.assert_allclose(moved, [[-0.1] * 2, [-0.1] * 2, [0, 0]], atol=1e-6)


def outcome(server: ServerProcess, kind: str, arrays: Any = None, **fields: Any) -> str:
    """What a server says to a message that may be wrong."""
    about = {"job": "job", "shard": 0, "shards": 1, "worker": 0, "map": 1}
    with client_of([server], small_model(2, table=True), 0) as client:
        try:
            answer = client._servers[0].call(
                Message(kind, {**about, **fields}, arrays or {}), what="test", limit=10.0
            )
        except MatrixSlowError as error:
            return f"{type(error).__name__}: {error}"
    return str(answer.fields)


ONES = {f"dense/{name}": x for name, x in values().items()}
NAN = {**ONES, "dense/b": np.array([1, np.nan, 1], "float32")}
ROWS = np.ones((1, 2), "float32")


@pytest.mark.parametrize(
    ("expected", "change"),
    [
        ("FeedError: push of worker 0, step 1: 1 entries do not fit", {"dense/w": ONES["dense/b"]}),
        ("FeedError: push of worker 0, step 1: 1 entries do not fit", {"dense/x": ROWS}),
        ("NonFiniteError: push of worker 0, step 1: NaN or infinity in b", NAN),
        ("FormatError: message 'push': there must be ids for all rows", {"rows/table": ROWS}),
        (
            "FeedError: push of worker 0, step 1: 1 entries do not fit",
            {"ids/tablet": np.array([3]), "rows/tablet": ROWS},
        ),
        (
            "FormatError: message 'push': ids of table must be int64",
            {"ids/table": np.array([3.0]), "rows/table": ROWS},
        ),
        (
            "FeedError: push of worker 0, step 1: 1 entries do not fit",
            {"ids/table": np.array([3]), "rows/table": np.ones((1, 3), "float32")},
        ),
    ],
)
def test_pushes_that_do_not_fit_are_refused(
    one: ServerProcess, expected: str, change: dict[str, Any]
) -> None:
    with client_of([one], small_model(2, table=True), 0) as client:
        client.join()
        before, _ = client.state()
        came = outcome(
            one, "push", {**ONES, **change}, step=1, samples=3, incarnation=client.incarnation
        )
        assert came.startswith(expected)
        assert same(client.state()[0], before)


@pytest.mark.parametrize(
    ("expected", "kind", "fields"),
    [
        ("ClusterError: this server serves the job 'job', and the call", "join", {"job": "other"}),
        ("ClusterError: this is server 0 of 1, and the call is for server 1", "join", {"shard": 1}),
        ("ClusterError: the rows were dealt out by map 2, map 1", "pull", {"map": 2}),
        ("FormatError: message 'join': worker must be a whole number", "join", {"worker": -1}),
        ("FormatError: message 'join': worker must be a whole number", "join", {"worker": "x"}),
        ("Fenced: worker 0, incarnation 9000: ", "heartbeat", {"incarnation": 9000}),
        ("FormatError: model: None does not describe one", "setup", {}),
        ("ClusterError: test: server 0 ", "sing", {}),
    ],
)
def test_calls_that_make_no_sense_are_refused(
    one: ServerProcess, expected: str, kind: str, fields: dict[str, Any]
) -> None:
    assert outcome(one, kind, **{"incarnation": 1, "step": 0, **fields}).startswith(expected)


def test_another_model_is_refused_with_all_differences(one: ServerProcess) -> None:
    other = Model("job", 2, [("w", (4, 4), "float32")], small_model().optimizer)
    with client_of([one], other, 1) as client, pytest.raises(ClusterError) as caught:
        client.setup()
    assert "unexpected  ['w', [4, 4], 'float32']" in str(caught.value)
    assert "missing     ['b', [3], 'float32']" in str(caught.value)


def test_the_client_refuses_what_does_not_fit_the_model(one: ServerProcess) -> None:
    with client_of([one], small_model(2, table=True), 0) as client:
        with pytest.raises(FeedError, match="missing     b"):
            client.push(1, samples=1, dense={"w": values()["w"]})
        with pytest.raises(FeedError, match=r"mismatched  b: \(3,\) float32 in the model"):
            client.push(1, samples=1, dense={**values(), "b": np.ones(4, "float32")})
        with pytest.raises(FeedError, match="no table 'users'"):
            client.pull(0, ids={"users": np.array([1])})
    with pytest.raises(ArgumentError, match="the address of at least one server"):
        Client([], small_model(), worker=0)


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    with servers(tmp_path) as started:
        address = started[0].address
    with (
        Client([address], small_model(), worker=0, patience=0.3) as client,
        pytest.raises(ServerLost, match=f"setup by worker 0: server 0 \\({address}\\) was not"),
    ):
        client.setup()


def test_waits_have_limits(tmp_path: Path) -> None:
    with servers(tmp_path) as started, client_of(started, small_model(2), 0, limit=1.0) as client:
        with pytest.raises(ServerLost, match="no worker gave values to server 0"):
            client.setup()
        client.setup(values())
        client.join()
        ticket = client.push(1, samples=1, dense=slopes(0, 1))
        with pytest.raises(ServerLost, match=r"push of worker 0, step 1: not done after 0\.1 s"):
            ticket.wait(0.1)
        with pytest.raises(
            ServerLost, match=r"push of worker 0, step 1: .* no answer in 1\.0 s"
        ) as e:
            ticket.wait()
        assert "it waits for the workers [1]" in e.value.rows


def test_metrics_count_what_happened(one: ServerProcess) -> None:
    with urllib.request.urlopen(one.fields["metrics"], timeout=10) as response:
        text = response.read().decode()
    assert 'matrixslow_live_workers{shard="0"}' in text
    assert "# TYPE matrixslow_pushes_total counter" in text


def test_a_second_server_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    with servers(tmp_path) as started:
        assert started[0].fields["step"] == 0
        second = ServerProcess(tmp_path / "0")
        assert second.end() == 1
        assert second.lines[0]["message"].startswith(
            f"{tmp_path / '0'}: another server, process {started[0].process.pid}, uses this folder"
        )


def test_a_newer_incarnation_fences_the_older(tmp_path: Path) -> None:
    with servers(tmp_path, count=2) as started:
        older, newer = (client_of(started, small_model(1), 0) for _ in range(2))
        older.setup(values())
        older.join()
        step([older], 1)
        assert newer.join() == 1
        with pytest.raises(Fenced):
            older.push(2, samples=1, dense=slopes(0, 2)).wait()
        step([newer], 2)
        older.close()
        newer.close()


def test_a_state_goes_to_a_cluster_of_another_size(tmp_path: Path) -> None:
    model = small_model(1, table=True)
    rows = (np.array([5, 900, 12]), np.ones((3, 2), "float32"))
    whole: dict[str, Any] | None = None
    states, place = [], Place()
    for count in (2, 1):
        flags = tmp_path / str(count)
        with servers(flags, count=count) as started, client_of(started, model, 0) as client:
            client.setup(whole or values(), place=place)
            client.join()
            if whole is None:
                client.push(
                    1, samples=4, dense=slopes(0, 1), rows={"table": rows}, part=(2, 0)
                ).wait()
            whole, place = client.state()
            states.append(whole)
    assert same(states[0], states[1])
    assert states[0]["adam/steps"] == 1
    assert place == Place(2, 1)


def test_first_values_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    model = small_model(1, table=True)
    with servers(tmp_path) as started, client_of(started, model, 0) as client:
        for wrong, rule in (
            ({"x": np.ones(1)}, "setup: 1 values do not fit the model\n  unexpected  x"),
            ({"w": np.ones((3, 4), "float32")}, "w"),
            ({"table/table/ids": np.array([1])}, "table 'table': "),
        ):
            with pytest.raises(MatrixSlowError, match=rule):
                client.setup({**values(), **wrong})
        client.setup(values())


def test_workers_meet(tmp_path: Path) -> None:
    with servers(tmp_path) as started:
        clients = [client_of(started, small_model(3), rank) for rank in range(3)]
        clients[0].setup(values())
        for client in clients:
            client.join()
        tickets = [
            client.gather("epoch 0", {"loss": client.worker}, {"n": np.full(2, client.worker)})
            for client in clients
        ]
        for ticket in tickets:
            found = ticket.wait()
            assert [found[rank].fields["loss"] for rank in range(3)] == [0, 1, 2]
            assert found[2].arrays["n"].tolist() == [2, 2]
        for client in clients:
            client.close()


def test_pushes_with_nan_may_be_counted_and_left_out(tmp_path: Path) -> None:
    model, wrong = small_model(1), {**slopes(0, 1), "b": np.array([1, np.inf, 1], "float32")}
    with (
        servers(tmp_path, "--nonfinite", "count") as started,
        client_of(started, model, 0) as client,
    ):
        client.setup(values())
        client.join()
        assert client.push(1, samples=5, dense=wrong).wait() == 1
        assert same(dict(client.pull(1).wait().dense), values())
        until(lambda: client.status()[0]["nonfinite"] == 1, "it was counted")


def test_signs_of_life_arrive(one: ServerProcess) -> None:
    with client_of([one], small_model(2, table=True), 0, heartbeat=0.1) as client:
        client.join()
        until(lambda: [beat for beat in [*client._beats] if beat.done()], "a sign was answered")
        assert next(beat for beat in [*client._beats] if beat.done()).code().name == "OK"
