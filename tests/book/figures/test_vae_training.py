"""The film of a VAE is of a training by foldin, its figure shows the terms of the bound, and β = 4 collapses one dimension."""

import json

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from foldin.book import FIGURES
from foldin.book.films.vae_training import film, pictures
from foldin.data import Examples
from foldin.generative import VAE, VAEConfig
from foldin.inference import gaussian_kl
from foldin.training import fit
from tests.book.figures.running import computed, needs_node

WRITTEN = FIGURES / "films" / "vae-training.json"
SHORT = (0, 1, 3)


@pytest.fixture(scope="module")
def short():
    return film(4, epochs=SHORT)


def test_the_last_frames_answer_the_question():
    last = {key: one["frames"][-1] for key, one in json.loads(WRITTEN.read_text(encoding="utf-8")).items()}
    bounds = {key: one["reconstruction"] - sum(one["kl"]) for key, one in last.items()}
    assert min(last["beta=1"]["kl"]) > 0.3
    assert min(last["beta=0.2"]["kl"]) > min(last["beta=1"]["kl"])
    assert min(last["beta=4"]["kl"]) < 0.05
    assert max(last["beta=4"]["kl"]) > 0.2
    gone = int(np.argmin(last["beta=4"]["kl"]))
    assert np.abs(np.array(last["beta=4"]["mu"])[:, gone]).mean() < 0.2
    assert np.array(last["beta=4"]["sigma"])[:, gone].mean() == pytest.approx(1.0, abs=0.1)
    assert bounds["beta=1"] > max(bounds["beta=0.2"], bounds["beta=4"]) + 0.1


def test_a_trace_of_code_saves_about_eight_nats_a_nat_or_about_three():
    """It saves an eigenvalue of the correlations between pixels; β = 4 lies between the two largest."""
    *rest, second, first = np.linalg.eigvalsh(np.corrcoef(pictures()[0].flatten(1).numpy().T))
    assert first == pytest.approx(8.0, abs=0.8)
    assert second == pytest.approx(2.9, abs=0.5)
    assert max(rest) < 1


def test_the_frames_are_of_a_training_by_foldin(short):
    train = Examples(pictures()[0])
    config = VAEConfig(hidden_dims=(16,), latent_dim=2, beta=4.0, batch_size=100, learning_rate=0.01)
    model = VAE((4, 4), config, seed=1)
    fit(model, train, seed=2, epochs=SHORT[-1], patience=None)
    with torch.no_grad():
        mu, logvar = model.posterior(train)
        drawn = torch.stack([model.elbo(train, torch.Generator().manual_seed(seed)).bound for seed in range(30)])
    frame = short["frames"][-1]
    assert [one["epoch"] for one in short["frames"]] == list(SHORT)
    assert np.array(frame["mu"]) == pytest.approx(mu[:60].numpy(), abs=2e-3)
    assert np.array(frame["sigma"]) == pytest.approx(logvar[:60].mul(0.5).exp().numpy(), abs=2e-3)
    assert sum(frame["kl"]) == pytest.approx(float(gaussian_kl(mu, logvar).mean()), abs=1e-3)
    assert frame["reconstruction"] - sum(frame["kl"]) == pytest.approx(float(drawn.mean()), abs=0.05)


@needs_node
def test_the_figure_computes_the_bound_the_objective_and_the_sum_of_the_codes(short):
    values = computed("vae-training", {"beta": 4}, short)
    for made, given in zip(values["frames"], short["frames"], strict=True):
        assert made["elbo"] == pytest.approx(given["reconstruction"] - sum(given["kl"]))
        assert made["objective"] == pytest.approx(given["reconstruction"] - 4 * sum(given["kl"]))
        codes = Independent(Normal(torch.tensor(given["mu"]).double(), torch.tensor(given["sigma"]).double()), 1)
        mixture = MixtureSameFamily(Categorical(torch.ones(60, dtype=torch.float64)), codes)
        grid = torch.tensor(values["grid"], dtype=torch.float64)
        z2, z1 = torch.meshgrid(grid, grid, indexing="ij")  # row, column
        density = mixture.log_prob(torch.stack([z1, z2], dim=-1)).exp()
        assert np.array(made["aggregate"]) == pytest.approx(density.numpy(), abs=1e-8)


def test_a_frame_has_what_the_figure_s_words_say(short):
    assert len(short["groups"]) == 60
    assert sorted({tuple(one) for one in short["groups"]}) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert len(pictures()[0]) == 400
    for one in short["frames"]:
        made = np.array(one["pictures"])
        assert made.shape == (25, 16)
        assert ((made >= 0) & (made <= 1)).all()
