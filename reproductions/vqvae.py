"""Bits per dimension of 8-bit Fashion-MNIST: VQ-VAE with a transformer over its codes, beside VAEs; all discretized logistics.

The paper (section 4.1, CIFAR-10) finds 4.67 bits per dimension for VQ-VAE and 4.51 for a VAE of the same networks: discrete
codes cost little. What can be compared here is that shape, not the numbers: the pictures are others, so are the networks
(perceptrons for the VAEs, as in kingma2014), and all figures are bounds: for VQ-VAE log p(x|c) + log p(c) at the one code c of x,
for the VAEs the ELBO, and the tighter IWAE bound with 50 draws. Two more VQ-VAEs are trained for one epoch, with z_e
standardized and without: their perplexities tell whether the codebook lives.

python reproductions/vqvae.py
"""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import arguments, pictures_of, write
from pictures import write_grid

from foldin.data import Examples
from foldin.generative import VAE, VQVAE, CodePrior, CodePriorConfig, Logistic, VAEConfig, VQVAEConfig, bits_per_value
from foldin.inference import Called, bound_report
from foldin.training import EpochRecord, Progress, fit

PIXELS = 28 * 28
QUANTISED = {"channels": 64, "learning_rate": 1e-3, "lr_decay": 0.5}
FIRST_EPOCH = {"standardized": {}, "not standardized": {"standardized": False}}
PRIOR = {"n_layers": 3, "dropout": 0.0, "learning_rate": 2e-3}
VAES = (32, 64)
DRAWS = 50
BOUNDED = 2000  # test pictures for the IWAE bound


class Say(Progress):
    """One line an epoch."""

    def __init__(self, name: str) -> None:
        self.name = name

    def epoch(self, record: EpochRecord) -> None:
        terms = "  ".join(f"{name.split('/')[1]} {value:.1f}" for name, value in record.terms.items())
        print(f"{self.name}: epoch {record.epoch}, {record.seconds:.0f} s: {terms}", file=sys.stderr, flush=True)


def use(model: VQVAE, data: Examples) -> dict[str, Any]:
    """Of the codes, on these pictures."""
    found = model.use(data)
    return {
        "perplexity": found.perplexity.tolist(),
        "used": found.used.tolist(),
        "pictures_with_a_shared_code": found.collisions,
        "alarms": list(found.alarms),
    }


def quantized(train: Examples, test: Examples, options: Any) -> tuple[dict[str, Any], VQVAE, CodePrior]:
    """(figures, autoencoder, prior)."""
    start = time.perf_counter()
    model = VQVAE(train.shape, VQVAEConfig(**QUANTISED, epochs=options.epochs))
    fit(model, train, progress=Say("vqvae"))
    codes = Examples(model.codes(train))
    prior = CodePrior(codes.shape, CodePriorConfig(**PRIOR, epochs=options.prior_epochs))
    fit(prior, codes, progress=Say("prior"))
    bits = {}
    for name, data in (("test", test), ("train", train.rows(0, len(test)))):
        terms = model.elbo(data, prior)
        bits[name] = {
            "bits_per_dimension": bits_per_value(float(terms.bound.double().mean()), PIXELS),
            "reconstruction": bits_per_value(float(terms.reconstruction.double().mean()), PIXELS),
            "codes": bits_per_value(-float(terms.kl.double().mean()), PIXELS),
        }
    bits["codes_if_all_were_alike"] = model.positions * float(np.log2(model.config.codebook_size)) / PIXELS
    return {**bits, **use(model, test), "seconds": time.perf_counter() - start}, model, prior


def continuous(latent: int, train: Examples, test: Examples, options: Any) -> tuple[dict[str, Any], VAE]:
    """(figures, model)."""
    start = time.perf_counter()
    config = VAEConfig(latent_dim=latent, hidden_dims=(500, 500), likelihood=Logistic(), epochs=options.vae_epochs)
    model = VAE(train.shape, config)
    fit(model, train, progress=Say(f"vae {latent}"))
    few = test.rows(0, options.bounded)
    called = Called("picture", "pictures", "pixel")
    units = np.full(len(few), float(PIXELS))
    report = bound_report(model, few, units, called=called, draws=options.draws, refine_steps=0, annealed=0)
    terms = model.elbo(test, torch.Generator().manual_seed(0))
    return {
        "bits_per_dimension": bits_per_value(float(terms.bound.double().mean()), PIXELS),
        "reconstruction": bits_per_value(float(terms.reconstruction.double().mean()), PIXELS),
        "kl": bits_per_value(-float(terms.kl.double().mean()), PIXELS),
        "first_pictures": options.bounded,
        "first_pictures_elbo": bits_per_value(report["bound"]["elbo"]["per_picture"], PIXELS),
        f"first_pictures_iwae_{options.draws}": bits_per_value(
            report["iwae"][str(options.draws)]["per_picture"], PIXELS
        ),
        "active_units": report["health"]["active_units"],
        "seconds": time.perf_counter() - start,
    }, model


def gray(means: torch.Tensor) -> torch.Tensor:
    """Means in [0, 1] as levels."""
    return (means * 255.0).round().to(torch.uint8)


def main() -> None:
    options = arguments(
        __doc__,
        name="vqvae",
        folder=Path(__file__).parent,
        epochs=10,
        prior_epochs=3,
        vae_epochs=12,
        bounded=BOUNDED,
        draws=DRAWS,
        tiny={"epochs": 1, "prior_epochs": 1, "vae_epochs": 1, "bounded": 4, "draws": 5},
    )
    found = pictures_of(options)
    train, test, generator = found.train, found.test, torch.Generator().manual_seed(0)
    figures: dict[str, Any] = {}
    for name, settings in FIRST_EPOCH.items():
        model = VQVAE(train.shape, VQVAEConfig(**(QUANTISED | {"lr_decay": 0.0} | settings), epochs=1))
        fit(model, train, progress=Say(name))
        bits = bits_per_value(float(model.log_likelihood(test).double().mean()), PIXELS)
        figures[f"vqvae, one epoch, {name}"] = {"reconstruction": bits, **use(model, test)}
    figures["vqvae"], model, prior = quantized(train, test, options)
    folder = options.json.parent
    few = test.rows(0, 32)
    pairs = [few.values, gray(model.reconstruct(few))]
    drawn = model.decode(prior.sample(64, generator))
    write_grid(folder / "vqvae_samples.png", gray(model.likelihood.mean(drawn)), 16)
    for latent in VAES:
        figures[f"vae {latent}"], vae = continuous(latent, train, test, options)
        if latent == VAES[-1]:
            pairs.append(gray(vae.reconstruct(few)))
            drawn = vae.decode(torch.randn(64, latent, generator=generator))
            write_grid(folder / "vqvae_samples_of_the_vae.png", gray(vae.likelihood.mean(drawn.detach())), 16)
    # Each picture above what the codes keep of it, and what the largest VAE does.
    sheets = [torch.cat([rows[at : at + 16] for rows in pairs]) for at in (0, 16)]
    write_grid(folder / "vqvae_reconstructions.png", torch.cat(sheets), 16)
    write(
        options.json,
        "vqvae",
        settings={
            "vqvae": QUANTISED | {"epochs": options.epochs},
            "prior": PRIOR | {"epochs": options.prior_epochs},
            "vae": {"latent_dim": list(VAES), "hidden_dims": [500, 500], "epochs": options.vae_epochs},
        },
        figures=figures,
        paper={"data": "CIFAR-10", "bits_per_dimension": {"vae": 4.51, "vqvae": 4.67, "vimco": 5.14}},
    )


if __name__ == "__main__":
    main()
