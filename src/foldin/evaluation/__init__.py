"""Honest evaluation: full ranking, per-person figures, intervals, paired tests, one likelihood scale."""

from foldin.evaluation.beyond import coverage, gini, novelty
from foldin.evaluation.bounds import bound_report, fold_in_bound
from foldin.evaluation.calibration import calibration_curve
from foldin.evaluation.evaluate import (
    DEFAULT_METRICS,
    LOG_LIKELIHOOD,
    Evaluation,
    ValidationJudge,
    compare_models,
    evaluate,
    parse_metric,
)
from foldin.evaluation.metrics import METRICS, hit_rate, map_, mrr, ndcg, recall, recall_all
from foldin.evaluation.significance import bootstrap_interval, holm, paired_test

__all__ = [
    "DEFAULT_METRICS",
    "LOG_LIKELIHOOD",
    "METRICS",
    "Evaluation",
    "ValidationJudge",
    "bootstrap_interval",
    "bound_report",
    "calibration_curve",
    "compare_models",
    "coverage",
    "evaluate",
    "fold_in_bound",
    "gini",
    "hit_rate",
    "holm",
    "map_",
    "mrr",
    "ndcg",
    "novelty",
    "paired_test",
    "parse_metric",
    "recall",
    "recall_all",
]
