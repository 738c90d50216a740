"""Time to quality on `ml-1m-strong`: seconds of training until validation NDCG@100 is within .002 of the best of the
plain dense implementation, for that implementation and for foldin, in one run.

The dense Mult-VAE follows the paper with batches of 100 (600-200-600, β 0.2, dropout 0.5). foldin is timed twice: with the
same settings, and with settings made for speed. Judging is not counted for either.
"""

import time
from pathlib import Path

import torch
from common import arguments, write
from dense import DenseMultVAE, DenseTrainer

from foldin.data import Histories, read_given
from foldin.evaluation import ValidationMetric
from foldin.models import MultVAE, MultVAEConfig, Recommender, RisingOverShare
from foldin.training import Config, Trainer, fit

CLOSE = 0.002
QUICK = MultVAEConfig(
    hidden_dims=(),
    latent_dim=200,
    beta=0.05,
    dropout=0.3,
    batch_size=100,
    learning_rate=3e-3,
    epochs=40,
    beta_schedule=RisingOverShare(share=0.5),
)


class Dense(Recommender[Config]):
    """The dense network behind foldin's contract, so that both are judged by the same code."""

    Config = Config
    has_likelihood = True
    summary = "plain dense Mult-VAE"

    def _build(self, generator: torch.Generator) -> None:
        self.dense: DenseTrainer | None = None

    def trainer(self, train: Histories) -> Trainer:
        raise SystemExit("trained by its own loop")

    def tensors(self) -> dict[str, torch.Tensor]:
        return {}

    def _logits(self, histories: Histories) -> torch.Tensor:
        assert self.dense is not None
        return self.dense.logits(histories)


def dense_curve(train: Histories, judge: ValidationMetric, epochs: int) -> list[tuple[float, float]]:
    """(training seconds so far, figure) after each epoch; stops 12 epochs after the best."""
    steps = epochs * -(-len(train) // 100)
    model = Dense(train.n_items)
    model.dense = DenseTrainer(DenseMultVAE(train.n_items), train, batch_size=100, beta=0.2, anneal=round(0.85 * steps))
    curve: list[tuple[float, float]] = []
    seconds = 0.0
    for _ in range(epochs):
        seconds += model.dense.epoch()
        curve.append((seconds, judge(model)))
        best = max(range(len(curve)), key=lambda at: curve[at][1])
        if len(curve) - best > 12:
            break
    return curve


def our_curve(
    train: Histories, judge: ValidationMetric, config: MultVAEConfig, goal: float, seed: int
) -> list[tuple[float, float]]:
    """The same of foldin; stops at the goal. What comes before the first step (warm starts) is counted."""
    start = time.perf_counter()
    model = MultVAE(train.n_items, config, seed=seed)
    built = time.perf_counter() - start
    result = fit(
        model, train, validation=judge, seed=seed, patience=None, until=lambda record: (record.metric or 0) >= goal
    )
    judged = result.seconds - sum(record.seconds for record in result.records)
    curve, seconds = [], built
    for record in result.records:
        seconds += record.seconds
        curve.append((seconds, float(record.metric or 0)))
    print(f"{config.hidden_dims}: {curve[-1]}, {judged:.1f} s of judging not counted", flush=True)
    return curve


def reach(curve: list[tuple[float, float]], goal: float) -> float | None:
    """Seconds until the figure is at the goal."""
    return next((seconds for seconds, figure in curve if figure >= goal), None)


def main() -> None:
    options = arguments(
        __doc__,
        name="multvae_quality_time",
        folder=Path(__file__).parent,
        threads=2,
        epochs=60,
        seeds=3,
        tiny={"epochs": 2, "seeds": 1},
    )
    torch.set_num_threads(options.threads)
    split = read_given(options.data / "ml-1m-strong")
    judge = ValidationMetric(split.validation)
    dense = dense_curve(split.train, judge, options.epochs)
    goal = max(figure for _, figure in dense) - CLOSE
    same = MultVAEConfig(batch_size=100, epochs=options.epochs)
    curves = {
        "same_settings": [our_curve(split.train, judge, same, goal, seed) for seed in range(options.seeds)],
        "quick": [our_curve(split.train, judge, QUICK, goal, seed) for seed in range(options.seeds)],
    }
    found = {name: sorted(reach(curve, goal) or float("inf") for curve in several) for name, several in curves.items()}
    middle = {name: several[len(several) // 2] for name, several in found.items()}
    dense_seconds = reach(dense, goal)
    assert dense_seconds is not None
    write(
        options.json,
        "multvae_quality_time",
        settings={
            "data": "ml-1m-strong",
            "metric": judge.metric,
            "goal": goal,
            "quick": QUICK.as_dict(),
            "same_settings": same.as_dict(),
        },
        figures={
            "seconds": {"dense": dense_seconds, **middle},
            "all_seconds": found,
            "best": {"dense": max(figure for _, figure in dense)},
            "curves": {"dense": dense, **{name: several[0] for name, several in curves.items()}},
        },
        ratios={
            "dense": dense_seconds / middle["quick"],
            "dense_same_settings": dense_seconds / middle["same_settings"],
        },
    )


if __name__ == "__main__":
    main()
