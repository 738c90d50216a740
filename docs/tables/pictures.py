"""The tables of models of pictures."""

from collections.abc import Callable, Mapping
from typing import Any

from tables.base import load, rows_of

__all__ = ["ddpm", "pictures"]


def pictures() -> str:
    """The VAE and VQ-VAE on Fashion-MNIST."""
    bound, bits = load("reproductions/results/aevb.json"), load("reproductions/results/vqvae.json")["figures"]
    rows = [
        [latent, *(f"{one[key]:.1f}" for key in ("train", "test", "best_test", "train_minus_test"))]
        for latent, one in bound["figures"].items()
    ]
    report = bound["bound_report"]
    gap, nats = report["gap"], lambda entry: f"{entry['per_picture']:.1f}"
    vq = bits["vqvae"]["test"]
    other = [
        ["VQ-VAE, convolutions, and its prior", vq["bits_per_dimension"], vq["reconstruction"], vq["codes"]],
        *(
            [
                f"VAE, perceptrons, {name.split()[1]} dimensions",
                *(one[k] for k in ("bits_per_dimension", "reconstruction", "kl")),
            ]
            for name, one in bits.items()
            if name.startswith("vae")
        ),
    ]
    return (
        f"The bound of a VAE after {bound['settings']['samples']:,} training samples, binarized pictures, nats a picture:\n\n"
        + rows_of(["N_z", "training", "test", "best test", "difference"], rows)
        + f"\n\nOf N_z = 20 on {report['pictures']} test pictures: ELBO {nats(report['bound']['elbo'])}, IWAE with k = 500 "
        f"{nats(report['iwae']['500'])}, "
        + _gap_in_words(gap, nats)
        + _annealed_in_words(report, nats)
        + "\n\nBits per dimension of test pictures with 256 gray levels (discretized logistic; the codes of VQ-VAE at the "
        "price of its prior):\n\n"
        + rows_of(
            ["", "in all", "reconstruction", "codes or KL"], [[one[0], *(f"{v:.3f}" for v in one[1:])] for one in other]
        )
        + f"\n\nOf the 512 codes {bits['vqvae']['used'][0]:.0%} are used, with perplexity {bits['vqvae']['perplexity'][0]:.0f}."
        + _dynamic()
    )


def _dynamic() -> str:
    """The likelihood of VAEs whose pictures are binarized anew in every step, beside the published figures."""
    kept = load("reproductions/results/vae_likelihood.json")
    settings, paper = kept["settings"], kept["paper"]
    rows = [
        [
            name,
            f"{one['nll']:.2f} ± {one['nll_se']:.2f}",
            f"{one['negative_elbo']:.2f}",
            f"{paper[name]:.2f}",
            str(one["epochs"]),
        ]
        for name, one in kept["figures"].items()
    ]
    return (
        "\n\nVAEs with 40 latent dimensions and dynamic binarization: an upper bound on −log p(x), nats per test picture, by "
        f"{settings['draws']:,} importance-weighted draws (± its standard error over pictures), beside the published figures "
        "(norouzi2020, table 2), for which the networks were trained until the bound stopped rising:\n\n"
        + rows_of(["prior", "IWAE bound", "negative ELBO", "published", "epochs"], rows)
    )


def _gap_in_words(gap: dict[str, Any], nats: Callable[[Mapping[str, float]], str]) -> str:
    """The best bound and the parts of the gap."""
    return (
        f"the best bound on log p(x) {nats(gap['best_bound'])}; of the gap at least {nats(gap['amortization_at_least'])} nats "
        f"are the encoder's, and about {nats(gap['approximation_estimate'])} the Gaussian's."
    )


def _annealed_in_words(report: dict[str, Any], nats: Callable[[Mapping[str, float]], str]) -> str:
    """What annealed importance sampling says, where it was run."""
    if "annealed" not in report:
        return ""
    annealed = report["annealed"]
    made = annealed["simulated"]
    bracket = (
        f"; of as many simulated ones log p(x) is between {nats(made['lower'])} and {nats(made['upper'])}"
        if made
        else ""
    )
    return (
        f" Annealed importance sampling on {annealed['rows']} of them, {annealed['temperatures']} temperatures: at least "
        f"{nats(annealed['lower'])} (the best bound of these {nats(annealed['best_bound'])}){bracket}."
    )


def ddpm() -> str:
    """Diffusion on Fashion-MNIST: bits per dimension, and quality by the number of steps."""
    result = load("reproductions/results/ddpm.json")
    figures = result["figures"]
    own, distances = figures["ddpm"], figures["frechet"]
    steps = result["settings"]["steps"].split(",")
    rows = [
        [name, *(f"{one[n]:.1f}" if n in one else "–" for n in steps)]
        for name, one in distances.items()
        if isinstance(one, dict)
    ]
    return (
        f"Fréchet distance of {result['settings']['drawn']} draws to the test pictures, by steps (as many training pictures: "
        f"{distances['training pictures']:.1f}):\n\n"
        + rows_of(["sampler", *(f"{int(n):,}" for n in steps)], rows)
        + f"\n\nBits per dimension of {result['settings']['bounded']} test pictures, by the bound: "
        f"{own['bits_per_dimension']:.2f} (steps {own['steps']:.2f}, last step {own['reconstruction']:.2f}, prior "
        f"{own['prior']:.4f}). In the same run, trained for a shorter time than above, the VAE "
        f"{figures['vae']['bits_per_dimension']:.2f} and VQ-VAE {figures['vqvae']['bits_per_dimension']:.2f}: as "
        "in the paper, L_simple is for pictures that look right, not for bits."
    )
