"""R17: who may call a server. Each refusal comes before a handler is reached."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from dist_parts import small_model, values
from dist_processes import ServerProcess, client_of, servers

from matrixslow.dist.client import Client
from matrixslow.dist.security import ClientTls, ServerTls, check_exposed, read_token
from matrixslow.dist.wire import load_grpc
from matrixslow.errors import ArgumentError, ClusterError, ServerLost

TOKEN = "a token for the tests, and no secret"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two authorities, each with a certificate for 127.0.0.1 signed by it; and a token."""
    folder = tmp_path_factory.mktemp("certificates")
    (folder / "token").write_text(f"{TOKEN}\n")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    for name in ("ours", "other"):
        new = "openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
        run(
            folder, f"{new} -x509 -days 2 -subj /CN={name} -keyout {name}-ca.key -out {name}-ca.pem"
        )
        run(folder, f"{new} -subj /CN={name} -keyout {name}.key -out {name}.csr")
        run(
            folder,
            f"openssl x509 -req -days 2 -in {name}.csr -CA {name}-ca.pem -CAkey {name}-ca.key "
            f"-CAcreateserial -extfile names -out {name}.pem",
        )
    return folder


def run(folder: Path, command: str) -> None:
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def guarded(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with everything: a token, and certificates on both sides."""
    flags = [f"--tls-{x}={folder}/ours{y}" for x, y in
             (("cert", ".pem"), ("key", ".key"), ("ca", "-ca.pem"))]  # fmt: skip
    state = tmp_path_factory.mktemp("state")
    with servers(state, f"--token-file={folder}/token", *flags) as started:
        assert started[0].address
        yield started[0]


def caller(folder: Path, server: ServerProcess, change: str = "") -> Client:
    """A client that shows what it should, but for one change."""
    token = {"no token": None, "wrong token": TOKEN[:-1]}.get(change, TOKEN)
    ca = folder / ("other-ca.pem" if change == "other authority" else "ours-ca.pem")
    mine = "other" if change == "other certificate" else "ours"
    tls = ClientTls(ca, folder / f"{mine}.pem", folder / f"{mine}.key")
    if change == "no certificate":
        tls = ClientTls(ca)
    return client_of(
        [server],
        small_model(1),
        0,
        token=token,
        tls=None if change == "no tls" else tls,
        patience=0.5,
        limit=20.0,
    )


@pytest.mark.parametrize(
    ("change", "error", "rule"),
    [
        ("no token", ClusterError, "^the token is missing or wrong"),
        ("wrong token", ClusterError, "^the token is missing or wrong"),
        ("no tls", ServerLost, "was not reached"),
        ("other authority", ServerLost, "was not reached"),
        ("no certificate", ServerLost, "was not reached"),
        ("other certificate", ServerLost, "was not reached"),
    ],
)
def test_strangers_are_refused(
    folder: Path, guarded: ServerProcess, change: str, error: type[Exception], rule: str
) -> None:
    with caller(folder, guarded, change) as client, pytest.raises(error, match=rule):
        client.setup(values())
    # The control, and the proof that nothing came through: the model is still to be set up.
    with caller(folder, guarded) as client:
        needed = client._call(client._servers[0], "setup", "setup", model=client.model.to_json())
        assert needed.fields["needed"]


def test_health_is_told_to_everybody(tmp_path: Path, folder: Path) -> None:
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with servers(tmp_path, f"--token-file={folder}/token") as started:
        with load_grpc().insecure_channel(started[0].address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with client_of(started, small_model(1), 0, token=TOKEN) as client:
            client.setup(values())


@pytest.mark.parametrize(
    ("flags", "rule"),
    [
        (["--listen=0.0.0.0:0"], "0.0.0.0:0 can be reached from other machines"),
        (["--metrics=0.0.0.0:0"], "0.0.0.0:0 can be reached from other machines"),
        (["--shard=2/2"], "shard 2 of 2"),
        (["--shard=one"], "--shard one"),
        (["--staleness=-1"], "staleness=-1"),
        (["--tls-cert=x"], "--tls-cert and --tls-key belong together"),
        (["--token-file=/nowhere/x"], "/nowhere/x: No such file or directory"),
    ],
)
def test_flags_that_cannot_be_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], rule: str
) -> None:
    from matrixslow.dist.serve import main

    assert main(["--listen=127.0.0.1:0", f"--state-dir={tmp_path}", *flags]) == 2
    assert rule in capsys.readouterr().err


def test_addresses_that_others_can_reach() -> None:
    for address in ("127.0.0.1:1", "localhost:1", "[::1]:1", "127.8.9.10:1"):
        check_exposed(address, token=None, insecure=False)
    for address in ("0.0.0.0:1", "[::]:1", "10.0.0.7:1", "example.org:1", ":1"):
        check_exposed(address, token=TOKEN, insecure=False)
        check_exposed(address, token=None, insecure=True)
        with pytest.raises(ArgumentError, match="can be reached from other machines"):
            check_exposed(address, token=None, insecure=False)


def test_tokens_have_a_length(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("short\n")
    with pytest.raises(ArgumentError, match="a token has at least 16 printable ASCII characters"):
        read_token(tmp_path / "token")


def test_certificates_that_are_none_are_refused(tmp_path: Path) -> None:
    from matrixslow.dist.security import server_credentials

    with pytest.raises(ArgumentError, match=r"key\.pem: No such file"):
        server_credentials(ServerTls(tmp_path / "cert.pem", tmp_path / "key.pem"))
