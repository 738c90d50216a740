"""A network that learns to take noise off numbers, of which its training set has few or many."""

import random
from statistics import NormalDist
from typing import Any

import torch

from foldin.data import Examples
from foldin.generative import CosineNoise, Diffusion, DiffusionConfig, MLPNetwork
from foldin.kernels.threads import operations_on_one_thread
from foldin.tensors import Float, Tensor
from foldin.training import EpochRecord, Progress, Trainer, fit

__all__ = ["EPOCHS", "LEVELS", "film"]

EPOCHS = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256)
LEVELS = (5, 15, 25, 35, 45, 55, 65, 75)  # steps t of the diffusion that are shown, of STEPS
STEPS, SIZE, BATCH = 100, 2048, 128  # SIZE: training examples in an epoch, copies included
SHARES, MEANS, SDS = (0.4, 0.6), (-1.3, 0.9), (0.35, 0.5)  # of the two Gaussians from which the numbers come
EDGE, PLACES = 4.0, 121  # x_t from −EDGE to EDGE
SHOWN, BINS, DRAWS, DRAW_STEPS = 3.0, 40, 1000, 25  # the histogram of draws of x_0, from −SHOWN to SHOWN
SEED = 9  # its first eight points are three and five of the two Gaussians, as good as their shares allow


class _Frames(Progress):
    """What a diffusion has learned at each of `EPOCHS`; epoch 0 is before training."""

    def __init__(self, model: Diffusion) -> None:
        self.model = model
        self.found: list[dict[str, Any]] = []

    def begin(self, trainer: Trainer[Any], epochs: int, done: int) -> None:
        self._take(done)

    def epoch(self, record: EpochRecord) -> None:
        self._take(record.epoch)

    @torch.no_grad()
    def _take(self, epoch: int) -> None:
        if epoch not in EPOCHS:
            return
        x = torch.linspace(-EDGE, EDGE, PLACES).unsqueeze(1)
        clean = [self.model.denoise(x, torch.full((PLACES,), t)).clean[:, 0] for t in LEVELS]
        draws = self.model.sample(DRAWS, torch.Generator().manual_seed(0), steps=DRAW_STEPS)
        counts = torch.histc(draws, bins=BINS, min=-SHOWN, max=SHOWN)
        self.found.append(
            {
                "steps": epoch * SIZE // BATCH,
                "clean": [_rounded(one) for one in clean],
                "draws": _rounded(counts * BINS / (2.0 * SHOWN * DRAWS)),
            }
        )


def film(count: int, *, epochs: int = EPOCHS[-1]) -> dict[str, Any]:
    """The network before training and at some moments of it.

    Args:
        count: number of training points, which divides 2048; those of a smaller set are the first of a larger one.
        epochs: number of epochs of 16 gradient steps.

    Returns:
        `points`; `levels`, steps t of the diffusion, and their `alphaBar`; `shares`, `means` and `sds` of the true density;
        `edge` of the grid of x_t; `shown`, the edge of the histogram; and `frames`, each with the number of gradient `steps`,
        the network's guess x̂_0 on the grid at each level, `clean`, and the density of its `draws`.
    """
    generator = random.Random(SEED)
    points = [_draw(generator) for _ in range(count)]
    config = DiffusionConfig(
        noise=CosineNoise(n_steps=STEPS),
        prediction="velocity",
        network=MLPNetwork(hidden_dims=(64, 64, 64)),
        time_dim=16,
        average_decay=0.99,
        learning_rate=3e-3,
        batch_size=BATCH,
        epochs=epochs,
    )
    model = Diffusion((1,), config, seed=1)
    frames = _Frames(model)
    with operations_on_one_thread():  # they are small
        # A point is there several times, each with a t and a noise of its own.
        train = Examples(torch.tensor(points).unsqueeze(1).repeat(SIZE // count, 1))
        fit(model, train, seed=2, patience=None, progress=frames)
    return {
        "points": points,
        "levels": list(LEVELS),
        "alphaBar": [round(float(model.schedule.alpha_bar[t]), 6) for t in LEVELS],
        "shares": list(SHARES),
        "means": list(MEANS),
        "sds": list(SDS),
        "edge": EDGE,
        "shown": SHOWN,
        "frames": frames.found,
    }


def _draw(generator: random.Random) -> float:
    """A number from the mixture, to three decimals."""
    component = int(generator.random() >= SHARES[0])
    uniform = min(max(generator.random(), 1e-9), 1.0 - 1e-9)
    return round(NormalDist(MEANS[component], SDS[component]).inv_cdf(uniform), 3)


def _rounded(values: Float[Tensor, " values"]) -> list[float]:
    return [round(one, 3) for one in values.tolist()]
