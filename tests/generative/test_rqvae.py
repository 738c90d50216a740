"""Names of vectors, by residual k-means and by an RQ-VAE."""

import numpy as np
import pytest
import torch

from foldin.data import Examples
from foldin.errors import FitError, ShapeError
from foldin.generative import RQVAE, Autoencoder, RQVAEConfig
from foldin.nn import code_use
from foldin.training import fit


def clusters(count: int = 240, width: int = 6, seed: int = 0) -> torch.Tensor:
    """Four groups of four subgroups each."""
    rng = np.random.default_rng(seed)
    large, small = rng.normal(size=(4, width)) * 4, rng.normal(size=(4, width))
    at = rng.integers(4, size=(2, count))
    return torch.from_numpy(large[at[0]] + small[at[1]] + 0.05 * rng.normal(size=(count, width))).float()


@pytest.fixture(params=[False, True], ids=["k-means", "rq-vae"])
def model(request) -> RQVAE:
    inner = Autoencoder(hidden_dims=(16,), latent_dim=4, batch_size=60, epochs=30, learning_rate=0.01)
    config = RQVAEConfig(levels=3, codebook_size=4, autoencoder=inner if request.param else None)
    made = RQVAE(6, config, seed=1)
    fit(made, Examples(clusters()), seed=2)
    return made


def test_the_first_code_is_the_group_and_what_is_left_falls_level_by_level(model):
    x = clusters()
    codes = model.codes(x)
    assert codes.shape == (240, 3)
    assert code_use(codes.numpy(), (4, 4, 4)).used[0] == 1.0
    z = model.encoder(model.standardized(x)).detach()
    left = [float(z.square().sum(1).mean())]
    for level in range(1, 4):
        cut = codes.clone()
        total = sum(model.quantizer.levels[at].vectors[cut[:, at]] for at in range(level))
        left.append(float((z - total).detach().square().sum(1).mean()))
    assert left == sorted(left, reverse=True)
    assert left[-1] < 0.1 * left[0]
    error = (model.decode(codes) - x).square().sum(1).mean()
    assert error < 0.2 * (x - x.mean(0)).square().sum(1).mean()


def test_near_vectors_have_one_name_and_a_saved_model_gives_the_same(model):
    x = clusters()
    assert torch.equal(model.codes(x), model.codes(x + 1e-6))
    other = RQVAE(6, model.config, seed=9)
    other.load_state(model.state())
    assert torch.equal(other.codes(x), model.codes(x))
    assert torch.equal(other.decode(other.codes(x)), model.decode(model.codes(x)))


def test_without_an_encoder_decoding_a_name_gives_its_vector_back():
    made = RQVAE(6, RQVAEConfig(autoencoder=None, levels=2, codebook_size=4), seed=1)
    fit(made, Examples(clusters()))
    codes = made.codes(clusters())
    assert torch.equal(made.codes(made.decode(codes)), codes)


def test_other_vectors_are_refused(model):
    with pytest.raises(ShapeError, match="width 6"):
        model.codes(torch.zeros(3, 5))
    with pytest.raises(ShapeError, match="width 6"):
        fit(RQVAE(6, model.config), Examples(torch.zeros(3, 6, dtype=torch.int64)))
    with pytest.raises(FitError, match="nothing to train on"):
        fit(RQVAE(6, model.config), Examples(torch.zeros(0, 6)))
    assert model.codes(torch.zeros(0, 6)).shape == (0, 3)
