"""A small model of each kind, quick to train."""

from typing import Any

import polars as pl

from foldin.data import Catalog, Histories
from foldin.models import MODELS, ItemFeatures, Recommender, capability
from foldin.testing import two_tastes
from foldin.training import fit

ITEMS = 20
# A model that is not named here is trained with its defaults.
SETTINGS: dict[str, dict[str, Any]] = {
    "itemknn": {"shrinkage": 1.0},
    "ease": {"regularization": 1.0},
    "edlae": {"dropout": 0.2, "regularization": 1.0},
    "sansa": {"regularization": 1.0, "n_neighbors": 6},
    "slim": {"regularization": 1.0, "sparsity": 0.1},
    "elsa": {"embedding_dim": 4, "batch_size": 20, "epochs": 15},
    "als": {"embedding_dim": 2, "regularization": 0.1},
    "ials": {"embedding_dim": 2, "epochs": 8},
    "multdae": {"latent_dim": 16, "epochs": 40, "batch_size": 20, "learning_rate": 0.02},
    "recvae": {"hidden_dim": 16, "latent_dim": 8, "epochs": 25, "batch_size": 20, "learning_rate": 0.01},
    "mixture": {"n_components": 4, "epochs": 20},
    "plsa": {"n_components": 4, "epochs": 30},
    "lda": {"n_components": 4, "epochs": 30},
    "poisson": {"n_components": 4, "epochs": 30},
    "two-tower": {"embedding_dim": 16, "epochs": 40, "batch_size": 20, "learning_rate": 0.03},
    "sasrec": {"embedding_dim": 16, "max_length": 12, "epochs": 30, "batch_tokens": 200, "learning_rate": 0.01},
    "semantic": {
        **{"tokens.levels": 2, "tokens.codebook_size": 6, "tokens.embedding_dim": 8},
        **{"embedding_dim": 16, "max_length": 12},
        **{"epochs": 40, "batch_tokens": 200, "learning_rate": 0.01},
    },
    "diffrec": {"hidden_dims": (16, 8), "n_steps": 5, "epochs": 60, "batch_size": 20, "learning_rate": 0.01},
    "l-diffrec": {
        **{"latent_dim": 12, "hidden_dims": (16,), "n_steps": 4, "epochs": 60, "batch_size": 20, "learning_rate": 0.02},
        **{"dropout": 0.2, "beta": 0.1},
    },
    "t-diffrec": {
        **{"hidden_dims": (16, 8), "n_steps": 5, "epochs": 60, "batch_size": 20, "learning_rate": 0.01},
        **{"oldest": 0.3},
    },
    "product": {
        **{
            "experts": ("multdae", "ease"),
            "experts.0.latent_dim": 16,
            "experts.0.epochs": 40,
            "experts.0.batch_size": 20,
        },
        **{"experts.0.learning_rate": 0.02, "experts.1.regularization": 1.0},
    },
    "repeats": {
        **{"experts": ("multdae",), "experts.0.latent_dim": 16, "experts.0.epochs": 40, "experts.0.batch_size": 20},
        **{"experts.0.learning_rate": 0.02},
    },
    "multvae": {"hidden_dims": (16,), "latent_dim": 8, "epochs": 60, "batch_size": 20, "learning_rate": 0.02},
}
USERS = Histories.from_lists([[0, 2, 4], [1, 3], [], [7], [2, 4, 0, 6, 8, 10, 12, 14, 16, 18]], ITEMS)


def describe(model: Recommender) -> None:
    """Give a model that reads features a catalog whose titles tell even items from odd ones."""
    featured = capability(model, ItemFeatures)
    if featured is not None:
        titles = [f"{'even' if at % 2 == 0 else 'odd'} {at}" for at in range(model.n_items)]
        ids = [f"i{at}" for at in range(model.n_items)]
        featured.describe(Catalog(pl.DataFrame({"item": ids, "title": titles, "count": [1] * model.n_items})))


def trained(name: str, train: Histories | None = None, **settings: Any) -> Recommender:
    """A model on twenty items, of these settings in place of the small ones."""
    config = MODELS[name]().with_settings({**SETTINGS.get(name, {}), **settings})
    model: Recommender = config.model_class(ITEMS, config, seed=5)
    describe(model)
    fit(model, two_tastes(60, ITEMS) if train is None else train, seed=5)
    return model
