"""Training: the loop, its hooks, and what they keep."""

from matrixslow.trainer.checkpoint import Checkpoint
from matrixslow.trainer.history import History
from matrixslow.trainer.hooks import EarlyStopping, Hook, Monitor, ReduceOnPlateau, TensorBoard
from matrixslow.trainer.nan_guard import NaNGuard
from matrixslow.trainer.progress import Progress
from matrixslow.trainer.trainer import Trainer
from matrixslow.trainer.updater import Updater

__all__ = [
    "Checkpoint",
    "EarlyStopping",
    "History",
    "Hook",
    "Monitor",
    "NaNGuard",
    "Progress",
    "ReduceOnPlateau",
    "TensorBoard",
    "Trainer",
    "Updater",
]
