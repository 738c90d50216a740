"""Figures 2, 4 and 5 of Kingma & Welling (2014) on Fashion-MNIST: the bound against the samples seen, the manifold, draws.

The pictures are binarized at 128, once. From the paper's MNIST this departs in the data and in the optimizer (Adam of 1e-3, not
Adagrad); as there, one hidden layer of 500 on either side, tanh, batches of 100, one draw of z (estimator B). The bound is
estimated after every epoch on the test pictures and on the first 10,000 training pictures, one draw of z each.

The paper found that superfluous latent variables do not make it overfit: with N_z = 200 the test bound is no lower than with 20,
and does not fall. The same is asked here: each curve's last test bound, its best one, and the distance from training to test.

--keep FOLDER keeps the models; `foldin explain FOLDER/vae-20.safetensors --data fashion-mnist` then reports on one.
"""

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import arguments, pictures_of, write
from pictures import write_grid

from foldin.data import Examples
from foldin.generative import VAE, VAEConfig, save_model
from foldin.inference import Annealing, Called, bound_report
from foldin.reports.charts import line_chart
from foldin.training import EpochRecord, Progress, fit

LATENTS = (2, 3, 5, 10, 20, 200)
SHOWN = (2, 5, 10, 20)
STYLE = (
    ":root { --line: #2563a8; --other: #b4530a; --third: #3a7d44; --grid: #8884; } "
    "text { font: 11px system-ui, sans-serif; fill: currentColor; }"
)


def mean_bound(model: VAE, data: Examples) -> float:
    """The mean ELBO, nats a picture."""
    generator = torch.Generator(model.device).manual_seed(0)
    step = model.block()
    parts = [model.elbo(data.rows(at, at + step), generator).bound for at in range(0, len(data), step)]
    return float(torch.cat(parts).double().mean())


class Curve(Progress):
    """The bound on both sets after every epoch."""

    def __init__(self, model: VAE, train: Examples, test: Examples) -> None:
        self.model, self.train, self.test = model, train, test
        self.points: list[dict[str, float]] = []

    def epoch(self, record: EpochRecord) -> None:
        point = {
            "samples": float(record.epoch * len(self.train)),
            "train": mean_bound(self.model, self.train.rows(0, 10_000)),
            "test": mean_bound(self.model, self.test),
            "seconds": record.seconds,
        }
        self.points.append(point)
        print(self.model.config.latent_dim, {k: round(v, 2) for k, v in point.items()}, file=sys.stderr, flush=True)


def as_pictures(means: torch.Tensor) -> torch.Tensor:
    """Shades of gray, white on black."""
    return (255 * means).round().to(torch.uint8)


def write_curves(path: Path, figures: dict[str, Any]) -> None:
    """One panel for each number of latent variables, as in the paper's figure 2."""
    panels = []
    for at, (latent, found) in enumerate(figures.items()):
        series = {
            part: [(math.log10(point["samples"]), point[part]) for point in found["curve"]]
            for part in ("train", "test")
        }
        panel = line_chart(f"N_z = {latent}", series, "log₁₀ training samples", "bound, nats a picture")
        left, top = 450 * (at % 3), 290 * (at // 3)
        title = f'<text x="250" y="-4" text-anchor="middle">N_z = {latent}: training blue, test orange</text>'
        panels.append(f'<g transform="translate({left} {top + 20})">{title}{panel}</g>')
    size = f'viewBox="0 0 1350 {290 * -(-len(figures) // 3)}"'
    content = f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{STYLE}</style>{"".join(panels)}</svg>\n'
    path.write_text(content, encoding="utf-8")


def main() -> None:
    options = arguments(
        __doc__,
        name="aevb",
        folder=Path(__file__).parent,
        threads=2,
        epochs=40,
        pictures=500,
        draws=500,
        annealed=50,
        temperatures=1000,
        keep="",
        tiny={"epochs": 1, "pictures": 4, "draws": 5, "annealed": 2, "temperatures": 5},
    )
    torch.set_num_threads(options.threads)
    data, folder = pictures_of(options), options.json.parent
    figures: dict[str, Any] = {}
    report: dict[str, Any] = {}
    for latent in LATENTS:
        model = VAE(data.train.shape, VAEConfig(latent_dim=latent))
        curve = Curve(model, data.train, data.test)
        fit(model, data.train, epochs=options.epochs, progress=curve)
        tests = [point["test"] for point in curve.points]
        figures[str(latent)] = {
            "test": tests[-1],
            "best_test": max(tests),
            "train": curve.points[-1]["train"],
            "train_minus_test": curve.points[-1]["train"] - tests[-1],
            "curve": curve.points,
        }
        if options.keep:
            save_model(Path(options.keep) / f"vae-{latent}.safetensors", model)
        generator = torch.Generator().manual_seed(0)
        if latent in SHOWN:
            with torch.no_grad():
                means = model.likelihood.mean(model.decode(model.draw(100, generator)))
            write_grid(folder / f"aevb_samples_{latent}.png", as_pictures(means), 10)
        if latent == 2:
            side = torch.from_numpy(np.linspace(0.025, 0.975, 20))
            at = torch.distributions.Normal(0.0, 1.0).icdf(side).float()
            z = torch.stack(torch.meshgrid(-at, at, indexing="ij"), dim=-1).flip(-1).flatten(0, 1)
            with torch.no_grad():
                means = model.likelihood.mean(model.decode(z))
            write_grid(folder / "aevb_manifold.png", as_pictures(means), 20)
        if latent == 20:
            part = data.test.rows(0, options.pictures)
            units = np.full(len(part), float(math.prod(part.shape)))
            called = Called("picture", "pictures", "pixel")
            many = data.test.rows(0, 10 * options.pictures)
            report = bound_report(
                model,
                part,
                units,
                called=called,
                draws=options.draws,
                annealed=options.annealed,
                annealing=Annealing(options.temperatures),
                aggregate=many,
            )
    write_curves(folder / "aevb_bound.svg", figures)
    write(
        options.json,
        "aevb",
        settings={
            "data": "fashion-mnist, binarized at 128",
            "epochs": options.epochs,
            "samples": options.epochs * len(data.train),
        },
        figures=figures,
        bound_report=report,
    )


if __name__ == "__main__":
    main()
