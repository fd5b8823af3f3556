"""Everything that matrixslow raises on purpose, drawn as a tree.

    MatrixSlowError
     +-- GraphError          the graph is put together wrongly (ValueError)
     |    +-- ShapeError     shapes do not fit the operator
     |    +-- GradientError  a slope was asked for that does not exist
     +-- ArgumentError       an option has a value it cannot have (ValueError)
     +-- DTypeError          data types do not fit the operator (TypeError)
     +-- FeedError           what was fed does not fit the graph's inputs (ValueError)
     +-- RunError            an operator failed on the values it was given (ArithmeticError)
     |    +-- NonFiniteError a value became NaN or infinite
     +-- DeviceError         arrays live on the wrong device, or the device is absent (RuntimeError)
     +-- FormatError         a file is damaged, foreign or of another version (ValueError)
     +-- DatasetMissing      a data set is neither on this machine nor to be had (FileNotFoundError)
     +-- ClusterError        servers and workers cannot go on together (RuntimeError)
     |    +-- WorkerLost     too few workers are left
     |    +-- Fenced         another incarnation has taken this worker's place
     |    +-- Busy           a server takes nothing more at the moment: try again later
     |    +-- ServerLost     a server did not answer in time
     |    +-- LogBroken      a server's log can be neither written nor put right
     +-- MissingExtra        an optional package is not installed (ImportError)

A message reads from the operator to the remedy: operator, rule, what came, hint.
"""

from __future__ import annotations


class MatrixSlowError(Exception):
    """The base of all errors of this package.

    Args:
        rule: One line: which rule was broken, and by what.
        rows: Lines of detail, one for each thing that came (an operand, a file, an entry).
        hint: What to do about it.
    """

    def __init__(self, rule: str, *, rows: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__(rule)
        self.rule = rule
        self.rows = rows
        self.hint = hint

    def __str__(self) -> str:
        hint = (f"hint   {self.hint}",) if self.hint else ()
        return "\n  ".join((self.rule, *self.rows, *hint))


class GraphError(MatrixSlowError, ValueError):
    """The graph is put together wrongly: a name taken twice, two graphs mixed, a cycle."""


class ShapeError(GraphError):
    """The shapes of an operator's inputs do not fit together."""


class GradientError(GraphError):
    """A gradient was asked for that does not exist."""


class ArgumentError(MatrixSlowError, ValueError):
    """An option has a value it cannot have."""


class DTypeError(MatrixSlowError, TypeError):
    """The data types of an operator's inputs do not fit together."""


class FeedError(MatrixSlowError, ValueError):
    """What was fed does not fit the inputs of the graph."""


class RunError(MatrixSlowError, ArithmeticError):
    """An operator failed on the values that it was given."""


class NonFiniteError(RunError):
    """A value became NaN or infinite."""


class DeviceError(MatrixSlowError, RuntimeError):
    """Arrays live on the wrong device, or the device is absent."""


class FormatError(MatrixSlowError, ValueError):
    """A file is damaged, foreign or of another version."""


class DatasetMissing(MatrixSlowError, FileNotFoundError):
    """The files of a data set are not on this machine, and could not be downloaded."""


class ClusterError(MatrixSlowError, RuntimeError):
    """Servers and workers cannot go on together."""


class WorkerLost(ClusterError):
    """A worker was not heard of any more, and fewer are left than must be."""


class Fenced(ClusterError):
    """A worker was given up, or another incarnation has taken its place; it must join again."""


class Busy(ClusterError):
    """A server takes nothing more at the moment; the same can be tried again later."""


class ServerLost(ClusterError):
    """A server did not answer within the time allowed."""


class LogBroken(ClusterError):
    """A write to a server's log failed and could not be undone: it must end, and recover."""


class MissingExtra(MatrixSlowError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""
