"""Evaluation: full ranking, metrics of each user, confidence intervals, paired tests, held-out likelihoods and bounds.

Also whether a run is better than another: by users of both, by an experiment that may be watched, or by logged lists.
"""

from foldin.evaluation.aligned import PairedUsers, pair_users, pool_nights
from foldin.evaluation.anytime import (
    asymptotic_mean_sequence,
    asymptotic_p_value,
    asymptotic_sequence,
    sub_gaussian_sequence,
)
from foldin.evaluation.anytime_bounded import bounded_p_value, bounded_sequence
from foldin.evaluation.beyond import coverage, gini, novelty
from foldin.evaluation.bounds import bound_report, fold_in_bound, likelihood_bound
from foldin.evaluation.calibration import calibration_curve
from foldin.evaluation.comparison import compare_models
from foldin.evaluation.decision import Decision, Verdict, decide, users_needed, verdict_of
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
from foldin.evaluation.off_policy import (
    LoggedFeedback,
    OffPolicyEstimate,
    Policy,
    PropensityOf,
    check_support,
    doubly_robust,
    draw_probabilities,
    folds_by_context,
    importance_weights,
    ips,
    place_probabilities,
    policy_of,
    self_normalized_ips,
    table_probabilities,
)
from foldin.evaluation.repeats import RepeatEvaluation, evaluate_repeats
from foldin.evaluation.running import RunningMean
from foldin.evaluation.sample_ratio import chi_square_ratio_test, sequential_ratio_test
from foldin.evaluation.significance import holm, paired_test
from foldin.evaluation.temperature import Calibration, fit_temperature

__all__ = [
    "DEFAULT_METRICS",
    "LEAST_USERS",
    "LOG_LIKELIHOOD",
    "LOG_LIKELIHOOD_PER_EVENT",
    "METRICS",
    "Calibration",
    "Decision",
    "Evaluation",
    "LoggedFeedback",
    "OffPolicyEstimate",
    "PairedUsers",
    "Policy",
    "PropensityOf",
    "RepeatEvaluation",
    "RunningMean",
    "ValidationMetric",
    "Verdict",
    "asymptotic_mean_sequence",
    "asymptotic_p_value",
    "asymptotic_sequence",
    "bootstrap_interval",
    "bound_report",
    "bounded_p_value",
    "bounded_sequence",
    "calibration_curve",
    "check_support",
    "chi_square_ratio_test",
    "compare_models",
    "coverage",
    "decide",
    "doubly_robust",
    "draw_probabilities",
    "evaluate",
    "evaluate_repeats",
    "expert_report",
    "finite",
    "fit_temperature",
    "fold_in_bound",
    "folds_by_context",
    "gini",
    "hit_rate",
    "holm",
    "importance_weights",
    "ips",
    "likelihood_bound",
    "map_",
    "mrr",
    "ndcg",
    "novelty",
    "pair_users",
    "paired_test",
    "parse_metric",
    "place_probabilities",
    "policy_of",
    "pool_nights",
    "recall",
    "recall_all",
    "self_normalized_ips",
    "sequential_ratio_test",
    "share_interval",
    "studentized_interval",
    "sub_gaussian_sequence",
    "table_probabilities",
    "users_needed",
    "verdict_of",
]
