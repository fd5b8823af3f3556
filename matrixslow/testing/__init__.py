"""For tests of operators and models: gradients against differences, and the operator contract."""

from matrixslow.testing.contract import check_operator
from matrixslow.testing.differences import check_gradients
from matrixslow.testing.sample import Sample

__all__ = ["Sample", "check_gradients", "check_operator"]
