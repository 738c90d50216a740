"""Off-policy evaluation: what a policy would have earned, from lists that another policy drew at random."""

from foldin.evaluation.off_policy.estimate import OffPolicyEstimate
from foldin.evaluation.off_policy.estimators import doubly_robust, folds_by_context, ips, self_normalized_ips
from foldin.evaluation.off_policy.feedback import LoggedFeedback, PropensityOf
from foldin.evaluation.off_policy.plackett_luce import draw_probabilities, place_probabilities
from foldin.evaluation.off_policy.policies import Policy, policy_of
from foldin.evaluation.off_policy.support import check_support, table_probabilities
from foldin.evaluation.off_policy.weights import importance_weights

__all__ = [
    "LoggedFeedback",
    "OffPolicyEstimate",
    "Policy",
    "PropensityOf",
    "check_support",
    "doubly_robust",
    "draw_probabilities",
    "folds_by_context",
    "importance_weights",
    "ips",
    "place_probabilities",
    "policy_of",
    "self_normalized_ips",
    "table_probabilities",
]
