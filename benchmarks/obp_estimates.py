"""obp's estimates of logged lists kept as NumPy arrays: run by the environment that `make bench-setup` makes for it.

python obp_estimates.py LOG.npz REPEATS

Prints one JSON object: estimator → value, interval, and seconds without and with the interval.
"""

import json
import sys
import time

import numpy as np
from obp.ope import (
    DoublyRobust,
    InverseProbabilityWeighting,
    SelfNormalizedInverseProbabilityWeighting,
    SlateIndependentIPS,
    SlateRewardInteractionIPS,
    SlateStandardIPS,
)

RESAMPLES = 1000


def seconds(run, repeats):
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return min(found)


def main():
    data, repeats = np.load(sys.argv[1]), int(sys.argv[2])
    contexts, rewards = data["contexts"], data["rewards"]
    rounds, places = rewards.shape
    single = {
        "reward": rewards[:, 0],
        "action": data["items"],
        "position": np.zeros(rounds, dtype=int),
        "pscore": data["logging"][:, 0],
        "action_dist": data["table"][contexts][:, :, None],
    }
    predicted = {"estimated_rewards_by_reg_model": data["predicted"][contexts][:, :, None]}
    slate = {
        "slate_id": np.repeat(np.arange(rounds), places),
        "reward": rewards.reshape(-1),
        "position": np.tile(np.arange(places), rounds),
    }

    def pair(kind, change):
        return {
            f"pscore{kind}": change(data["logging"]).reshape(-1),
            f"evaluation_policy_pscore{kind}": change(data["target"]).reshape(-1),
        }

    def whole(values):
        return np.repeat(values.prod(axis=1)[:, None], places, axis=1)

    estimators = {
        "ips": (InverseProbabilityWeighting(), single),
        "self_normalized": (SelfNormalizedInverseProbabilityWeighting(), single),
        "doubly_robust": (DoublyRobust(), {**single, **predicted}),
        "lists": (SlateStandardIPS(len_list=places), {**slate, **pair("", whole)}),
        "cascade": (
            SlateRewardInteractionIPS(len_list=places),
            {**slate, **pair("_cascade", lambda values: np.cumprod(values, axis=1))},
        ),
        "at_places": (SlateIndependentIPS(len_list=places), {**slate, **pair("_item_position", lambda values: values)}),
    }
    found = {}
    for name, (estimator, given) in estimators.items():

        def value(estimator=estimator, given=given):
            return estimator.estimate_policy_value(**given)

        def interval(estimator=estimator, given=given):
            return estimator.estimate_interval(**given, alpha=0.05, n_bootstrap_samples=RESAMPLES, random_state=0)

        ends = interval()
        low, high = (next(ends[key] for key in ends if side in key) for side in ("lower", "upper"))
        found[name] = {
            "value": float(value()),
            "low": float(low),
            "high": float(high),
            "seconds": seconds(value, repeats),
            "seconds_with_interval": seconds(interval, repeats),
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
