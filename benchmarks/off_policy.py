"""Off-policy estimates from the same logged lists by foldin and by the Open Bandit Pipeline (obp): values and seconds.

Single items: IPS, self-normalized IPS and doubly robust. Lists of items: IPS of whole lists, of a cascade and of items at places.
The probabilities and the predictions are made up, and the same for both; the values must agree up to rounding. Seconds are those
of checking the log and of the value alone, and with a 95 % interval: obp draws 1,000 resamples, foldin uses the expansion to
which its studentized bootstrap converges (for up to 3,000 lists it draws too). obp runs in a process of its own (saito2021).
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
        rounds=20_000,
        items=100,
        tiny={"rounds": 200, "items": 8},
    )
    torch.set_num_threads(options.threads)
    data = made(options.rounds, options.items)
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
    ratios: dict[str, float] = {}
    python = peer_python(options, "obp")
    if python is not None:
        with tempfile.TemporaryDirectory() as folder:
            np.savez(Path(folder) / "log.npz", **data)
            theirs = child(python, Path(__file__).parent / "obp_estimates.py", Path(folder) / "log.npz", REPEATS)
        for name, found in theirs.items():
            own = figures[name]
            gap = abs(found["value"] - own["ours"]["value"]) / abs(found["value"])
            assert gap < AGREE, f"{name}: obp's value is {found['value']}, ours {own['ours']['value']}"
            own["obp"] = {key: found[key] for key in ("value", "low", "high")}
            own["relative_gap"] = gap
            own["seconds"] |= {"obp": found["seconds"], "obp_with_interval": found["seconds_with_interval"]}
            ratios[f"obp_{name}"] = found["seconds"] / own["seconds"]["ours"]
            ratios[f"obp_{name}_with_interval"] = found["seconds_with_interval"] / own["seconds"]["ours_with_interval"]
    write(
        options.json,
        "off_policy",
        settings={"rounds": options.rounds, "items": options.items, "places": PLACES, "contexts": CONTEXTS},
        figures=figures,
        ratios={**ratios, **({"obp": min(ratios.values())} if ratios else {})},
    )


if __name__ == "__main__":
    main()
