"""Generative models on a GPU: training, figures against the same weights on the CPU, and the options of training."""

import pytest
import torch

from foldin import generative
from foldin.data import Examples
from foldin.training import fit
from tests.golden.generative import CASES, examples
from tests.gpu.device import DEVICE


def made(name: str, device: str, **more):
    kind, data, settings = CASES[name]
    rows = examples(data)
    config = getattr(generative, f"{kind}Config")
    begun = config(codebook_size=5) if kind == "CodePrior" else config()
    shape = rows.shape[0] if kind == "RQVAE" else rows.shape
    return getattr(generative, kind)(shape, begun.with_settings({**settings, **more}), seed=3, device=device), rows


def figure(model, rows: Examples) -> torch.Tensor:
    """A figure of each example: codes, a likelihood, or a bound by many draws."""
    generator = torch.Generator(model.device).manual_seed(7)
    with torch.no_grad():
        if isinstance(model, generative.VAE):
            return model.elbo(rows, generator).bound
        if isinstance(model, generative.Diffusion):
            return model.bound(rows, generator, draws=3).bound
        if isinstance(model, generative.VQVAE):
            return model.log_likelihood(rows)
        if isinstance(model, generative.CodePrior):
            return model.log_prob(rows.values.to(model.device))
        return model.codes(rows.values.to(model.device)).float()


@pytest.mark.parametrize("name", CASES)
def test_it_is_trained_there_and_says_the_same_on_the_cpu(name):
    there, rows = made(name, DEVICE)
    before = figure(there, rows).double().mean()
    fit(there, rows, seed=5)
    found = figure(there, rows)
    assert found.device.type == torch.device(DEVICE).type
    assert torch.isfinite(found).all()
    assert found.double().mean() != before  # with the same noise
    here, _ = made(name, "cpu")
    here.load_state({key: value.cpu() for key, value in there.state().items()})
    expected = figure(here, rows)
    if isinstance(there, generative.VAE):  # the bound draws, by other numbers
        assert float(found.double().mean()) == pytest.approx(
            float(expected.double().mean()), abs=0.1 * abs(float(before))
        )
    elif isinstance(there, generative.Diffusion):
        x, t = (
            torch.randn(rows.values.shape, generator=torch.Generator().manual_seed(1)),
            torch.arange(len(rows)) % 20 + 1,
        )
        said = there.denoise(x.to(there.device), t.to(there.device)).clean
        torch.testing.assert_close(said.cpu(), here.denoise(x, t).clean, rtol=1e-3, atol=1e-3)
    else:
        torch.testing.assert_close(found.cpu(), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.filterwarnings("ignore")  # PyTorch's compiler's own
@pytest.mark.parametrize(("precision", "compiled"), [("bfloat16", False), ("float32", True), ("bfloat16", True)])
def test_options_of_training(precision, compiled):
    plain, rows = made("generative-vae", DEVICE)
    other, _ = made("generative-vae", DEVICE, precision=precision, compiled=compiled)
    losses = [fit(model, rows, seed=5).records[-1].terms["train/loss"] for model in (plain, other)]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert precision == "float32" or losses[1] != losses[0]
