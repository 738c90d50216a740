"""Seconds of an epoch: two processes of one thread each, and one process of two threads.

Mult-VAE, RecVAE and SASRec on a synthetic log of the shape of ML-20M, and EM of a mixture of multinomials; and Mult-VAE by a
sampled loss on a larger catalog, whose gradients are rows. The same batches, the same noise and, up to rounding, the same models.
Each way runs in processes of its own, by turns. `exchanged_mb` is what a worker sums with the other one in a step: gradients of
all parameters, or the statistics of EM. That of the sampled loss is counted: what a worker gives to sums and gathers between the
first step and the last. `dense_mb` is the size of its parameters, which dense gradients would have.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import arguments, child, load_log, save_log, write
from synthetic import synthetic_log

from foldin.data import Histories
from foldin.models import MODELS
from foldin.training import GradientPhase, Progress, fit, joined
from foldin.workers import Group

SAMPLED = "multvae, sampled"  # on the larger catalog
SETTINGS: dict[str, dict[str, Any]] = {
    "multvae": {"hidden_dims": (600,), "latent_dim": 200, "batch_size": 500},
    "recvae": {"batch_size": 500},
    "sasrec": {"max_length": 100, "batch_tokens": 6400, "embedding_dim": 64},
    "mixture": {"n_components": 50},
    SAMPLED: {"hidden_dims": (600,), "latent_dim": 200, "batch_size": 500, "loss": "sampled"},
}


class Given(Progress):
    """Bytes that this process has given to sums and gathers over workers, after each step.

    Args:
        group: the workers.
    """

    def __init__(self, group: Group) -> None:
        self.group, self.after = group, list[int]()

    def step(self, phase: str, done: int, total: int, terms: Any) -> None:
        self.after.append(self.group.exchanged)

    def a_step(self) -> float:
        """Mean over the steps after the first one."""
        return (self.after[-1] - self.after[0]) / (len(self.after) - 1)


def measured(name: str, log: Histories, rank: int, size: int, meeting: Path) -> dict[str, float]:
    """Seconds of an epoch, megabytes that are summed over the workers in each step, and those of all parameters."""
    config = MODELS[name.split(",", maxsplit=1)[0]]().with_settings(SETTINGS[name])
    model = config.model_class(log.n_items, config)
    with joined(rank, size, meeting=meeting if size > 1 else None) as group:
        given = Given(group)
        fit(model, log.rows(0, min(len(log), 1500)), epochs=1, group=group)
        seconds = fit(model, log, epochs=1, progress=given, group=group).records[0].seconds
    phases = [one for one in model.trainer(log).phases if isinstance(one, GradientPhase)]
    tensors = max((list(one.parameters.values()) for one in phases), key=len) if phases else model.tensors().values()
    dense = sum(one.numel() * one.element_size() for one in tensors)
    exchanged = 0.0 if size == 1 else given.a_step() if name == SAMPLED else dense
    return {"seconds": seconds, "exchanged_mb": exchanged / 1e6, "dense_mb": dense / 1e6}


def run(script: list[str], threads: int, size: int) -> dict[str, Any]:
    """What the first of `size` processes measures."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*script, "--threads", str(threads), "--size", str(size), "--meeting", str(Path(folder) / "meeting")]
        others = [
            subprocess.Popen([*command, "--rank", str(rank)], stdout=subprocess.DEVNULL) for rank in range(1, size)
        ]
        try:
            return child(*command)
        finally:
            for other in others:
                other.wait()


def main() -> None:
    options = arguments(
        __doc__,
        name="workers",
        folder=Path(__file__).parent,
        model="",
        log="",
        meeting="",
        rank=0,
        size=1,
        threads=2,
        users=20_000,
        items=20_108,
        large_items=200_000,
        repeats=3,
        tiny={"users": 1500, "items": 300, "large_items": 6000, "repeats": 1},
    )
    torch.set_num_threads(options.threads)
    if options.model:
        log = load_log(Path(options.log))
        print(json.dumps(measured(options.model, log, options.rank, options.size, Path(options.meeting))))
        return
    log = synthetic_log(users=options.users, items=options.items)
    runs: dict[str, dict[str, list[dict[str, float]]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = save_log(Path(folder) / "log.npz", log)
        larger = synthetic_log(users=options.users, items=options.large_items)
        path_of_larger = save_log(Path(folder) / "larger.npz", larger)
        for name in SETTINGS:
            script = [sys.executable, __file__, "--model", name]
            script += ["--log", str(path_of_larger if name == SAMPLED else path)]
            found = runs.setdefault(name, {"processes": [], "threads": []})
            for _ in range(options.repeats):
                found["processes"].append(run(script, max(1, options.threads // 2), 2))
                found["threads"].append(run(script, options.threads, 1))
                print(f"{name}: {found['processes'][-1]}, {found['threads'][-1]}", file=sys.stderr, flush=True)
    median = lambda found: float(np.median([one["seconds"] for one in found]))
    seconds = {name: {way: median(found) for way, found in ways.items()} for name, ways in runs.items()}
    write(
        options.json,
        "workers",
        settings={
            "log": "synthetic",
            "users": len(log),
            "items": log.n_items,
            "events": log.n_events,
            "large_items": options.large_items,
            "repeats": options.repeats,
            "models": SETTINGS,
        },
        figures={
            "seconds_per_epoch": seconds,
            "all_seconds": {
                name: {way: [one["seconds"] for one in found] for way, found in ways.items()}
                for name, ways in runs.items()
            },
            "exchanged_mb": {name: ways["processes"][0]["exchanged_mb"] for name, ways in runs.items()},
            "dense_mb": {SAMPLED: runs[SAMPLED]["processes"][0]["dense_mb"]},
        },
        ratios={name: one["threads"] / one["processes"] for name, one in seconds.items()},
    )


if __name__ == "__main__":
    main()
