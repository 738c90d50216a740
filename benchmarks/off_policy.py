"""Off-policy estimates from the same logged lists by foldin and by the Open Bandit Pipeline (obp): values, intervals and seconds.

Single items: IPS, self-normalized IPS and doubly robust. Lists of items: IPS of whole lists, of a cascade and of items at places.
The probabilities and the predictions are made up, and the same for both; the values must agree up to rounding. Seconds are the
least of five runs, of checking the log and of the value alone, and with a 95 % interval. obp's arrays are made beforehand,
foldin's in the time. obp runs in a process of its own (saito2021).

obp's intervals are percentiles of 1,000 resamples. From up to 3,000 lists, foldin draws 1,000 resamples too, for a studentized
bootstrap, so that the seconds of `3,000 rounds` are those of like work. From more, it uses the expansion to which its bootstrap
converges, which draws nothing: with 20,000 rounds the ratios `with_interval` are of different methods. `ends` has the differences
of the two lower and the two upper ends, in half-widths of obp's interval.

Ratios: `obp` is the least of those of the values alone, over estimators and numbers of rounds, and `obp_both_draw` the least of
those with an interval where both draw.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import arguments, child, peer_python, write

from foldin.evaluation import (
    LoggedFeedback,
    OffPolicyEstimate,
    PropensityOf,
    doubly_robust,
    ips,
    self_normalized_ips,
    table_probabilities,
)

CONTEXTS, PLACES, REPEATS = 50, 5, 5
AGREE = 1e-9  # relative, between the two values
DRAWN = 3_000  # rounds up to which foldin's interval draws resamples


def softmax(scores: np.ndarray) -> np.ndarray:
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def made(rounds: int, items: int) -> dict[str, np.ndarray]:
    """Logged items and lists, the probabilities of both policies, and predicted rewards."""
    rng = np.random.default_rng(0)
    logging = softmax(rng.normal(size=(CONTEXTS, items)))
    target = softmax(rng.normal(size=(CONTEXTS, items)) + np.log(logging))
    predicted = rng.random((CONTEXTS, items))
    contexts = rng.integers(0, CONTEXTS, rounds)
    edges = np.cumsum(logging, axis=1)[contexts]
    lists = np.stack([(rng.random((rounds, 1)) > edges).sum(axis=1).clip(max=items - 1) for _ in range(PLACES)], axis=1)
    rewards = (rng.random((rounds, PLACES)) < 0.3).astype(float)
    at = contexts[:, None]
    return {
        "contexts": contexts,
        "items": lists[:, 0],
        "rewards": rewards,
        "logging": logging[at, lists],
        "target": target[at, lists],
        "table": target,
        "predicted": predicted,
    }


def cases(data: dict[str, np.ndarray]) -> dict[str, Callable[[], OffPolicyEstimate]]:
    """Name → foldin's estimate, from the arrays of the log on."""
    contexts, items = data["contexts"], data["items"]
    predicted = data["predicted"][contexts]
    # An item twice in a list is refused; for the weights the numbers of the items do not matter.
    places = np.tile(np.arange(PLACES), (len(contexts), 1))

    def single() -> tuple[LoggedFeedback, np.ndarray]:
        log = LoggedFeedback.of_items(items, data["logging"][:, 0], data["rewards"][:, 0], contexts)
        return log, table_probabilities(log, data["table"])

    def lists(of: PropensityOf) -> tuple[LoggedFeedback, np.ndarray]:
        return LoggedFeedback(places, data["logging"], data["rewards"], contexts, of), data["target"]

    def robust() -> OffPolicyEstimate:
        expected = np.einsum("ni,ni->n", data["table"][contexts], predicted)
        return doubly_robust(*single(), predicted=predicted[np.arange(len(items)), items][:, None], expected=expected)

    return {
        "ips": lambda: ips(*single()),
        "self_normalized": lambda: self_normalized_ips(*single()),
        "doubly_robust": robust,
        "lists": lambda: ips(*lists(PropensityOf.GIVEN_ABOVE)),
        "cascade": lambda: ips(*lists(PropensityOf.GIVEN_ABOVE), cascade=True),
        "at_places": lambda: ips(*lists(PropensityOf.AT_PLACE)),
    }


def ours(data: dict[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Estimator → foldin's value, interval and seconds."""
    figures: dict[str, dict[str, Any]] = {}
    for name, run in cases(data).items():
        found = run()
        low, high = found.interval(fixed_contexts=True)
        figures[name] = {
            "ours": {"value": found.value, "low": low, "high": high, "effective_size": found.effective_size},
            "seconds": {
                "ours": seconds(run),
                "ours_with_interval": seconds(lambda r=run: r().interval(fixed_contexts=True)),
            },
        }
    return figures


def add_theirs(figures: dict[str, dict[str, Any]], theirs: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Add obp's figures to ours; returns how many times faster ours are. Raises unless the values agree."""
    ratios: dict[str, float] = {}
    for name, found in theirs.items():
        own, value = figures[name], figures[name]["ours"]["value"]
        gap = abs(found["value"] - value) / abs(found["value"])
        if not gap < AGREE:
            raise SystemExit(f"{name}: obp's value is {found['value']}, ours {value}")
        half = (found["high"] - found["low"]) / 2
        own["obp"] = {key: found[key] for key in ("value", "low", "high")}
        own["relative_gap"] = gap
        own["ends"] = {end: (own["ours"][end] - found[end]) / half if half else None for end in ("low", "high")}
        own["seconds"] |= {"obp": found["seconds"], "obp_with_interval": found["seconds_with_interval"]}
        for kind in ("", "_with_interval"):
            ratios[f"{name}{kind}"] = own["seconds"][f"obp{kind}"] / own["seconds"][f"ours{kind}"]
    return ratios


def seconds(run: Callable[[], Any]) -> float:
    """The least of several runs."""
    found = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return min(found)


def main() -> None:
    options = arguments(
        __doc__,
        name="off_policy",
        folder=Path(__file__).parent,
        threads=1,
        rounds="3000,20000",
        items=100,
        tiny={"rounds": "200", "items": 8},
    )
    torch.set_num_threads(options.threads)
    figures: dict[str, dict[str, Any]] = {}
    ratios: dict[str, dict[str, float]] = {}
    python = peer_python(options, "obp")
    for rounds in map(int, options.rounds.split(",")):
        data, which = made(rounds, options.items), f"{rounds:,} rounds"
        figures[which] = ours(data)
        if python is not None:
            with tempfile.TemporaryDirectory() as folder:
                np.savez(Path(folder) / "log.npz", **data)
                theirs = child(python, Path(__file__).parent / "obp_estimates.py", Path(folder) / "log.npz", REPEATS)
            ratios[which] = add_theirs(figures[which], theirs)
    drawn = [f"{rounds:,} rounds" for rounds in map(int, options.rounds.split(",")) if rounds <= DRAWN]
    alone = [one for found in ratios.values() for name, one in found.items() if not name.endswith("_interval")]
    both = [one for which in drawn for name, one in ratios.get(which, {}).items() if name.endswith("_interval")]
    least = {name: min(some) for name, some in (("obp", alone), ("obp_both_draw", both)) if some}
    write(
        options.json,
        "off_policy",
        settings={
            "rounds": options.rounds,
            "items": options.items,
            "places": PLACES,
            "contexts": CONTEXTS,
            "repeats": REPEATS,
        },
        figures=figures,
        ratios={**least, **ratios},
    )


if __name__ == "__main__":
    main()
