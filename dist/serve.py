"""Serve: the command line of the parameter server, and its life from start to SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

from matrixslow.compiler.threads import set_threads
from matrixslow.dist.applier import Applier
from matrixslow.dist.history import History
from matrixslow.dist.log import Durability
from matrixslow.dist.metrics import MetricsServer, metrics_text
from matrixslow.dist.options import Mode, Options
from matrixslow.dist.security import ServerTls, check_exposed, is_loopback, read_token
from matrixslow.dist.server import Limits, Server
from matrixslow.dist.store import Store
from matrixslow.errors import ArgumentError, ClusterError, MatrixSlowError

GRACE = 1.0
"""Seconds that calls under way have to end, once the last commit is done."""

LOG = logging.getLogger("matrixslow.dist")


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, message, and the fields in `extra={"fields": ...}`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        content = {
            "time": f"{moment}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            content["traceback"] = self.formatException(record.exc_info)
        return json.dumps(content, default=str)


def parser() -> argparse.ArgumentParser:
    """The flags."""
    flags = argparse.ArgumentParser(
        prog="python -m matrixslow.serve",
        description="A parameter server: keeps weights and optimizer state, takes gradients. "
        "Nothing that it acknowledged is lost or applied twice.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = flags.add_argument
    add("--listen", default="127.0.0.1:5000", metavar="HOST:PORT", help="where workers find it; "
        "port 0 takes a free one, which the start-up line names")  # fmt: skip
    add("--shard", default="0/1", metavar="I/N", help="which of the N servers of the job it is, "
        "counted from 0")  # fmt: skip
    add("--mode", choices=get_args(Mode), default="sync", help="sync: a step is taken when every "
        "live worker's gradients are in. async: with every push. ssp: so too, but no worker runs "
        "further ahead than --staleness")  # fmt: skip
    add("--staleness", type=int, default=0, metavar="STEPS", help="for --mode ssp: how far a "
        "worker may be ahead of the slowest")  # fmt: skip
    add("--min-workers", type=int, default=1, metavar="N", help="with fewer live workers than "
        "this the others are told so, and stop waiting")  # fmt: skip
    add("--evict-after", type=float, default=10.0, metavar="SECONDS", help="a worker that was "
        "silent for so long is given up; it can join again")  # fmt: skip
    add("--nonfinite", choices=("refuse", "count"), default="refuse", help="gradients with NaN or "
        "infinity: refuse them with an error, or count them and leave them out")  # fmt: skip
    add("--state-dir", type=Path, default=Path("matrixslow-state"), metavar="FOLDER", help="log "
        "and snapshots, from which it recovers")  # fmt: skip
    add("--durability", choices=get_args(Durability), default="logged", help="logged: what was "
        "acknowledged is on the disk. interval: up to a second of it may be lost. memory: all of "
        "it since the last snapshot")  # fmt: skip
    add("--snapshot-mb", type=int, default=256, metavar="MB", help="take a snapshot when the log "
        "is so long")  # fmt: skip
    add("--snapshot-seconds", type=float, default=300.0, metavar="SECONDS", help="take a "
        "snapshot when the last one is so old, if anything is new")  # fmt: skip
    add("--token-file", type=Path, metavar="FILE", help="a secret that workers must show")
    add("--insecure", action="store_true", help="listen to other machines without a token")
    add("--tls-cert", type=Path, metavar="FILE", help="the server's certificate, PEM")
    add("--tls-key", type=Path, metavar="FILE", help="the key of --tls-cert, PEM")
    add("--tls-ca", type=Path, metavar="FILE", help="ask workers for certificates that this "
        "authority signed, PEM")  # fmt: skip
    add("--metrics", default="127.0.0.1:0", metavar="HOST:PORT", help="where Prometheus finds "
        "/metrics; port 0 takes a free one; none turns it off")  # fmt: skip
    add("--max-message-mb", type=int, default=16384, metavar="MB", help="refuse longer messages")
    add("--max-streams", type=int, default=256, metavar="N", help="calls at a time over one "
        "connection")  # fmt: skip
    add("--threads", type=int, default=1, metavar="N", help="threads of an optimizer's step; more "
        "only pay for large dense models on a machine without workers")  # fmt: skip
    add("--log-level", choices=("debug", "info", "warning", "error"), default="info", help="which "
        "JSON lines are written to stderr")  # fmt: skip
    return flags


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a server until SIGTERM or SIGINT; returns the exit status."""
    flags = parser()
    options = flags.parse_args(arguments)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    LOG.addHandler(handler)
    LOG.setLevel(options.log_level.upper())
    LOG.propagate = False
    try:
        set_threads(options.threads)
        with locked(options.state_dir):
            return asyncio.run(_serve(options))
    except MatrixSlowError as error:
        LOG.critical("%s", error, extra={"fields": {"error": type(error).__name__}})
        return 2 if isinstance(error, ArgumentError) else 1
    finally:
        LOG.removeHandler(handler)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a state folder for one server; the kernel lets go of it when the process ends.

    Raises:
        ClusterError: Another process holds it, or it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ClusterError(
            f"{folder}: {error.strerror}", hint="give --state-dir a folder to write in"
        ) from None
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(file, 20, 0).decode("ascii", "replace").strip()
            raise ClusterError(
                f"{folder}: another server, process {owner}, uses this folder",
                hint="give --state-dir another one",
            ) from None
        os.ftruncate(file, 0)
        os.pwrite(file, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(file)


def _store_options(flags: argparse.Namespace) -> Options:
    shard, _, shards = flags.shard.partition("/")
    if not (shard.isdecimal() and shards.isdecimal()):
        raise ArgumentError(f"--shard {flags.shard}", hint="give I/N, such as 0/2")
    return Options(
        shard=int(shard),
        shards=int(shards),
        mode=flags.mode,
        staleness=flags.staleness,
        min_workers=flags.min_workers,
        evict_after=flags.evict_after,
        nonfinite=flags.nonfinite,
    )


def _tls(flags: argparse.Namespace) -> ServerTls | None:
    if (flags.tls_cert is None) != (flags.tls_key is None) or (
        flags.tls_ca is not None and flags.tls_cert is None
    ):
        raise ArgumentError("--tls-cert and --tls-key belong together, and --tls-ca needs them")
    if flags.tls_cert is None:
        return None
    return ServerTls(flags.tls_cert, flags.tls_key, flags.tls_ca)


async def _serve(flags: argparse.Namespace) -> int:
    options = _store_options(flags)
    token = None if flags.token_file is None else read_token(flags.token_file)
    history = History(flags.state_dir, durability=flags.durability)
    applier = Applier(
        Store(history.append, options),
        history,
        snapshot_bytes=flags.snapshot_mb << 20,
        snapshot_seconds=flags.snapshot_seconds,
    )
    server = Server(
        applier,
        flags.listen,
        token=token,
        tls=_tls(flags),
        insecure=flags.insecure,
        limits=Limits(flags.max_message_mb << 20, flags.max_streams),
    )
    server.about |= {"mode": options.mode, "staleness": options.staleness}
    if flags.metrics != "none":
        check_exposed(flags.metrics, token=None, insecure=flags.insecure)
    if token is not None and flags.tls_cert is None and not is_loopback(flags.listen):
        LOG.warning("the token crosses the network in the clear: give --tls-cert and --tls-key")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await server.start()
    metrics = None
    try:
        metrics = await _start_metrics(flags, applier, server, options)
        applier.start()
        await _until_end(applier, server, stop, flags, options)
    finally:
        if metrics is not None:
            metrics.stop()
        await server.stop(GRACE)
    LOG.info("ended at step %d", applier.figures.version)
    return 0


async def _start_metrics(
    flags: argparse.Namespace, applier: Applier, server: Server, options: Options
) -> MetricsServer | None:
    if flags.metrics == "none":
        return None
    metrics = MetricsServer(
        lambda: metrics_text(applier.figures, server.traffic, shard=options.shard), flags.metrics
    )
    await metrics.start()
    server.about["metrics"] = metrics.url
    return metrics


async def _until_end(
    applier: Applier,
    server: Server,
    stop: asyncio.Event,
    flags: argparse.Namespace,
    options: Options,
) -> None:
    """Recover, serve until told to stop, and finish the commit."""
    ended: asyncio.Future[Any] = asyncio.wrap_future(applier.ended)
    stopped: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
    version = await asyncio.wrap_future(applier.recovered)
    about: dict[str, Any] = {
        "address": server.address,
        "mode": options.mode,
        "shard": f"{options.shard}/{options.shards}",
        "step": version,
        "state_dir": str(flags.state_dir),
        "metrics": server.about.get("metrics"),
        "process": os.getpid(),
    }
    LOG.info(
        "serving on %s, mode %s, shard %s, state recovered to step %d",
        *(about[key] for key in ("address", "mode", "shard", "step")),
        extra={"fields": {"event": "serving", **about}},
    )
    await server.serve(True)
    await asyncio.wait([ended, stopped], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    await server.serve(False)
    applier.stop()
    await ended
