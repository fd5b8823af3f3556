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
    rows,
    shaping,
)
from matrixslow.compiler.lowering.table import Table

FAMILIES = (conv, indexing, joining, linalg, pool, random, recurrent, reduction, rows, shaping)

TABLE = reduce(Table.joined, (family.TABLE for family in FAMILIES))
"""All lowerings but the elementwise ones, which are traced."""
