"""Wire: how messages and errors travel through gRPC, the same on both sides.

Every call is a stream of pieces each way, below one method of the service for each kind of
message. An error travels as a gRPC status whose details are JSON: class, rule, rows, hint.
"""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

from matrixslow import errors
from matrixslow.errors import ClusterError, MatrixSlowError, MissingExtra

SERVICE = "matrixslow.Server"

RETRY_SECONDS = 0.05
"""How soon a busy server may be asked again."""

RETRY_KEY = "grpc-retry-pushback-ms"

KEEPALIVE = 5.0
"""After so many seconds of silence the other side is asked whether it lives; it has as long again
to answer."""

DETAILS_LIMIT = 4000
"""The most characters of an error, which travels in a header of HTTP/2."""

CHANNEL = (
    ("grpc.keepalive_time_ms", int(KEEPALIVE * 1000)),
    ("grpc.keepalive_timeout_ms", int(KEEPALIVE * 1000)),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
)

STATUS = {
    "Busy": "RESOURCE_EXHAUSTED",
    "ClusterError": "FAILED_PRECONDITION",
    "Fenced": "FAILED_PRECONDITION",
    "LogBroken": "UNAVAILABLE",
    "ServerLost": "UNAVAILABLE",
    "WorkerLost": "ABORTED",
}
"""The gRPC status of an error's class; the others are INVALID_ARGUMENT."""


def load_grpc() -> ModuleType:
    """The gRPC package.

    Raises:
        MissingExtra: It is not installed.
    """
    try:
        import grpc
    except ImportError:
        raise MissingExtra(
            "servers and their clients need grpcio, and it is not installed",
            hint="pip install 'matrixslow[dist]'",
        ) from None
    module: ModuleType = grpc
    return module


def method(kind: str) -> str:
    """The path of the method that takes messages of a kind."""
    return f"/{SERVICE}/{kind}"


def error_details(error: MatrixSlowError) -> str:
    """An error, as the details of a status; rows that do not fit are left out."""
    content: dict[str, Any] = {
        "class": type(error).__name__,
        "rule": error.rule[: DETAILS_LIMIT // 2],
        "rows": [],
        "hint": error.hint[: DETAILS_LIMIT // 4],
    }
    room = DETAILS_LIMIT // 4
    for place, row in enumerate(error.rows):
        room -= len(row)
        if room < 0:
            content["rows"].append(f"and {len(error.rows) - place} more")
            break
        content["rows"].append(row)
    return json.dumps(content)


def error_from(details: str) -> MatrixSlowError | None:
    """The error in the details of a status; None where they are not ours."""
    try:
        content = json.loads(details)
    except ValueError:
        return None
    match content:
        case {"class": str(name), "rule": str(rule), "rows": list(rows), "hint": str(hint)}:
            kind = getattr(errors, name, None)
            if not (isinstance(kind, type) and issubclass(kind, MatrixSlowError)):
                kind = ClusterError
            return kind(rule, rows=tuple(map(str, rows)), hint=hint)
    return None
