"""One model, or several side by side: trained, evaluated on the same users, reported, saved, and put in the place of another."""

from foldin.experiment.candidate import Candidate, measure_candidate, milliseconds_per_list, reads_order
from foldin.experiment.choosing import Alternative, Choice, choose_among, choose_model
from foldin.experiment.drift import Drift, DriftLimits, Likelihood, measure_drift
from foldin.experiment.environment import choose_device, versions
from foldin.experiment.facts import LogFacts, measure_log
from foldin.experiment.incumbent import InService, Scores, score
from foldin.experiment.listing import BATCH_SIZE, ListMaker, ListRequest
from foldin.experiment.loaded import LoadedRun, load
from foldin.experiment.order import OrderGain, measure_order
from foldin.experiment.origin import Origin, cut_log, latest_cut, until_now
from foldin.experiment.outcome import Outcome, Pooled, Rule, decide
from foldin.experiment.pairing import Pair, best_pairs, multiplied
from foldin.experiment.plan import Plan
from foldin.experiment.production import Production, fit_all
from foldin.experiment.replacing import retrain
from foldin.experiment.reporting import report
from foldin.experiment.resuming import check_folder
from foldin.experiment.retrained import Compared, Retrained
from foldin.experiment.showing_search import trial_line
from foldin.experiment.sources import source_of_run, split_of_run
from foldin.experiment.tracking import MLflow, TensorBoard, Tracker, tracker_of
from foldin.experiment.trained import Trained
from foldin.experiment.training import accompany, build_model, check_targets, train, unread, unused
from foldin.experiment.trials import TuningTrial
from foldin.experiment.tuned import Tuned
from foldin.experiment.tuning import TRIALS, tune
from foldin.experiment.warm_start import Start, WarmStart, warm_start

__all__ = [
    "BATCH_SIZE",
    "TRIALS",
    "Alternative",
    "Candidate",
    "Choice",
    "Compared",
    "Drift",
    "DriftLimits",
    "InService",
    "Likelihood",
    "ListMaker",
    "ListRequest",
    "LoadedRun",
    "LogFacts",
    "MLflow",
    "OrderGain",
    "Origin",
    "Outcome",
    "Pair",
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
    "best_pairs",
    "build_model",
    "check_folder",
    "check_targets",
    "choose_among",
    "choose_device",
    "choose_model",
    "cut_log",
    "decide",
    "fit_all",
    "latest_cut",
    "load",
    "measure_candidate",
    "measure_drift",
    "measure_log",
    "measure_order",
    "milliseconds_per_list",
    "multiplied",
    "reads_order",
    "report",
    "retrain",
    "score",
    "source_of_run",
    "split_of_run",
    "tracker_of",
    "train",
    "trial_line",
    "tune",
    "unread",
    "until_now",
    "unused",
    "versions",
    "warm_start",
]
