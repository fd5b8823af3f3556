"""Security: who may call a server, and how both sides know each other."""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matrixslow.dist.wire import error_details, load_grpc
from matrixslow.errors import ArgumentError, ClusterError

TOKEN_LEAST = 16
"""The fewest characters of a token."""


@dataclass(frozen=True, slots=True)
class ServerTls:
    """A server's certificates, as files in PEM.

    Attributes:
        certificate: Its own.
        key: Belongs to it.
        authority: Who must have signed the certificates of workers; without it they need none.
    """

    certificate: Path
    key: Path
    authority: Path | None = None


@dataclass(frozen=True, slots=True)
class ClientTls:
    """A worker's certificates, as files in PEM.

    Attributes:
        authority: Who must have signed the server's certificate.
        certificate: Its own, where the server asks for one.
        key: Belongs to it.
    """

    authority: Path
    certificate: Path | None = None
    key: Path | None = None


def read_token(path: Path) -> str:
    """The token in a file.

    Raises:
        ArgumentError: The file cannot be read, or its content is too short for a secret.
    """
    token = _read(path).decode("utf-8", "replace").strip()
    if len(token) < TOKEN_LEAST or not token.isascii() or not token.isprintable():
        raise ArgumentError(
            f"{path}: a token has at least {TOKEN_LEAST} printable ASCII characters",
            hint="openssl rand -hex 32 makes one",
        )
    return token


def check_exposed(address: str, *, token: str | None, insecure: bool) -> None:
    """Refuse to listen where others could call without a token.

    Raises:
        ArgumentError: They could.
    """
    if token is None and not insecure and not is_loopback(address):
        raise ArgumentError(
            f"{address} can be reached from other machines, and there is no token",
            hint="give --token-file (and --tls-cert, --tls-key), or --insecure on a closed network",
        )


def is_loopback(address: str) -> bool:
    """Whether an address, host and port, can be reached from this machine only."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """The metadata that show a token."""
    return (("authorization", f"Bearer {token}"),)


def token_guard(token: str) -> Any:
    """An interceptor that lets nobody through to a handler without the token.

    The health service is for all: it tells whether the server serves, and no more.
    """
    grpc: Any = load_grpc()
    interceptor: Any = grpc.aio.ServerInterceptor
    expected = dict(bearer(token))["authorization"].encode()
    refusal = error_details(
        ClusterError("the token is missing or wrong", hint="give the worker the server's token")
    )

    async def refuse(requests: Any, context: Any) -> None:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, refusal)

    class Guard(interceptor):  # type: ignore[misc]
        async def intercept_service(self, continuation: Any, details: Any) -> Any:
            shown = dict(details.invocation_metadata).get("authorization", "")
            shown = shown if isinstance(shown, bytes) else shown.encode()
            known = hmac.compare_digest(shown, expected)
            if known or details.method.startswith("/grpc.health.v1.Health/"):
                return await continuation(details)
            return grpc.stream_stream_rpc_method_handler(refuse)

    return Guard()


def server_credentials(tls: ServerTls) -> Any:
    """For gRPC."""
    authority = None if tls.authority is None else _read(tls.authority)
    return load_grpc().ssl_server_credentials(
        [(_read(tls.key), _read(tls.certificate))],
        root_certificates=authority,
        require_client_auth=authority is not None,
    )


def channel_credentials(tls: ClientTls) -> Any:
    """For gRPC."""
    return load_grpc().ssl_channel_credentials(
        root_certificates=_read(tls.authority),
        private_key=None if tls.key is None else _read(tls.key),
        certificate_chain=None if tls.certificate is None else _read(tls.certificate),
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArgumentError(f"{path}: {error.strerror}") from None
