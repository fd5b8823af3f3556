"""How operators become kernels: one table for each way, one file for each family of operators."""

from functools import reduce

from matrixslow.compiler.lowering import (
    conv,
    indexing,
    joining,
    linalg,
    pool,
    random,
    recurrent,
    reduction,
    shaping,
)
from matrixslow.compiler.lowering.table import Table

TABLE = reduce(
    Table.joined,
    (
        family.TABLE
        for family in (conv, indexing, joining, linalg, pool, random, recurrent, reduction, shaping)
    ),
)
"""All lowerings but the elementwise ones, which are traced."""
