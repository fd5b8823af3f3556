"""Requests: what the messages of workers say, looked at before the store sees it."""

from __future__ import annotations

import numpy as np

from matrixslow.dist.message import Message
from matrixslow.dist.place import Part
from matrixslow.dist.rounds import Push
from matrixslow.dist.store import Store
from matrixslow.errors import ClusterError, FeedError, FormatError


def caller(message: Message) -> tuple[int, int]:
    """The worker that calls, and its incarnation."""
    return message.whole("worker"), message.whole("incarnation", least=1)


def push_of(message: Message) -> Push:
    """The push in a message.

    Raises:
        FormatError: It is none.
    """
    ids, rows = message.under("ids/"), message.under("rows/")
    if list(ids) != list(rows):
        message.refuse("there must be ids for all rows, and rows for all ids")
    return Push(
        *caller(message),
        message.whole("step", least=1),
        message.whole("samples"),
        message.under("dense/"),
        {name: (ids[name], rows[name]) for name in ids},
        None if message.fields.get("part") is None else _part(message),
    )


def _part(message: Message) -> Part:
    match message.fields["part"]:
        case [int(epoch), int(batch)] if 0 <= epoch < 1 << 63 and 0 <= batch < 1 << 63:
            return epoch, batch
    raise FormatError(f"push: part {message.fields['part']!r} is no epoch and batch")


def check_shard(store: Store, message: Message) -> None:
    """Refuse what was meant for another server.

    Raises:
        ClusterError: The list of servers is another one, or in another order.
    """
    asked = (message.whole("shard"), message.whole("shards", least=1))
    here = (store.options.shard, store.options.shards)
    if asked != here:
        raise ClusterError(
            f"this is server {here[0]} of {here[1]}, and the call is for server {asked[0]} of "
            f"{asked[1]}",
            hint="give all workers the addresses of all servers, in the order of --shard",
        )


def check_addressee(store: Store, message: Message) -> None:
    """Refuse what was meant for another server or another job.

    Raises:
        ClusterError: It was.
    """
    check_shard(store, message)
    job = message.text("job")
    if store.model is not None and store.model.job != job:
        raise ClusterError(
            f"this server serves the job {store.model.job!r}, and the call is of {job!r}",
            hint="start a server with another --state-dir for another job",
        )


def check_rows(store: Store, message: Message) -> None:
    """Refuse rows that another server holds.

    Raises:
        ClusterError: The caller's map of the rows is of another version.
        FeedError: Some rows are not here.
    """
    version = message.whole("map")
    if version != store.row_map.version:
        raise ClusterError(
            f"the rows were dealt out by map {version}, map {store.row_map.version} holds here",
            hint="start all servers and workers with the same list of servers",
        )
    for name, ids in message.under("ids/").items():
        if ids.ndim != 1 or ids.dtype != np.int64:
            message.refuse(f"ids of {name} must be int64, (n,)")
        away = ids[store.row_map.servers_of(ids) != store.options.shard]
        if len(away):
            raise FeedError(
                f"table {name!r}: row {away[0]} is not on server {store.options.shard}",
                hint="start all servers and workers with the same list of servers",
            )
