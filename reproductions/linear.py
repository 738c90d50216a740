"""EASE, EDLAE, SLIM, ELSA, ALS and iALS, each tuned with the same budget of training time on the validation users.

python reproductions/linear.py                                     ml-1m-strong
python reproductions/linear.py --log lastfm-hetrec,amazon-beauty   other logs; diffrec-ml-1m-clean is one, too
python reproductions/linear.py --models ease,edlae --minutes 5     only these, each with five minutes

Each model is tuned by `foldin.tune` from its defaults and with the ranges that it declares. Where a log has an order of events,
`oldest`, the weight of the oldest event of a history, is searched too. The test users are looked at once.

--studies FOLDER keeps each search, so that it can be continued and has a report.
"""

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import torch
from harness import arguments, keep

from foldin import tune
from foldin.data import Source, Split
from foldin.experiment import Trained, TuningTrial, report
from foldin.models import config_class
from foldin.training import Range

MODELS = ("ease", "edlae", "slim", "elsa", "als", "ials")
# Log → the validation metric, and whether the order of events is in it.
LOGS = {
    "ml-1m-strong": ("ndcg@100", False),
    "lastfm-hetrec": ("ndcg@100", False),
    "amazon-beauty": ("ndcg@10", True),
    "diffrec-ml-1m-clean": ("ndcg@10", True),
}
METRICS = ("ndcg@100", "ndcg@10", "recall@20", "recall@50", "recall_all@10", "hit_rate@10")
OLDEST = {"oldest": Range(0.1, 1.0)}


def split_of(name: str, data: Path) -> Split:
    if name == "amazon-beauty":
        return Source(path=str(data / name / "sequences.txt"), protocol="last-out").split()
    if name == "lastfm-hetrec":
        return Source(path=str(data / name), protocol="strong", item_events=5).split()
    return Source(path=str(data / name)).split()


def tuned(options: Namespace, log: str, split: Split, name: str) -> tuple[Trained, dict[str, Any]]:
    """(the model with the best settings, the search as data)."""

    def said(trial: TuningTrial) -> None:
        figure = trial.reason if trial.value is None else f"{trial.value:.4f}"
        print(
            f"{log}: {name} {trial.number} {trial.state} {figure} {dict(trial.settings)}", file=sys.stderr, flush=True
        )

    metric, ordered = LOGS[log]
    config = config_class(name)()
    if options.tiny and hasattr(config, "epochs"):
        config = config.with_settings({"epochs": 1})
    found = tune(
        split,
        config,
        minutes=options.minutes,
        trials=options.trials,
        metric=metric,
        metrics=METRICS,
        space=OLDEST if ordered else None,
        folder=Path(options.studies) / f"{log}-{name}" if options.studies else None,
        ended=said,
    )
    assert found.trained is not None  # no other process works on the study
    return found.trained, found.as_dict()


def main() -> None:
    options = arguments(
        __doc__,
        name="linear",
        folder=Path(__file__).parent,
        log="ml-1m-strong",
        models=",".join(MODELS),
        minutes=20.0,
        trials=10_000,
        studies="",
        threads=2,
        tiny={"trials": 2, "log": "ml-1m-strong,amazon-beauty"},
    )
    torch.set_num_threads(options.threads)
    for log in options.log.split(","):
        split = split_of(log, options.data)
        models, searches = {}, {}
        for name in options.models.split(","):
            models[name], searches[name] = tuned(options, log, split, name)
            means = {metric: models[name].evaluation.values(metric).mean() for metric in METRICS}
            print(log, name, *(f"{metric} {mean:.4f}" for metric, mean in means.items()), file=sys.stderr, flush=True)
        content = report(split, models, data=log, seed=0)
        for name, search in searches.items():
            content["models"][name]["search"] = {**search, "minutes": options.minutes}
        figures = {name: about["metrics"] for name, about in content["models"].items()}
        keep(Namespace(**vars(options), seeds=1), "linear", {log: (figures, content)}, {})


if __name__ == "__main__":
    main()
