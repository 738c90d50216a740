"""Training: a model's settings, its plan as data, and the one loop that runs any plan."""

from foldin.training.checkpoint import CHECKPOINT, EpochRecord
from foldin.training.compiled import compiled
from foldin.training.config import Config, setting
from foldin.training.fit import FitResult, Judge, Progress, fit
from foldin.training.plan import Batches, Gradient, Loss, Phase, Plan, Step, Sweep, falling, shuffled
from foldin.training.trainable import Trainable

__all__ = [
    "CHECKPOINT",
    "Batches",
    "Config",
    "EpochRecord",
    "FitResult",
    "Gradient",
    "Judge",
    "Loss",
    "Phase",
    "Plan",
    "Progress",
    "Step",
    "Sweep",
    "Trainable",
    "compiled",
    "falling",
    "fit",
    "setting",
    "shuffled",
]
