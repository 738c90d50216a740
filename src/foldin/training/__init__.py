"""Training: the settings of a model, its trainer, and the loop that runs any trainer."""

from foldin.training.checkpoint import CHECKPOINT, EpochRecord
from foldin.training.compiled import compiled
from foldin.training.config import Config, Option, options_of, setting
from foldin.training.distributed import joined
from foldin.training.fit import fit
from foldin.training.lazy_adam import LazyAdam
from foldin.training.nested import ModelNames
from foldin.training.precision import PRECISIONS
from foldin.training.progress import FitResult, Progress, Stopped, Validation
from foldin.training.ranges import Range
from foldin.training.rising import RisingOverShare, RisingOverUpdates
from foldin.training.search import Space, flat, parse_space, search_space, setting_text, value_of
from foldin.training.settings import alike, settings_of
from foldin.training.trainable import Trainable
from foldin.training.trainer import (
    Batches,
    Divided,
    FullPass,
    GradientPhase,
    Loss,
    Phase,
    Pretraining,
    Step,
    Trainer,
    falling,
    shuffled,
)

__all__ = [
    "CHECKPOINT",
    "PRECISIONS",
    "Batches",
    "Config",
    "Divided",
    "EpochRecord",
    "FitResult",
    "FullPass",
    "GradientPhase",
    "LazyAdam",
    "Loss",
    "ModelNames",
    "Option",
    "Phase",
    "Pretraining",
    "Progress",
    "Range",
    "RisingOverShare",
    "RisingOverUpdates",
    "Space",
    "Step",
    "Stopped",
    "Trainable",
    "Trainer",
    "Validation",
    "alike",
    "compiled",
    "falling",
    "fit",
    "flat",
    "joined",
    "options_of",
    "parse_space",
    "search_space",
    "setting",
    "setting_text",
    "settings_of",
    "shuffled",
    "value_of",
]
