"""Evaluation: full ranking, metrics of each user, confidence intervals, paired tests, held-out likelihoods and bounds."""

from foldin.evaluation.beyond import coverage, gini, novelty
from foldin.evaluation.bounds import bound_report, fold_in_bound, likelihood_bound
from foldin.evaluation.calibration import calibration_curve
from foldin.evaluation.comparison import compare_models
from foldin.evaluation.evaluate import (
    DEFAULT_METRICS,
    LOG_LIKELIHOOD,
    LOG_LIKELIHOOD_PER_EVENT,
    Evaluation,
    ValidationMetric,
    evaluate,
    finite,
    parse_metric,
)
from foldin.evaluation.experts import expert_report
from foldin.evaluation.intervals import LEAST_USERS, bootstrap_interval, share_interval, studentized_interval
from foldin.evaluation.metrics import METRICS, hit_rate, map_, mrr, ndcg, recall, recall_all
from foldin.evaluation.significance import holm, paired_test
from foldin.evaluation.temperature import Calibration, fit_temperature

__all__ = [
    "DEFAULT_METRICS",
    "LEAST_USERS",
    "LOG_LIKELIHOOD",
    "LOG_LIKELIHOOD_PER_EVENT",
    "METRICS",
    "Calibration",
    "Evaluation",
    "ValidationMetric",
    "bootstrap_interval",
    "bound_report",
    "calibration_curve",
    "compare_models",
    "coverage",
    "evaluate",
    "expert_report",
    "finite",
    "fit_temperature",
    "fold_in_bound",
    "gini",
    "hit_rate",
    "holm",
    "likelihood_bound",
    "map_",
    "mrr",
    "ndcg",
    "novelty",
    "paired_test",
    "parse_metric",
    "recall",
    "recall_all",
    "share_interval",
    "studentized_interval",
]
