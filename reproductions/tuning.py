"""What a search from the defaults finds in half an hour, beside the figures of searches by hand.

python reproductions/tuning.py                                   all four models, at most two hours
python reproductions/tuning.py --models ease,als                 only these; the others that are kept stay as they are

On `ml-1m-strong` each model is tuned by `foldin.tune` with a budget of training time (`--minutes`, at most 30; or one number for
each model: models whose trials take a second need less, and are given it), from its default settings
and with the ranges that it declares, by NDCG@100 on the validation users. The test users are looked at once. Beside it stand the
kept figures of `multvae.py` and `recvae.py`, whose settings were chosen by hand; those are means over seeds, these are of one.

--studies FOLDER keeps each search, so that it can be continued and has a report.
"""

import json
import sys
from pathlib import Path

import torch
from harness import arguments, keep

from foldin import tune
from foldin.data import Source
from foldin.experiment import TuningTrial
from foldin.models import config_class

RESULTS = Path(__file__).parent / "results"
BY_HAND = {"ease": "multvae", "als": "multvae", "multvae": "multvae", "recvae": "recvae"}
METRIC = "ndcg@100"


def by_hand(name: str) -> float | None:
    """NDCG@100 on the test users with settings chosen by hand; None where it was not kept."""
    path = RESULTS / f"{BY_HAND[name]}.json"
    if not path.exists():
        return None
    figures = json.loads(path.read_text(encoding="utf-8"))["figures"]
    return float(figures["ml-1m-strong"][name][METRIC]["mean"])


def main() -> None:
    options = arguments(
        __doc__,
        name="tuning",
        folder=Path(__file__).parent,
        models=",".join(BY_HAND),
        minutes="30",
        trials=10_000,
        studies="",
        threads=2,
        tiny={"trials": 2, "models": "ease,multvae"},
    )
    torch.set_num_threads(options.threads)
    split = Source(path=str(options.data / "ml-1m-strong")).split()
    names = options.models.split(",")
    given = [float(one) for one in options.minutes.split(",")]
    budget = dict(zip(names, given * len(names) if len(given) == 1 else given, strict=True))
    for name in names:

        def said(trial: TuningTrial, name: str = name) -> None:
            figure = trial.reason if trial.value is None else f"{trial.value:.4f}"
            print(f"{name} {trial.number} {trial.state} {figure} {dict(trial.settings)}", file=sys.stderr, flush=True)

        config = config_class(name)()
        if options.tiny and hasattr(config, "epochs"):
            config = config.with_settings({"epochs": 1})
        found = tune(
            split,
            config,
            minutes=budget[name],
            trials=options.trials,
            metric=METRIC,
            folder=Path(options.studies) / name if options.studies else None,
            ended=said,
        ).as_dict()
        known = by_hand(name)
        test = found["test"][METRIC]
        figures = {
            "test": test,
            "by_hand": known,
            "difference": None if known is None else test["mean"] - known,
            "validation": found["best"]["value"],
            "start": found["start"],
            "trials": len(found["trials"]),
            "minutes": budget[name],
            "seconds": found["seconds"],
            "settings": {setting: entry["best"] for setting, entry in found["settings"].items()},
        }
        print(name, figures, file=sys.stderr, flush=True)
        keep(options, "tuning", {name: (figures, {"metric": METRIC, "data": "ml-1m-strong"})}, {})


if __name__ == "__main__":
    main()
