"""The contract of every model on a GPU, with every option that computes something else there."""

from importlib.util import find_spec
from typing import Any

import pytest

from foldin.models import MODELS
from foldin.testing import RecommenderContract
from tests.gpu.device import DEVICE
from tests.small import SETTINGS

SAMPLED = {"loss": "sampled", "loss.negatives.n": 8}
# Name of the test → model and what is set besides the small settings.
OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    **{
        f"{name}_sampled_{precision}": (name, {**SAMPLED, "loss.precision": precision})
        for name in ("multdae", "multvae", "recvae", "l-diffrec")
        for precision in ("float32", "bfloat16")
    },
    **{f"sasrec_{loss}": ("sasrec", {"loss": loss, "epochs": 60}) for loss in ("sampled", "bce", "gbce")},
    **{f"sasrec_{mixer}": ("sasrec", {"mixer": mixer}) for mixer in ("frequency", "recurrence", "gated")},
    **{f"sasrec_{places}": ("sasrec", {"positions": places}) for places in ("rotary", "relative")},
    "recvae_implicit_slim": ("recvae", {"slim": "implicit-slim"}),
    "diffrec_multinomial": ("diffrec", {"head": "multinomial"}),
    "semantic_rq_vae": ("semantic", {"tokens.quantizer": "rq-vae", "tokens.quantizer.epochs": 5}),
}


def contract(name: str, settings: dict[str, Any]) -> type[RecommenderContract]:
    about = {
        "config": MODELS[name]().with_settings({**SETTINGS.get(name, {}), **settings}),
        "personal": name not in ("popularity", "personal"),
        "device": DEVICE,
    }
    return type("TestContract", (RecommenderContract,), about)


CASES: dict[str, tuple[str, dict[str, Any]]] = {name: (name, {}) for name in MODELS} | OPTIONS
for case, (model, options) in CASES.items():
    made = contract(model, options)
    if model == "als":
        made = pytest.mark.skipif(find_spec("implicit") is None, reason="the extra `als` is not installed")(made)
    globals()["Test_" + case.replace("-", "_")] = made
