"""One model, or several side by side: trained, evaluated on the same users, reported as data, and saved."""

from foldin.experiment.environment import choose_device, versions
from foldin.experiment.production import Production, fit_all
from foldin.experiment.reporting import report
from foldin.experiment.sources import source_of_run, split_of_run
from foldin.experiment.study import TuningTrial
from foldin.experiment.tracking import MLflow, TensorBoard, Tracker, tracker_of
from foldin.experiment.trained import Trained
from foldin.experiment.training import build_model, check_targets, train, unused
from foldin.experiment.tuned import Tuned
from foldin.experiment.tuning import TRIALS, tune

__all__ = [
    "TRIALS",
    "MLflow",
    "Production",
    "TensorBoard",
    "Tracker",
    "Trained",
    "Tuned",
    "TuningTrial",
    "build_model",
    "check_targets",
    "choose_device",
    "fit_all",
    "report",
    "source_of_run",
    "split_of_run",
    "tracker_of",
    "train",
    "tune",
    "unused",
    "versions",
]
