"""Connection: calls to one server, tried again until they are answered or their time is up."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

from matrixslow.dist.message import Assembler, Layout, Message, fresh, pieces
from matrixslow.dist.security import ClientTls, bearer, channel_credentials
from matrixslow.dist.wire import CHANNEL, RETRY_SECONDS, error_from, load_grpc, method
from matrixslow.errors import Busy, ClusterError, LogBroken, MatrixSlowError, ServerLost

Array = NDArray[Any]
Place = Callable[[Layout], Mapping[str, Array]]

LONGEST_PAUSE = 1.0
"""Seconds between two tries, at most; the first pause is much shorter."""

STATUS_SECONDS = 2.0
"""How long a server may take to say whom a call waited for."""

LATER = (Busy, LogBroken, ServerLost)
"""Errors of a server which say that it may be asked again."""

BROKEN = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "INTERNAL", "UNKNOWN")
"""What gRPC calls a connection that broke."""


class Connection:
    """Calls to one server.

    A call that a server may have taken is sent again as it was: the server knows by the worker,
    its incarnation and its step what it has already.

    Args:
        address: Host and port.
        shard: Which of the servers it is.
        token: What the server asks to be shown.
        tls: Certificates.
        patience: After so many seconds in which the server cannot be reached it is given up.
    """

    def __init__(
        self,
        address: str,
        shard: int,
        *,
        token: str | None = None,
        tls: ClientTls | None = None,
        patience: float = 60.0,
    ) -> None:
        self.address, self.shard = address, shard
        self._grpc = load_grpc()
        self._patience = patience
        self._metadata = () if token is None else bearer(token)
        self._closed = threading.Event()
        if tls is None:
            self._channel = self._grpc.insecure_channel(address, options=CHANNEL)
        else:
            self._channel = self._grpc.secure_channel(
                address, channel_credentials(tls), options=CHANNEL
            )

    def __str__(self) -> str:
        return f"server {self.shard} ({self.address})"

    def call(self, message: Message, *, what: str, limit: float, place: Place = fresh) -> Message:
        """Send a message, and give the answer.

        Args:
            message: What to send.
            what: What it is, for errors.
            limit: Seconds for all of it, tries and the server's own waiting included.
            place: Gives the arrays that the answer is written to.

        Raises:
            ServerLost: There was no answer in time.
            MatrixSlowError: The server refused it: the error is the server's own.
        """
        began = time.monotonic()
        silent: float | None = None
        pause = RETRY_SECONDS
        while True:
            remaining = began + limit - time.monotonic()
            try:
                return self._attempt(message, max(remaining, 0.001), place)
            except (self._grpc.RpcError, ValueError) as error:
                reason = self._reason(error, what)
            now = time.monotonic()
            answered = isinstance(reason, LATER)
            silent = None if answered else silent or now
            if silent is not None and now - silent >= self._patience:
                raise ServerLost(
                    f"{what}: {self} was not reached for {now - silent:.1f} s",
                    rows=(str(reason),),
                    hint="start the server again; it goes on from what it acknowledged",
                ) from None
            if now + pause >= began + limit:
                raise ServerLost(
                    f"{what}: {self} gave no answer in {limit:.1f} s",
                    rows=(str(reason), *self._waited_for()),
                    hint="look whether the other workers are there, or give a longer limit",
                ) from None
            self._closed.wait(pause)
            pause = RETRY_SECONDS if answered else min(2 * pause, LONGEST_PAUSE)

    def tell(self, message: Message, timeout: float) -> Any:
        """Send a small message, and wait for no answer; gives the call, which must be held."""
        (piece,) = pieces(message)
        call = self._channel.unary_unary(method(message.kind))
        return call.future(piece, timeout=timeout, metadata=self._metadata)

    def close(self) -> None:
        """Break off what is under way."""
        self._closed.set()
        self._channel.close()

    def _waited_for(self) -> tuple[str, ...]:
        """Which workers a call waited for, if the server says so."""
        try:
            status = self._attempt(Message("status"), STATUS_SECONDS, fresh)
        except (self._grpc.RpcError, ValueError):
            return ()
        late = status.fields.get("late")
        return (f"it waits for the workers {late}",) if late else ()

    def _attempt(self, message: Message, timeout: float, place: Place) -> Message:
        parts = pieces(message)
        first, second = next(parts), next(parts, None)
        options = {"timeout": timeout, "metadata": self._metadata}
        # On the wire a single request is a stream of one; sent as such it costs no thread.
        if second is None:
            answer = self._channel.unary_stream(method(message.kind))(first, **options)
        else:
            stream = itertools.chain((first, second), parts)
            answer = self._channel.stream_stream(method(message.kind))(stream, **options)
        assembler = Assembler(place=place)
        try:
            for piece in answer:
                assembler.add(piece)
        finally:
            answer.cancel()
        return assembler.finish()

    def _reason(self, error: Any, what: str) -> MatrixSlowError:
        """Why there was no answer, if it may be tried again; raises what may not."""
        if self._closed.is_set():
            raise ClusterError(f"{what}: the client was closed") from None
        if not isinstance(error, self._grpc.RpcError):
            raise error
        found = error_from(error.details() or "")
        if found is not None:
            if isinstance(found, LATER):
                return found
            raise found from None
        code = error.code().name
        reason = ClusterError(f"{code}: {error.details()}")
        if code not in BROKEN:
            raise ClusterError(
                f"{what}: {self} does not understand the call",
                rows=(str(reason),),
                hint="is it a server of the same version of matrixslow?",
            ) from None
        return reason
