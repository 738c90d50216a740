"""Models whose events weigh more the newer they are, against their formulas written out."""

import numpy as np
import pytest
import torch

from foldin.data import Histories
from foldin.errors import ConfigError
from foldin.models import (
    ALS,
    EASE,
    MODELS,
    ALSConfig,
    EASEConfig,
    ItemKNN,
    ItemKNNConfig,
    MultVAE,
    MultVAEConfig,
    RecVAE,
    RecVAEConfig,
)
from foldin.ranking import scores
from foldin.testing import two_tastes
from foldin.training import fit

TRAIN = Histories.from_lists([[0, 1, 2], [2, 0], [1, 3, 0, 2], [3], [1, 2]], 4)
WEIGHTED = sorted(name for name in MODELS if "oldest" in MODELS[name].__dataclass_fields__)


def rows(histories: Histories, oldest: float) -> np.ndarray:
    """The weighted users × items matrix, an entry at a time."""
    x = np.zeros((len(histories), histories.n_items))
    for user in range(len(histories)):
        items = histories.of(user)
        for place, item in enumerate(items):
            age = (len(items) - 1 - place) / max(1, len(items) - 1)
            x[user, item] = 1 - (1 - oldest) * age
    return x


def test_ease_regresses_weighted_rows_on_each_other():
    model = EASE(4, EASEConfig(regularization=2.0, oldest=0.3))
    fit(model, TRAIN)
    x = rows(TRAIN, 0.3)
    precision = np.linalg.inv(x.T @ x + 2 * np.eye(4))
    weights = np.eye(4) - precision / np.diag(precision)
    assert np.allclose(scores(model, TRAIN).numpy(), x @ weights, atol=1e-5)


def test_als_folds_in_with_a_confidence_for_each_event():
    model = ALS(4, ALSConfig(embedding_dim=2, regularization=0.5, confidence=4.0, oldest=0.25, iterations=3))
    fit(model, TRAIN)
    y, c = model.item_factors.double().numpy(), 4.0 * rows(TRAIN, 0.25)
    for user, confidences in enumerate(c):
        weights = np.where(confidences > 0, confidences, 1.0)
        wanted = np.linalg.solve(y.T @ (weights[:, None] * y) + 0.5 * np.eye(2), y.T @ confidences)
        assert np.allclose(model.fold_in(TRAIN)[user].numpy(), wanted, atol=1e-4)


def test_als_factors_are_those_of_the_weighted_problem():
    even = ALS(4, ALSConfig(embedding_dim=2, regularization=0.5, confidence=4.0))
    weighted = ALS(4, ALSConfig(embedding_dim=2, regularization=0.5, confidence=4.0, oldest=0.25))
    for model in (even, weighted):
        fit(model, TRAIN)
    assert not torch.allclose(
        even.item_factors @ even.item_factors.t(), weighted.item_factors @ weighted.item_factors.t()
    )


def test_item_knn_takes_the_cosine_of_weighted_columns():
    model = ItemKNN(4, ItemKNNConfig(n_neighbors=3, shrinkage=0.7, oldest=0.5))
    fit(model, TRAIN)
    x = rows(TRAIN, 0.5)
    norms = np.linalg.norm(x, axis=0)
    similar = (x.T @ x) / (np.outer(norms, norms) + 0.7)
    np.fill_diagonal(similar, 0.0)
    assert np.allclose(scores(model, TRAIN).numpy(), x @ similar, atol=1e-6)


def test_mult_vae_reads_weighted_rows_of_unit_length():
    model = MultVAE(4, MultVAEConfig(hidden_dims=(), latent_dim=3, oldest=0.4), seed=1)
    x = rows(TRAIN, 0.4)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    tensors = {name: value.detach().double().numpy() for name, value in model.tensors().items()}
    code = x @ tensors["encoder.0"] + tensors["encoder_bias.0"]
    mu, logvar = (one.detach().numpy() for one in model.posterior(TRAIN))
    assert np.allclose(np.concatenate((mu, logvar), axis=1), code, atol=1e-6)


def test_recvae_reads_weighted_rows_of_unit_length():
    settings = {"hidden_dim": 5, "latent_dim": 3, "n_layers": 1}
    weighted = RecVAE(4, RecVAEConfig(**settings, oldest=0.4), seed=1)
    even = RecVAE(4, RecVAEConfig(**settings), seed=1)
    with torch.no_grad():  # an encoder that reads item 0 alone shows the entry of that item in each row
        for model in (weighted, even):
            model.encoder.first.zero_()[0] = 1.0
    x = rows(TRAIN, 0.4)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    first = weighted.encoder.first.detach().double().numpy()
    h = torch.nn.functional.silu(torch.from_numpy(x @ first) + weighted.encoder.biases[0].detach().double())
    h = torch.nn.functional.layer_norm(h, (5,), eps=0.1)
    code = h @ weighted.encoder.heads.detach().double().t() + weighted.encoder.heads_bias.detach().double()
    assert torch.allclose(torch.cat(weighted.posterior(TRAIN), dim=1).double(), code, atol=1e-6)
    assert not torch.allclose(weighted.posterior(TRAIN)[0], even.posterior(TRAIN)[0])


@pytest.mark.parametrize("name", WEIGHTED)
def test_the_order_of_a_history_matters_only_where_weights_fall(name):
    small = {"als": {"embedding_dim": 2}, "multdae": {"latent_dim": 4}}
    small |= {"multvae": {"hidden_dims": (), "latent_dim": 4}, "recvae": {"hidden_dim": 8, "latent_dim": 4}}
    small |= {
        "slim": {"regularization": 1.0, "sparsity": 0.1},
        "elsa": {"embedding_dim": 4},
        "ials": {"embedding_dim": 2},
    }
    small |= {"t-diffrec": {"hidden_dims": (8, 4), "n_steps": 2}}
    small |= {"l-diffrec": {"latent_dim": 4, "hidden_dims": (4,), "n_steps": 2, "n_clusters": 1}}
    forth, back = Histories.from_lists([[0, 2, 4, 7]], 12), Histories.from_lists([[7, 4, 2, 0]], 12)
    for oldest, same in ((1.0, True), (0.2, False)):
        epochs = {"epochs": 1} if "epochs" in MODELS[name].__dataclass_fields__ else {}
        model = MODELS[name].model_class(12, MODELS[name](**small.get(name, {}), **epochs, oldest=oldest), seed=0)
        fit(model, two_tastes(30, 12), seed=0)
        assert torch.allclose(scores(model, forth), scores(model, back), atol=1e-6) is same


def test_every_model_of_a_row_can_weigh_its_events():
    linear = ["als", "ease", "edlae", "elsa", "ials", "itemknn", "sansa", "slim"]
    assert sorted([*linear, "l-diffrec", "multdae", "multvae", "recvae", "t-diffrec"]) == WEIGHTED
    with pytest.raises(ConfigError, match="oldest"):
        EASEConfig(oldest=0.0)


def test_als_weighs_an_item_by_the_sum_of_its_events():
    once = Histories.from_lists([[0, 1], [1, 2, 3], [0, 3], [2]], 4)
    twice = Histories.from_lists([[0, 1, 0, 1], [1, 1, 2, 2, 3, 3], [0, 0, 3, 3], [2, 2]], 4)
    models = [ALS(4, ALSConfig(embedding_dim=2, regularization=0.5, confidence=c)) for c in (0.4, 0.2)]
    for model, train in zip(models, (once, twice), strict=True):
        fit(model, train)
    assert torch.allclose(models[0].item_factors, models[1].item_factors, atol=1e-5)
    assert torch.allclose(models[0].fold_in(once), models[1].fold_in(twice), atol=1e-5)
    assert twice.items.tolist() == [0, 1, 0, 1, 1, 1, 2, 2, 3, 3, 0, 0, 3, 3, 2, 2]
