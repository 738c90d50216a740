"""A small model of each kind, quick to train."""

from typing import Any

from foldin.data import Histories
from foldin.models import MODELS, Recommender
from foldin.testing import two_tastes
from foldin.training import fit

ITEMS = 20
# A model that is not named here is trained with its defaults.
SETTINGS: dict[str, dict[str, Any]] = {
    "itemknn": {"shrinkage": 1.0},
    "ease": {"regularization": 1.0},
    "als": {"factors": 2, "regularization": 0.1},
    "multdae": {"latent": 16, "epochs": 40, "batch_size": 20, "learning_rate": 0.02},
    "recvae": {"hidden": 16, "latent": 8, "epochs": 25, "batch_size": 20, "learning_rate": 0.01},
    "mixture": {"classes": 4, "epochs": 20},
    "plsa": {"topics": 4, "epochs": 30},
    "lda": {"topics": 4, "epochs": 30},
    "poisson": {"factors": 4, "epochs": 30},
    "sasrec": {"width": 16, "length": 12, "epochs": 30, "batch_tokens": 200, "learning_rate": 0.01},
    "semantic": {
        **{"levels": 2, "codes": 6, "vector": 8, "width": 16, "length": 12},
        **{"epochs": 40, "batch_tokens": 200, "learning_rate": 0.01},
    },
    "diffrec": {"hidden": (16, 8), "steps": 5, "epochs": 60, "batch_size": 20, "learning_rate": 0.01},
    "l-diffrec": {
        **{"latent": 12, "hidden": (16,), "steps": 4, "epochs": 60, "batch_size": 20, "learning_rate": 0.02},
        **{"dropout": 0.2, "beta": 0.1},
    },
    "multvae": {"hidden": (16,), "latent": 8, "epochs": 60, "batch_size": 20, "learning_rate": 0.02},
}
PEOPLE = Histories.from_lists([[0, 2, 4], [1, 3], [], [7], [2, 4, 0, 6, 8, 10, 12, 14, 16, 18]], ITEMS)


def trained(name: str, train: Histories | None = None, **settings: Any) -> Recommender:
    """A model on twenty items, of these settings in place of the small ones."""
    kind = MODELS[name]
    model: Recommender = kind.model_class(ITEMS, kind(**{**SETTINGS.get(name, {}), **settings}), seed=5)
    fit(model, two_tastes(60, ITEMS) if train is None else train, seed=5)
    return model
