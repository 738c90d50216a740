"""DDPM and DDIM on Fashion-MNIST: bits per dimension beside a VAE's and VQ-VAE's of the same run, and quality by number of steps.

python reproductions/ddpm.py                         everything
python reproductions/ddpm.py --epochs 30 --widths 64,128      longer and wider

The paper's recipe (L_simple, noise predicted, linear schedule, T = 1000) with a learned variance (nichol2021) and a U-Net small
enough for two cores. What is to be seen is the shape of song2021, table 1: with few steps η = 0 is far better than η = 1, and
with all steps they meet. Quality is the Fréchet distance between Gaussians fitted to features of drawn and of test pictures, by a
small classifier trained here; that of as many training pictures is the floor: figures depend on how many are drawn.

VAE and VQ-VAE are those of `reproductions/vqvae.py`, trained for a shorter time.
"""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy.linalg
import torch
from harness import arguments, pictures_of, write
from pictures import write_grid
from torch import nn
from torch.nn import functional as F
from vqvae import PIXELS, PRIOR, QUANTISED, Say

from foldin.data import Examples, Pictures
from foldin.diffusion import ancestral, ddim, dpm_solver, evenly, evenly_in_snr
from foldin.generative import (
    VAE,
    VQVAE,
    CodePrior,
    CodePriorConfig,
    Diffusion,
    DiffusionConfig,
    LinearNoise,
    Logistic,
    MLPNetwork,
    UNetNetwork,
    VAEConfig,
    VQVAEConfig,
    bits_per_value,
    load_model,
    save_model,
)
from foldin.training import fit

FEATURES = 32
# song2021, table 1, CIFAR-10: FID by the number of steps.
PAPER = {
    "data": "CIFAR-10, FID",
    "ddim, eta 0": {"10": 13.36, "20": 6.84, "50": 4.67, "100": 4.16, "1000": 4.04},
    "ddim, eta 1": {"10": 41.07, "20": 18.36, "50": 8.01, "100": 5.78, "1000": 4.73},
    "bits_per_dimension": {"ddpm": 3.70, "improved ddpm": 2.94},
}


class Classifier(nn.Module):
    """Two convolutions and a layer of features."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 16, 4, 2, 1), nn.Conv2d(16, 32, 4, 2, 1)
        self.third, self.fourth = nn.Linear(32 * 49, FEATURES), nn.Linear(FEATURES, 10)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        h = F.relu(self.second(F.relu(self.first(x.unsqueeze(1)))))
        return self.third(h.flatten(1))


def classifier(found: Pictures) -> tuple[Classifier, float]:
    """(network, share of test pictures that it gets right)."""
    torch.manual_seed(0)
    network = Classifier()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    scale = Diffusion.scaled
    probe = Diffusion((2, 2), DiffusionConfig(network=MLPNetwork(hidden_dims=(1,))))
    x, y = scale(probe, found.train.values), found.train_labels.long()
    for _ in range(3):
        for rows in torch.randperm(len(x)).split(128):
            loss = F.cross_entropy(network.fourth(F.relu(network.features(x[rows]))), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        said = network.fourth(F.relu(network.features(scale(probe, found.test.values)))).argmax(dim=1)
    return network, float((said == found.test_labels).float().mean())


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """‖μ − μ'‖² + tr(Σ + Σ' − 2 (ΣΣ')^½) of Gaussians fitted to rows: squared."""
    of_a, of_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(of_a @ of_b)
    return float(np.square(a.mean(0) - b.mean(0)).sum() + np.trace(of_a + of_b - 2 * root.real))


def bits(bound: Any) -> dict[str, float]:
    """Bits per dimension of the bound and of its parts."""
    return {
        name: bits_per_value(float(value.double().mean()), PIXELS)
        for name, value in (
            ("bits_per_dimension", bound.bound),
            ("prior", -bound.prior),
            ("steps", -bound.steps),
            ("reconstruction", bound.reconstruction),
        )
    }


def others(found: Pictures, options: Any) -> dict[str, Any]:
    """VQ-VAE with its prior, and a VAE, on the pictures that the diffusion is judged by."""
    test = found.test.rows(0, options.bounded)
    figures: dict[str, Any] = {}
    start = time.perf_counter()
    vae = VAE(found.train.shape, VAEConfig(latent_dim=32, hidden_dims=(500, 500), likelihood=Logistic()))
    fit(vae, found.train, epochs=options.vae_epochs, progress=Say("vae"))
    bound = vae.elbo(test, torch.Generator().manual_seed(0)).bound
    figures["vae"] = {
        "bits_per_dimension": bits_per_value(float(bound.double().mean()), PIXELS),
        "seconds": time.perf_counter() - start,
    }
    start = time.perf_counter()
    model = VQVAE(found.train.shape, VQVAEConfig(**QUANTISED, epochs=options.vq_epochs))
    fit(model, found.train, progress=Say("vqvae"))
    codes = Examples(model.codes(found.train))
    prior = CodePrior(codes.shape, CodePriorConfig(**PRIOR, epochs=1))
    fit(prior, codes, progress=Say("prior"))
    bound = model.elbo(test, prior).bound
    figures["vqvae"] = {
        "bits_per_dimension": bits_per_value(float(bound.double().mean()), PIXELS),
        "seconds": time.perf_counter() - start,
    }
    return figures


def curve(model: Diffusion, found: Pictures, network: Classifier, options: Any) -> tuple[dict[str, Any], torch.Tensor]:
    """(Fréchet distances by sampler and number of steps, some draws)."""

    @torch.no_grad()
    def features(x: torch.Tensor) -> np.ndarray:
        return network.features(x).double().numpy()

    real = features(model.scaled(found.test.values))
    n, schedule = options.drawn, model.schedule
    figures: dict[str, Any] = {"training pictures": frechet(features(model.scaled(found.train.values[:n])), real)}
    kept = []
    for steps in map(int, options.steps.split(",")):
        times = evenly(schedule.steps, steps)
        samplers = {
            "ddim, eta 0": lambda x, g, times=times: ddim(model.clipped, schedule, x, times),
            "ddim, eta 1": lambda x, g, times=times: ddim(model.clipped, schedule, x, times, g, eta=1.0),
            "dpm-solver": lambda x, g, steps=steps: dpm_solver(
                model.clipped, schedule, x, evenly_in_snr(schedule, steps)
            ),
        }
        if steps == schedule.steps:
            samplers = {
                "ddim, eta 0": samplers["ddim, eta 0"],
                "ancestral": lambda x, g: ancestral(model.clipped, schedule, x, g),
            }
        for name, sampler in samplers.items():
            start, generator = time.perf_counter(), torch.Generator().manual_seed(1)
            x = torch.randn((n, *model.shape), generator=generator)
            drawn = torch.cat([sampler(part, generator) for part in x.split(128)])
            figures.setdefault(name, {})[str(steps)] = frechet(features(drawn), real)
            if name == "ddim, eta 0":
                kept.append(drawn[:16])
            print(
                name,
                steps,
                figures[name][str(steps)],
                f"{time.perf_counter() - start:.0f} s",
                file=sys.stderr,
                flush=True,
            )
    return figures, torch.cat(kept)


def main() -> None:
    options = arguments(
        __doc__,
        name="ddpm",
        folder=Path(__file__).parent,
        epochs=6,
        widths="32,64",
        vae_epochs=12,
        vq_epochs=3,
        bounded=1000,
        drawn=400,
        steps="10,20,50,100,1000",
        draws=60,
        model="",
        tiny={
            **{"epochs": 1, "widths": "8,8", "vae_epochs": 1, "vq_epochs": 1},
            **{"bounded": 2, "drawn": 40, "steps": "2,4", "draws": 2},
        },
    )
    found = pictures_of(options)
    settings = {
        "network": UNetNetwork(channels=tuple(int(width) for width in options.widths.split(","))),
        "noise": LinearNoise(),
        "variance": "learned",
        "epochs": options.epochs,
    }
    path, start = Path(options.model) if options.model else None, time.perf_counter()
    reused = path is not None and path.exists()
    if reused and path is not None:
        model = load_model(path)
        assert isinstance(model, Diffusion)
    else:
        model = Diffusion(found.train.shape, DiffusionConfig(**settings))
        fit(model, found.train, progress=Say("ddpm"))
        if path is not None:
            save_model(path, model)
    seconds = time.perf_counter() - start
    generator = torch.Generator().manual_seed(0)
    test = found.test.rows(0, options.bounded)
    figures: dict[str, Any] = {
        "ddpm": {**bits(model.bound(test, generator, draws=options.draws)), "seconds": None if reused else seconds}
    }
    print(figures, file=sys.stderr, flush=True)
    network, right = classifier(found)
    kept = model.config.as_dict()  # of the model that was trained or read
    about = {name: kept[name] for name in settings}
    distances, drawn = curve(model, found, network, options)
    write_grid(options.json.parent / "ddpm_samples.png", Diffusion.levels(drawn), 16)
    figures |= others(found, options)
    figures["frechet"] = distances
    write(
        options.json,
        "ddpm",
        settings={
            "diffusion": about,
            "classifier_accuracy": right,
            "drawn": options.drawn,
            "steps": options.steps,
            "bounded": options.bounded,
            "vae_epochs": options.vae_epochs,
            "vq_epochs": options.vq_epochs,
        },
        figures=figures,
        paper=PAPER,
    )


if __name__ == "__main__":
    main()
