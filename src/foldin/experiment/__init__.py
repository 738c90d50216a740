"""One model, or several side by side: trained, evaluated on the same users, reported as data, and saved."""

from foldin.experiment.environment import choose_device, versions
from foldin.experiment.production import Production, fit_all
from foldin.experiment.reporting import report
from foldin.experiment.sources import source_of_run, split_of_run
from foldin.experiment.trained import Trained
from foldin.experiment.training import build_model, check_targets, train, unused

__all__ = [
    "Production",
    "Trained",
    "build_model",
    "check_targets",
    "choose_device",
    "fit_all",
    "report",
    "source_of_run",
    "split_of_run",
    "train",
    "unused",
    "versions",
]
