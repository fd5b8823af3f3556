"""Training: the loop, its hooks, and what they keep."""

from matrixslow.trainer.all_reduce import AllReduceTrainer
from matrixslow.trainer.checkpoint import Checkpoint
from matrixslow.trainer.history import History
from matrixslow.trainer.hooks import EarlyStopping, Hook, Monitor, ReduceOnPlateau, TensorBoard
from matrixslow.trainer.nan_guard import NaNGuard
from matrixslow.trainer.parameter_server import ParameterServerTrainer
from matrixslow.trainer.progress import Progress
from matrixslow.trainer.trainer import Trainer
from matrixslow.trainer.updater import Updater

__all__ = [
    "AllReduceTrainer",
    "Checkpoint",
    "EarlyStopping",
    "History",
    "Hook",
    "Monitor",
    "NaNGuard",
    "ParameterServerTrainer",
    "Progress",
    "ReduceOnPlateau",
    "TensorBoard",
    "Trainer",
    "Updater",
]
