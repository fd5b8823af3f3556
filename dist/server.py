"""Server: takes calls from workers, and passes them to the thread that owns the store.

All connections are served by one event loop, which never waits: neither for the disk nor for
another worker. So a late worker holds nobody up but those that asked to wait for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from typing import Any

from numpy.typing import NDArray

from matrixslow.dist.applier import Applier, Call
from matrixslow.dist.buffers import Buffers
from matrixslow.dist.gathering import Gathered, pack_gathered
from matrixslow.dist.message import PAYLOAD_LIMIT, Assembler, Layout, Message, pieces
from matrixslow.dist.metrics import Traffic
from matrixslow.dist.model import model_of
from matrixslow.dist.place import Place
from matrixslow.dist.pulls import Weights
from matrixslow.dist.requests import caller, check_addressee, check_rows, check_shard, push_of
from matrixslow.dist.security import ServerTls, check_exposed, server_credentials, token_guard
from matrixslow.dist.store import Store
from matrixslow.dist.wire import (
    KEEPALIVE,
    RETRY_KEY,
    RETRY_SECONDS,
    SERVICE,
    STATUS,
    error_details,
    load_grpc,
)
from matrixslow.errors import ClusterError, MatrixSlowError, ServerLost

Array = NDArray[Any]
Answer = Callable[[Message], Awaitable[Message]]

LOG = logging.getLogger("matrixslow.dist")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a server takes upon itself.

    Attributes:
        message: The most bytes of arrays in a message.
        streams: The most calls at a time over one connection.
    """

    message: int = PAYLOAD_LIMIT
    streams: int = 256


class Server:
    """A server of gRPC before an applier.

    Args:
        applier: Owns the store.
        listen: Host and port; port 0 takes one that is free.
        token: What callers must show.
        tls: Certificates.
        insecure: Whether others than this machine may call without a token.
        limits: How much it takes upon itself.

    Attributes:
        address: Host and port, once started.
        about: Fields that `status` tells, beside the figures.
        traffic: Bytes of messages that came and went.

    Raises:
        ArgumentError: It would be open to other machines without a token.
    """

    def __init__(
        self,
        applier: Applier,
        listen: str,
        *,
        token: str | None = None,
        tls: ServerTls | None = None,
        insecure: bool = False,
        limits: Limits | None = None,
    ) -> None:
        check_exposed(listen, token=token, insecure=insecure)
        self.address = listen
        self.about: dict[str, Any] = {}
        self.traffic = Traffic(0, 0)
        self._grpc = load_grpc()
        self._applier = applier
        self._token, self._tls = token, tls
        self._limits = limits or Limits()
        self._buffers = Buffers()
        self._receiving: dict[tuple[int, int], asyncio.Task[Any]] = {}
        self._server: Any = None
        self._health: Any = None

    async def start(self) -> None:
        """Listen. Calls are put off until the store is recovered and `serve` says so.

        Raises:
            ClusterError: The address cannot be had.
        """
        aio = self._grpc.aio
        guards = [] if self._token is None else [token_guard(self._token)]
        self._server = aio.server(
            interceptors=guards,
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.max_concurrent_streams", self._limits.streams),
                ("grpc.keepalive_time_ms", int(KEEPALIVE * 1000)),
                ("grpc.keepalive_timeout_ms", int(KEEPALIVE * 1000)),
                ("grpc.http2.min_recv_ping_interval_without_data_ms", int(KEEPALIVE * 500)),
                ("grpc.http2.max_ping_strikes", 0),
            ],
        )
        answers: dict[str, Answer] = {
            "setup": self._setup,
            "join": self._join,
            "heartbeat": self._heartbeat,
            "leave": self._leave,
            "pull": self._pull,
            "gather": self._gather,
            "status": self._status,
            "state": self._state,
        }
        handlers = {kind: self._handler(kind, answer) for kind, answer in answers.items()}
        handlers["push"] = self._grpc.stream_stream_rpc_method_handler(self._push)
        self._server.add_generic_rpc_handlers(
            (self._grpc.method_handlers_generic_handler(SERVICE, handlers),)
        )
        self._add_health()
        self._bind()
        await self._server.start()
        await self.serve(False)

    async def serve(self, ready: bool) -> None:
        """Say in the health service whether calls are answered."""
        from grpc_health.v1.health_pb2 import HealthCheckResponse

        status = HealthCheckResponse.SERVING if ready else HealthCheckResponse.NOT_SERVING
        for name in ("", SERVICE):
            await self._health.set(name, status)

    async def stop(self, grace: float) -> None:
        """Take no more calls; those that are under way have so many seconds to end."""
        await self._server.stop(grace)

    def _add_health(self) -> None:
        from grpc_health.v1 import health, health_pb2_grpc

        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)

    def _bind(self) -> None:
        try:
            if self._tls is None:
                port = self._server.add_insecure_port(self.address)
            else:
                port = self._server.add_secure_port(self.address, server_credentials(self._tls))
        except RuntimeError:
            port = 0
        if not port:
            raise ClusterError(
                f"{self.address}: this address cannot be had",
                hint="another server may have it: give --listen another port, or port 0",
            )
        self.address = f"{self.address.rpartition(':')[0]}:{port}"

    # ---- calls -----------------------------------------------------------------------------------

    def _handler(self, kind: str, answer: Answer) -> Any:
        async def handle(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            try:
                self._check_ready()
                assembler = Assembler(limit=self._limits.message)
                found = await answer(await self._receive(kind, requests, assembler))
            except MatrixSlowError as error:
                await self._refuse(context, error)
                return
            for piece in self._pieces(found):
                yield piece

        return self._grpc.stream_stream_rpc_method_handler(handle)

    async def _push(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        """Take a push, into memory that is given back when the store is done with it."""
        buffers: list[Array] = []
        keys: list[tuple[int, int]] = []

        def place(layout: Layout) -> Mapping[str, Array]:
            keys.append(caller(Message(layout.kind, layout.fields)))
            self._supersede(keys[0])
            buffers.append(self._buffers.take(layout.size))
            return layout.message(buffers[0]).arrays

        try:
            self._check_ready()
            assembler = Assembler(limit=self._limits.message, place=place)
            try:
                message = await self._receive("push", requests, assembler)
            finally:
                self._forget(keys)
            version = await self._ask(lambda store: self._enter_push(store, message, buffers))
        except MatrixSlowError as error:
            await self._refuse(context, error)
            return
        for piece in self._pieces(Message("done", {"version": version})):
            yield piece

    def _supersede(self, key: tuple[int, int]) -> None:
        """Break off a push that the same worker sends again, so that each takes memory once."""
        task = asyncio.current_task()
        assert task is not None
        older, self._receiving[key] = self._receiving.get(key), task
        if older is not None:
            older.cancel()

    def _forget(self, keys: list[tuple[int, int]]) -> None:
        for key in keys:
            if self._receiving.get(key) is asyncio.current_task():
                del self._receiving[key]

    def _enter_push(self, store: Store, message: Message, buffers: list[Array]) -> Future[int]:
        check_addressee(store, message)
        check_rows(store, message)
        future = store.push(push_of(message))
        future.add_done_callback(lambda _: self._buffers.give(buffers[0]))
        return future

    async def _setup(self, message: Message) -> Message:
        model = model_of(message)
        values = message.under("values/") if message.fields.get("values") else None
        place = Place.from_json(message.fields.get("place")) if values is not None else None

        def call(store: Store) -> Future[int] | None:
            check_shard(store, message)
            return store.setup(model, values, place=place)

        version = await self._ask(call)
        return Message("done", {"needed": version is None, "version": version or 0})

    async def _join(self, message: Message) -> Message:
        worker = message.whole("worker")
        asked = message.whole("incarnation", least=1) if "incarnation" in message.fields else None

        def call(store: Store) -> Future[int]:
            check_addressee(store, message)
            return store.join(worker, asked)

        incarnation = await self._ask(call)
        # Asked again, since a step may have been applied in the same commit.
        step = await self._ask(lambda store: store.resume_step(worker, incarnation))
        return Message("done", {"incarnation": incarnation, "step": step})

    async def _heartbeat(self, message: Message) -> Message:
        worker, incarnation = caller(message)
        step = await self._ask(lambda store: store.heartbeat(worker, incarnation))
        return Message("done", {"step": step})

    async def _leave(self, message: Message) -> Message:
        worker, incarnation = caller(message)
        version = await self._ask(lambda store: store.leave(worker, incarnation))
        return Message("done", {"version": version})

    async def _pull(self, message: Message) -> Message:
        worker, incarnation = caller(message)
        step = message.whole("step")
        ids = message.under("ids/")
        asked: list[Future[Weights]] = []

        def call(store: Store) -> Future[Weights]:
            check_addressee(store, message)
            check_rows(store, message)
            asked.append(store.pull(worker, incarnation, step, ids))
            return asked[0]

        try:
            weights: Weights = await self._ask(call)
        except asyncio.CancelledError:
            if asked:
                self._applier.ask(lambda store: store.withdraw(asked[0]))
            raise
        arrays = {f"dense/{name}": x for name, x in weights.dense.items()}
        arrays |= {f"rows/{name}": x for name, x in weights.rows.items()}
        fields = {
            "version": weights.version,
            "place": weights.place.to_json(),
            "live": list(weights.live),
        }
        return Message("weights", fields, arrays)

    async def _gather(self, message: Message) -> Message:
        worker, incarnation = caller(message)
        key = message.text("key")
        if not isinstance(message.fields.get("said"), dict):
            message.refuse("there must be something said")

        def call(store: Store) -> Future[Gathered]:
            check_addressee(store, message)
            return store.gather(worker, incarnation, key, message)

        return pack_gathered(await self._ask(call))

    async def _status(self, message: Message) -> Message:
        return Message("done", {**asdict(self._applier.figures), **self.about})

    async def _state(self, message: Message) -> Message:
        def call(store: Store) -> Message:
            check_addressee(store, message)
            return store.state()

        state: Message = await self._ask(call)
        return state

    async def _ask(self, call: Call) -> Any:
        return await asyncio.wrap_future(self._applier.ask(call))

    def _check_ready(self) -> None:
        if not self._applier.recovered.done():
            raise ServerLost("the server reads its log", hint="ask again")

    async def _refuse(self, context: Any, error: MatrixSlowError) -> None:
        status = STATUS.get(type(error).__name__, "INVALID_ARGUMENT")
        trailer = ((RETRY_KEY, str(int(RETRY_SECONDS * 1000))),)
        await context.abort(
            getattr(self._grpc.StatusCode, status),
            error_details(error),
            trailer if status == "RESOURCE_EXHAUSTED" else (),
        )

    async def _receive(
        self, kind: str, requests: AsyncIterator[bytes], assembler: Assembler
    ) -> Message:
        async for piece in requests:
            self.traffic = self.traffic._replace(received=self.traffic.received + len(piece))
            assembler.add(piece)
        message = assembler.finish()
        if message.kind != kind:
            message.refuse(f"it came to the method {kind!r}")
        return message

    def _pieces(self, message: Message) -> Iterator[bytes]:
        for piece in pieces(message):
            self.traffic = self.traffic._replace(sent=self.traffic.sent + len(piece))
            yield piece
