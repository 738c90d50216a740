"""Small trainings by gradient steps whose matrix products may be in bfloat16, for tests on a processor and on a GPU."""

from typing import Any

from foldin.models import MODELS, Recommender
from foldin.testing import two_tastes
from foldin.training import FitResult, fit
from tests.small import ITEMS, SETTINGS, describe

__all__ = ["CASES", "DAILY", "TRAIN", "made", "trained"]

SAMPLED = {"loss": "sampled", "loss.negatives.n": 8}
TRAIN = two_tastes(60, ITEMS)
# Name of the case → model, and what is set besides the small settings.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in ("multvae", "multdae", "recvae", "l-diffrec", "sasrec", "semantic")},
    "two-tower": ("two-tower", {"hidden_dims": (16,)}),
    "two-tower, softmax": ("two-tower", {"hidden_dims": (16,), "loss": "softmax"}),
    "multvae, shallow": ("multvae", {"hidden_dims": ()}),
    **{f"{name}, sampled": (name, SAMPLED) for name in ("multvae", "multdae", "recvae", "l-diffrec")},
    "multvae, sampled, tables of bfloat16": ("multvae", {**SAMPLED, "loss.precision": "bfloat16"}),
    "recvae, at once": ("recvae", {"alternation": None}),
    "sasrec, sampled": ("sasrec", {"loss": "sampled"}),
    "sasrec, in batch": ("sasrec", {"loss": "sampled", "loss.negatives": "batch"}),
    "sasrec, bce": ("sasrec", {"loss": "bce", "loss.n_negatives": 3}),
    "sasrec, gbce": ("sasrec", {"loss": "gbce", "loss.n_negatives": 5}),
    **{f"sasrec, {mixer}": ("sasrec", {"mixer": mixer}) for mixer in ("frequency", "recurrence", "gated")},
    **{f"sasrec, {block}": ("sasrec", {"block": block}) for block in ("authors", "gated")},
    "sasrec, rotary": ("sasrec", {"positions": "rotary"}),
    "sasrec, relative": ("sasrec", {"positions": "relative", "mixer.dropout": 0.1}),
    "sasrec, tokens": ("sasrec", {"codebook_size": 6}),
    "sasrec, unit vectors": ("sasrec", {"temperature": 0.2}),
    "semantic, all codes": ("semantic", {"constrained": False}),
}
DAILY = ("multvae", "recvae", "l-diffrec", "two-tower", "sasrec", "sasrec, gbce", "semantic")


def made(case: str, device: str = "cpu") -> Recommender[Any]:
    """The model of a case, before training."""
    name, settings = CASES[case]
    config = MODELS[name]().with_settings({**SETTINGS[name], **settings})
    model: Recommender[Any] = config.model_class(ITEMS, config, seed=5, device=device)
    describe(model)
    return model


def trained(case: str, precision: str, device: str = "cpu", **how: Any) -> tuple[Recommender[Any], FitResult]:
    """The model of a case after training in a precision, and how it went."""
    model = made(case, device)
    return model, fit(model, TRAIN, seed=5, precision=precision, **how)
