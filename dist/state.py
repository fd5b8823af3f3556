"""State: weights and optimizer state of a cluster, put together from its servers, and dealt out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matrixslow.dist.dense import DenseBlocks
from matrixslow.dist.message import Message
from matrixslow.dist.model import Model
from matrixslow.dist.sharding import RowMap, block

Array = NDArray[Any]


def merge_states(model: Model, states: Sequence[Message]) -> dict[str, Array]:
    """The state of the whole cluster, by name.

    Args:
        model: What is trained.
        states: What the servers' stores gave, in the order of the servers.
    """
    whole = {}
    for variable in DenseBlocks(model.blocks(0, 1), model.optimizer).state:
        parts = [x.arrays[key] for x in states if (key := f"dense/{variable.name}") in x.arrays]
        # What has no axes on any server is the optimizer's own, and the same on all of them.
        joined = parts[0] if parts[0].ndim == 0 else np.concatenate([x.reshape(-1) for x in parts])
        whole[variable.name] = joined.reshape(variable.value.shape)
    for spec in model.tables:
        tables = [state.under(f"table/{spec.name}/") for state in states]
        order = np.argsort(np.concatenate([table["ids"] for table in tables]), kind="stable")
        for key in (key for key in tables[0] if not key.startswith("before/")):
            if key.startswith("shared/"):
                # A server counts the steps that had rows for it: the newest count is the table's.
                whole[f"table/{spec.name}/{key}"] = max((x[key] for x in tables), key=np.sum)
            else:
                column = np.concatenate([table[key] for table in tables])
                whole[f"table/{spec.name}/{key}"] = column[order]
    return whole


def split_state(
    model: Model, whole: Mapping[str, Array], *, shard: int, shards: int
) -> dict[str, Array]:
    """What one server holds of a state, whose arrays may be missing where they are first values.

    Args:
        model: What is trained.
        whole: What `merge_states` gave.
        shard: Which of the servers.
        shards: How many there are.
    """
    part = {}
    for name, x in whole.items():
        if name.startswith("table/"):
            continue
        own = block(name, x.shape, x.dtype.name, shard=shard, shards=shards)
        if x.ndim == 0 or own.stop > own.start:
            part[name] = own.of(x) if x.ndim else x
    for spec in model.tables:
        prefix = f"table/{spec.name}/"
        if f"{prefix}ids" in whole:
            mine = RowMap.even(shards).servers_of(whole[f"{prefix}ids"]) == shard
            for name, x in whole.items():
                if name.startswith(prefix):
                    part[name] = x if name.startswith(f"{prefix}shared/") else x[mine]
    return part
