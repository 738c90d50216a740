"""One model, or several side by side: trained, evaluated on the same users, reported, saved, and put in the place of another."""

from foldin.experiment.drift import Drift, DriftLimits, Likelihood, measure_drift
from foldin.experiment.environment import choose_device, versions
from foldin.experiment.incumbent import Scores, score
from foldin.experiment.origin import Origin, cut_log, latest_cut
from foldin.experiment.outcome import Outcome, Pooled, Rule, decide
from foldin.experiment.plan import Plan
from foldin.experiment.production import Production, fit_all
from foldin.experiment.replacing import retrain
from foldin.experiment.reporting import report
from foldin.experiment.retrained import Compared, Retrained
from foldin.experiment.sources import source_of_run, split_of_run
from foldin.experiment.study import TuningTrial
from foldin.experiment.tracking import MLflow, TensorBoard, Tracker, tracker_of
from foldin.experiment.trained import Trained
from foldin.experiment.training import accompany, build_model, check_targets, train, unread, unused
from foldin.experiment.tuned import Tuned
from foldin.experiment.tuning import TRIALS, tune
from foldin.experiment.warm_start import Start, WarmStart, warm_start

__all__ = [
    "TRIALS",
    "Compared",
    "Drift",
    "DriftLimits",
    "Likelihood",
    "MLflow",
    "Origin",
    "Outcome",
    "Plan",
    "Pooled",
    "Production",
    "Retrained",
    "Rule",
    "Scores",
    "Start",
    "TensorBoard",
    "Tracker",
    "Trained",
    "Tuned",
    "TuningTrial",
    "WarmStart",
    "accompany",
    "build_model",
    "check_targets",
    "choose_device",
    "cut_log",
    "decide",
    "fit_all",
    "latest_cut",
    "measure_drift",
    "report",
    "retrain",
    "score",
    "source_of_run",
    "split_of_run",
    "tracker_of",
    "train",
    "tune",
    "unread",
    "unused",
    "versions",
    "warm_start",
]
